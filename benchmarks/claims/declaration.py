"""What a ledger of claims may hold, checked against the tables that its tests name."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

from benchmarks.claims.inference import Region
from benchmarks.experiments import Experiment, PanelSpec, load_experiment
from benchmarks.kinds import CLAIMS, TABLE, Choice, experiment_names, experiment_path, kind_of
from benchmarks.metrics import METRIC_NAMES
from benchmarks.timing.declaration import TIMING, load_timing
from casarbi.errors import CasarbiError, near_names
from casarbi.plain import quote
from casarbi.scales import scale_label
from casarbi.settings import Choices, build, check_choices, read_toml

WORDS = Choices("better", "worse", "not worse", "similar")
"""What a test may claim of a row."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What a test compares, and what it claims of it.

    Attributes:
        row: the method that the claim is about.
        claim: what is claimed of it, one of `WORDS`: better is higher or lower, as the metric's direction says.
        than: rows that it is compared with; none compares it with itself at the scale `since`.
        scales: scales at which it must hold, each a part of its own; all of the table's if none are given. A metric
            between scales is averaged over all pairs of them instead.
        since: compares how values change from this scale on, in place of the values.
        at_least: margin by which it is claimed to be better or worse.
        at_most: margin below which the difference is claimed to stay: for "slightly", "not worse" and "similar".
        relative: whether margins and differences are fractions of the rival's mean, or without rivals of the row's own
            value at `since`.
    """

    row: str
    claim: Annotated[str, WORDS]
    than: tuple[str, ...] = ()
    scales: tuple[float, ...] = ()
    since: float | None = None
    at_least: float = 0.0
    at_most: float = math.inf
    relative: bool = False

    def __post_init__(self) -> None:
        """Refuse what compares nothing or claims nothing."""
        check_choices(self)
        if not self.than and self.since is None:
            raise CasarbiError("a test compares with rows (than = [...]) or with an earlier scale (since = ...).")
        if self.row in self.than:
            raise CasarbiError(f"than names {quote(self.row)}, the row itself: leave it out.")
        if not 0 <= self.at_least < self.at_most:
            raise CasarbiError(f"at_least = {self.at_least:g} must be 0 or more, and below at_most = {self.at_most:g}.")
        if self.claim in ("similar", "not worse") and (self.at_least or self.at_most == math.inf):
            raise CasarbiError(f"claim = {quote(self.claim)} needs a margin at_most, and takes no at_least.")

    @property
    def rows(self) -> tuple[str, ...]:
        """Every row that it names."""
        return (self.row, *self.than)

    @property
    def all_scales(self) -> tuple[float, ...]:
        """Every scale that it names."""
        return (*self.scales, *(() if self.since is None else (self.since,)))

    def region(self, higher_is_better: bool) -> Region:
        """Where the difference row - rival lies if the claim holds."""
        low, high = {
            "better": (self.at_least, self.at_most),
            "worse": (-self.at_most, -self.at_least),
            "similar": (-self.at_most, self.at_most),
            "not worse": (-self.at_most, math.inf),
        }[self.claim]
        # Adding 0 makes a 0 of -0, which would be printed.
        return Region(low + 0, high + 0) if higher_is_better else Region(0 - high, 0 - low)


@dataclass(frozen=True, kw_only=True)
class TestTable(Comparison):
    """`[[claims.tests]]`: a comparison on a table's stored values, one part per rival and scale.

    Attributes:
        table: name of the table.
        panels: panel by preset; a preset that is not named has nothing to test.
        metrics: the first of these that the panel measures is taken: LPIPS, say, and what stands in for it here.
    """

    __test__ = False  # no test of pytest's

    table: str
    panels: Mapping[str, str]
    metrics: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse what compares nothing or claims nothing."""
        super().__post_init__()
        if not self.metrics or not self.panels:
            raise CasarbiError("panels and metrics must name at least one each.")


@dataclass(frozen=True, kw_only=True)
class TimingTable(Comparison):
    """`[[claims.timings]]`: a comparison of times or counts, one part per rival and scale.

    Attributes:
        timing: name of the timing.
        presets: its presets that are tested.
        quantity: what is compared; less of it is better.
    """

    timing: str
    presets: tuple[str, ...]
    quantity: Annotated[str, Choices("seconds", "parameters", "evaluations")]

    def __post_init__(self) -> None:
        """Refuse what compares nothing or claims nothing."""
        super().__post_init__()
        if not self.presets:
            raise CasarbiError("presets must name at least one.")


@dataclass(frozen=True)
class ClaimTable:
    """`[[claims]]`: a comparative sentence of the paper.

    Attributes:
        name: short name, unique in the ledger.
        topic: heading it stands under; claims of one topic follow each other.
        section: where the paper says it, such as "V-C1"; several are separated by commas.
        text: what it says, in our words.
        tests, timings: comparisons that must all hold.
        note: how its words became numbers, or what a reader must know.
        needs: what would decide it, if nothing here can; such a claim has no tests.
    """

    name: str
    topic: str
    section: str
    text: str
    tests: tuple[TestTable, ...] = ()
    timings: tuple[TimingTable, ...] = ()
    note: str = ""
    needs: str = ""

    def __post_init__(self) -> None:
        """Refuse a claim that nothing decides, now or ever."""
        if bool(self.tests or self.timings) == bool(self.needs):
            raise CasarbiError(
                f"the claim {quote(self.name)} must have either tests or needs, which says what would decide it."
            )

    def under(self, preset: str) -> tuple[list[TestTable], list[TimingTable]]:
        """Tests that a preset has values for, and timings."""
        tests = [test for test in self.tests if preset in test.panels]
        return tests, [test for test in self.timings if preset in test.presets]


@dataclass(frozen=True)
class LedgerFile:
    """The whole file."""

    title: str
    claims: tuple[ClaimTable, ...]
    kind: Annotated[str, Choices(CLAIMS)] = CLAIMS
    summary: str = ""

    def __post_init__(self) -> None:
        """Refuse an empty ledger, and names that say two things."""
        check_choices(self)
        names = [claim.name for claim in self.claims]
        if not names:
            raise CasarbiError("[[claims]] is empty, expected at least one.")
        for name in names:
            if names.count(name) > 1:
                raise CasarbiError(f"[[claims]] has {quote(name)} twice: give each a name of its own.")

    @property
    def presets(self) -> tuple[str, ...]:
        """Presets that tests name."""
        tables = [preset for claim in self.claims for test in claim.tests for preset in test.panels]
        timings = [preset for claim in self.claims for test in claim.timings for preset in test.presets]
        return tuple(dict.fromkeys([*tables, *timings]))


class DeclaredTables:
    """Declarations of the tables that tests name, each read once."""

    def __init__(self) -> None:
        self._tables: dict[tuple[str, str], Experiment] = {}

    def panel(self, test: TestTable, preset: str) -> tuple[Experiment, PanelSpec]:
        """The table and the panel that a test reads under a preset.

        Raises:
            CasarbiError: if there is no such table or panel.
        """
        key = (test.table, preset)
        if key not in self._tables:
            _check_table(test.table)
            self._tables[key] = load_experiment(test.table, preset)
        experiment, name = self._tables[key], test.panels[preset]
        panels = {panel.name: panel for panel in experiment.panels}
        _check_known(f"panel in preset {preset} of {test.table}", (name,), panels)
        return experiment, panels[name]


def read_ledger(name: str, tables: DeclaredTables) -> LedgerFile:
    """Read a ledger by name, or from a TOML file, and check that the tables hold what its tests name.

    Raises:
        CasarbiError: naming the file and what is unknown, missing, of another type or impossible.
    """
    path = experiment_path(name)
    ledger = build(LedgerFile, read_toml(path), str(path))
    for claim in ledger.claims:
        for number, test in enumerate((*claim.tests, *claim.timings), 1):
            try:
                if isinstance(test, TestTable):
                    _check(test, tables)
                elif isinstance(test, TimingTable):
                    _check_timing(test)
            except CasarbiError as error:
                raise CasarbiError(f"{path}: claim {quote(claim.name)}, test {number}: {error}") from None
    return ledger


def _check_table(table: str) -> None:
    if not table.endswith(".toml"):
        _check_known("table", (table,), experiment_names(TABLE))
    elif kind_of(table) != TABLE:
        raise CasarbiError(f"{quote(table)} is no table: a test reads the values of a table.")


def _check(test: TestTable, tables: DeclaredTables) -> None:
    _check_known("metric", test.metrics, METRIC_NAMES)
    for preset in test.panels:
        experiment, panel = tables.panel(test, preset)
        where = f"panel {quote(panel.name)} of preset {preset} in {test.table}"
        _check_known(f"row in {test.table}", test.rows, [method.name for method in panel.methods])
        measured = (*experiment.job(panel, "cpu").metrics, *experiment.optional)
        if not set(test.metrics) & set(measured):
            raise CasarbiError(f"{where} measures none of {', '.join(test.metrics)}: it has {', '.join(measured)}.")
        declared = [scale_label(scale) for scale in experiment.scales]
        _check_known(f"scale in {where}", map(scale_label, test.all_scales), declared)


def _check_timing(test: TimingTable) -> None:
    if not test.timing.endswith(".toml"):
        _check_known("timing", (test.timing,), experiment_names(TIMING))
    elif kind_of(test.timing) != TIMING:
        raise CasarbiError(f"{quote(test.timing)} is no timing, and this test compares times.")
    for preset in test.presets:
        experiment = load_timing(Choice(test.timing, preset))
        _check_known(f"row in {test.timing}", test.rows, [method.name for method in experiment.methods])
        declared = [scale_label(scale) for scale in experiment.scales]
        _check_known(f"scale in preset {preset} of {test.timing}", map(scale_label, test.all_scales), declared)


def _check_known(kind: str, names: Iterable[str], known: Iterable[str]) -> None:
    known = list(known)
    for name in names:
        if name not in known:
            raise CasarbiError(f"there is no {kind} {quote(name)}: {near_names(name, known)}")
