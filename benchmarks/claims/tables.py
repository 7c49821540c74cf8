"""The tables that tests read, opened once each, and a ledger judged by what the store holds of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import click

from benchmarks.claims.declaration import DeclaredTables, LedgerFile, TestTable, TimingTable, read_ledger
from benchmarks.claims.parts import Source, parts_of
from benchmarks.claims.timings import timed_parts
from benchmarks.claims.values import ValueReader
from benchmarks.claims.verdicts import Judged, judge
from benchmarks.collect.panel import PanelResults
from benchmarks.experiments import Experiment, PanelSpec
from benchmarks.kinds import Choice
from benchmarks.session import Session, Watch
from benchmarks.store import Store
from benchmarks.timing.declaration import load_timing
from benchmarks.timing.records import Timings
from benchmarks.timing.session import TimingSession
from casarbi.errors import CasarbiError, near_names
from casarbi.plain import quote
from casarbi.references import Reference


@dataclass
class Tables:
    """The tables that tests read, each opened once.

    Attributes:
        preset, store: as chosen.
        data: reference by the name of its reader.
        models: reference by table ("" for all) and row.
        watch: see `benchmarks.session.Session`.
        declared: the tables as their files declare them.
    """

    preset: str
    store: Store
    watch: Watch
    data: dict[str, str] = field(default_factory=dict)
    models: dict[tuple[str, str], str] = field(default_factory=dict)
    declared: DeclaredTables = field(default_factory=DeclaredTables)
    _sessions: dict[str, Session | str] = field(default_factory=dict)
    _timings: dict[str, TimingSession] = field(default_factory=dict)
    _sources: dict[tuple[str, str], Source] = field(default_factory=dict)

    @classmethod
    def of(cls, preset: str, data: Sequence[str], models: Sequence[str], store: str, watch: Watch) -> Tables:
        """Take what was typed."""
        chosen = {}
        for row, reference in Choice("", models=tuple(models)).typed_models().items():
            table, colon, name = row.partition(":")
            chosen[(table, name) if colon else ("", row)] = reference
        return cls(preset, Store(store), watch, {Reference.parse(text).name: text for text in data}, chosen)

    def judge(self, name: str) -> tuple[LedgerFile, list[Judged]]:
        """Read a ledger, and judge its claims by what the store holds."""
        ledger = read_ledger(name, self.declared)
        if self.preset not in ledger.presets:
            known = near_names(self.preset, ledger.presets)
            raise CasarbiError(f"No claim of {name} has a test for the preset {quote(self.preset)}: {known}")
        tests = [claim.under(self.preset) for claim in ledger.claims]
        self._check_models([test for tables, _ in tests for test in tables])
        # Tables open before the bar of the tests begins.
        for test in (test for tables, _ in tests for test in tables):
            self.source(test)
        advance = self.watch("Testing claims", len(ledger.claims))
        found = []
        for claim, (tables, timings) in zip(ledger.claims, tests, strict=True):
            parts = [part for test in tables for part in parts_of(test, self.source(test))]
            parts += [part for test in timings for part in timed_parts(test, self.timing(test))]
            found.append((claim, parts))
            advance(1)
        return ledger, judge(found)

    def _check_models(self, tests: Sequence[TestTable]) -> None:
        """Refuse a typed model whose row no table has."""
        panels = ((test.table, self.declared.panel(test, self.preset)[1]) for test in tests)
        rows = {(table, method.name) for table, panel in panels for method in panel.methods}
        known = {f"{table}:{row}" for table, row in rows} | {row for _, row in rows}
        for table, row in self.models:
            typed = f"{table}:{row}" if table else row
            if typed not in known:
                raise click.UsageError(f"No table has the row {quote(typed)} of --model: {near_names(typed, known)}")

    def source(self, test: TestTable) -> Source:
        """The panel that a test reads, opened if it can be."""
        key = (test.table, test.panels[self.preset])
        if key not in self._sources:
            experiment, spec = self.declared.panel(test, self.preset)
            session = self._session(test.table, experiment)
            if isinstance(session, str):
                self._sources[key] = Source(test.table, experiment, spec, reason=session)
            else:
                self._sources[key] = _opened(test.table, session, spec.name)
        return self._sources[key]

    def timing(self, test: TimingTable) -> TimingSession:
        """The timing that a test reads, as the store holds it of this machine's CPU and of others."""
        if test.timing not in self._timings:
            experiment = load_timing(Choice(test.timing, self.preset))
            self._timings[test.timing] = TimingSession(experiment, Timings(self.store.folder), "cpu", self.watch)
        return self._timings[test.timing]

    def _session(self, table: str, experiment: Experiment) -> Session | str:
        """The opened table, or the reason why it does not open."""
        if table not in self._sessions:
            try:
                self._sessions[table] = Session(self._chosen(table, experiment), self.store, watch=self.watch)
            except CasarbiError as error:
                self._sessions[table] = str(error).rstrip(".")
        return self._sessions[table]

    def _chosen(self, table: str, experiment: Experiment) -> Experiment:
        """A table with the data and models that were typed for it."""
        panels = tuple(self._with_data(panel) for panel in experiment.panels)
        rows = {method.name for panel in panels for method in panel.methods}
        typed = {row: model for (where, row), model in self.models.items() if where in ("", table) and row in rows}
        return replace(experiment, panels=panels).with_models(typed)

    def _with_data(self, panel: PanelSpec) -> PanelSpec:
        return replace(panel, data=self.data.get(Reference.parse(panel.data).name, panel.data))


def _opened(table: str, session: Session, panel: str) -> Source:
    spec = next(spec for spec in session.experiment.panels if spec.name == panel)
    results = PanelResults(session.experiment, spec, session.benches[panel], session.store)
    return Source(table, session.experiment, spec, ValueReader(results))
