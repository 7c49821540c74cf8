"""A ledger of claims as plain data, and its numbers as text: what every format of it prints."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

from casarbi.plain import visible
from casarbi.scales import scale_label
from reports.document import Facts
from reports.table import MISSING, fixed

VERDICTS = ("supported", "refuted", "undecided")
STATES = ("holds", "fails", "open", "not measured")
"""What a part's own 95 % interval says, before the correction for the number of claims."""


@dataclass(frozen=True)
class ClaimPart:
    """One comparison of a claim.

    Attributes:
        table, panel: where its values are from.
        row, than: what is compared; `than` is "" if the row is compared with itself at an earlier scale.
        metric: label of the metric, with its unit.
        scales: scales behind it; several if it is of all pairs of them.
        since: the earlier scale that both are compared with; NaN if there is none.
        relative: whether differences are fractions of the rival's mean.
        claimed_low, claimed_high: where the difference lies if the claim holds; infinite ends are open.
        decimals: digits printed.
        difference, low, high: row - rival with its 95 % interval; NaN if it was not measured.
        n: images, or runs, behind it.
        unit: which of the two.
        p_for, p_against: one-sided p values for the claim and against it.
        state: one of `STATES`.
        reason: why it was not measured.
        paper: the same comparison by the paper's printed numbers, as text; "" if it prints none.
        paper_agrees: whether they say what the claim says; None if there are none.
        data, protocol, model, than_model: what was measured.
    """

    table: str
    panel: str
    row: str
    than: str
    metric: str
    scales: tuple[float, ...]
    claimed_low: float
    claimed_high: float
    decimals: int
    since: float = math.nan
    relative: bool = False
    difference: float = math.nan
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    unit: str = "images"
    p_for: float = math.nan
    p_against: float = math.nan
    state: str = "not measured"
    reason: str = ""
    paper: str = ""
    paper_agrees: bool | None = None
    data: str = ""
    protocol: str = ""
    model: str = ""
    than_model: str = ""

    @property
    def compared(self) -> str:
        """Such as `Ours - Kim`."""
        return f"{self.row} − {self.than}" if self.than else self.row

    @property
    def at(self) -> str:
        """Such as `×5.3`, `×12 since ×7` or `pairs of ×5.3, ×7`."""
        labels = ", ".join(f"×{scale_label(scale)}" for scale in self.scales)
        if len(self.scales) > 1:
            return f"pairs of {labels}"
        return labels if math.isnan(self.since) else f"{labels} since ×{scale_label(self.since)}"

    @property
    def claimed(self) -> str:
        """Such as `< 0` or `−0.5 to 0`."""
        factor, unit = (100, " %") if self.relative else (1, "")
        low, high = (f"{factor * end:g}".replace("-", "−") for end in (self.claimed_low, self.claimed_high))
        if math.isinf(self.claimed_low):
            return f"< {high}{unit}"
        return f"> {low}{unit}" if math.isinf(self.claimed_high) else f"{low} to {high}{unit}"

    @property
    def effect(self) -> str:
        """The difference as text, or a dash."""
        return MISSING if math.isnan(self.difference) else _number(self.difference, self.decimals, self.relative)

    @property
    def interval(self) -> str:
        """Ends of its interval as text; "" if there is none, or nothing in it, as of a count."""
        if math.isnan(self.difference) or self.low == self.high:
            return ""
        return ", ".join(_number(end, self.decimals, self.relative) for end in (self.low, self.high))


def _number(value: float, decimals: int, relative: bool) -> str:
    """A difference with its sign, in percent if it is a fraction."""
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{fixed(100 * value, 1)} %" if relative else fixed(value, decimals)
    # No sign before what is printed as nothing.
    plus = "+" if not text.startswith("-") and text.strip("0. %") else ""
    return plus + text.replace("-", "−")


@dataclass(frozen=True)
class Claim:
    """A claim with its verdict.

    Attributes:
        name: short name, unique in the ledger.
        topic: heading it stands under.
        section: where the paper says it.
        text: what it says, in our words.
        verdict: one of `VERDICTS`.
        why: the verdict's reason in a phrase, such as "about 120 more images would decide"; "" if it needs none.
        p: p value after Holm's correction; NaN if nothing was tested.
        parts: its comparisons.
        decisive: place of the part that decides, or that speaks most against the claim; -1 if none was measured.
        paper: what the paper's own tables say, in a phrase.
        paper_contradicts: whether they contradict the claim.
        note: how its words became numbers.
        facts: what it was measured on, a sentence per table.
    """

    name: str
    topic: str
    section: str
    text: str
    verdict: str
    why: str = ""
    p: float = math.nan
    parts: tuple[ClaimPart, ...] = ()
    decisive: int = -1
    paper: str = ""
    paper_contradicts: bool = False
    note: str = ""
    facts: tuple[str, ...] = ()

    @property
    def main(self) -> ClaimPart | None:
        """The part that decides, or that speaks most against the claim."""
        return self.parts[self.decisive] if self.decisive >= 0 else None

    @property
    def main_text(self) -> str:
        """The same part as a phrase, or a dash."""
        part = self.main
        if part is None:
            return MISSING
        interval = f" [{part.interval}]" if part.interval else ""
        compared = f"{part.metric}, {part.compared}, {part.at}: {part.effect}{interval}"
        return f"{compared}, claimed {part.claimed}, {part.n} {part.unit}"

    @property
    def p_text(self) -> str:
        """The p value as text, or a dash."""
        return p_text(self.p)

    @property
    def measured(self) -> str:
        """How many of its parts were measured, such as `15 parts` or `3 of 15 parts`."""
        total = len(self.parts)
        count = sum(part.state != "not measured" for part in self.parts)
        parts = "1 part" if total == 1 else f"{total} parts"
        return parts if count == total else f"{count} of {parts}"


def p_text(p: float) -> str:
    """A p value with two digits; tiny ones as a bound.

    Example:
        >>> p_text(0.0437), p_text(1e-9), p_text(float("nan"))
        ('0.044', '< 0.001', '—')
    """
    if math.isnan(p):
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


@dataclass(frozen=True)
class Ledger:
    """All claims, as a report prints them.

    Attributes:
        title, summary: heading and a sentence or two.
        experiment: file name of the report.
        preset: "mini", "paper" or a name of the user's.
        date: printed as given, so that equal input gives equal bytes.
        claims: in order; those of a topic follow each other.
        command: command that makes the report again.
        definitions: what the verdicts mean, a sentence each.
        facts: lines for the whole report.
    """

    title: str
    summary: str
    experiment: str
    preset: str
    date: str
    claims: tuple[Claim, ...]
    command: str = ""
    definitions: tuple[str, ...] = ()
    facts: Facts = ()

    @property
    def counts(self) -> str:
        """Such as `12 supported, 5 refuted, 9 undecided`; then how many the paper's own tables contradict."""
        words = [claim.verdict for claim in self.claims]
        counts = ", ".join(f"{words.count(verdict)} {verdict}" for verdict in VERDICTS)
        contradicted = sum(claim.paper_contradicts for claim in self.claims)
        return f"{len(words)} claims: {counts}; the paper's own tables contradict {contradicted}"

    @property
    def topics(self) -> list[tuple[str, tuple[Claim, ...]]]:
        """Claims by heading."""
        names = dict.fromkeys(claim.topic for claim in self.claims)
        return [(name, tuple(claim for claim in self.claims if claim.topic == name)) for name in names]


CLAIM_COLUMNS = ("claim", "topic", "section", "text", "verdict", "why", "p", "paper_contradicts")
PART_COLUMNS = tuple(field.name for field in fields(ClaimPart) if field.name not in ("decimals", "relative"))
"""Columns of the CSV: the claim's, repeated in each of its parts' rows, then the part's."""


def ledger_to_csv(ledger: Ledger) -> bytes:
    """CSV with one row per part, and one for a claim without parts: UTF-8, LF, shortest digits that read back."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("experiment", "preset", *CLAIM_COLUMNS, *PART_COLUMNS))
    for claim in ledger.claims:
        known = (claim.name, *(getattr(claim, name) for name in CLAIM_COLUMNS[1:]))
        for values in _part_values(claim.parts):
            writer.writerow([_field(value) for value in (ledger.experiment, ledger.preset, *known, *values)])
    return stream.getvalue().encode("utf-8", "backslashreplace")


def _part_values(parts: Sequence[ClaimPart]) -> Iterator[list[object]]:
    for part in parts:
        yield [getattr(part, name) for name in PART_COLUMNS]
    if not parts:
        yield [""] * len(PART_COLUMNS)


def _field(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, tuple):
        return " ".join(scale_label(scale) for scale in value)
    if isinstance(value, bool):
        return str(value).lower()
    # One line per row, whatever a name holds.
    return repr(value) if isinstance(value, int | float) else visible(str(value))
