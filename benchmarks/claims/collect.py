"""From verdicts to a report's plain data: comparisons, reasons, and what was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmarks.claims.declaration import LedgerFile
from benchmarks.claims.inference import FEWEST, LEVEL, POWER, RESAMPLES
from benchmarks.claims.parts import Part
from benchmarks.claims.values import SET_RESAMPLES
from benchmarks.claims.verdicts import UNDECIDED, Judged
from reports.ledger import Claim, ClaimPart, Ledger

MOST = 100_000
"""Images above which a number that would decide is not worth printing."""

DEFINITIONS = (
    f"Supported: every comparison of the claim lies where the claim says, shown together at p ≤ {LEVEL:g} after Holm's "
    "correction for the number of claims.",
    "Refuted: some comparison lies elsewhere, shown at the same level, corrected for the number of comparisons too.",
    f"Undecided: neither is shown. The number of images is what would decide with a chance of {POWER:.0%}, if the "
    "differences stay as observed; what is not measured is named with the command that measures it.",
    "A claim over several scales or rivals holds only if all of its comparisons do. Differences are row − rival on the "
    "same images, with 95 % intervals; `holds`, `fails` and `open` say what that interval alone shows.",
    "The paper's own table: the same comparison with the numbers that the paper prints, on its data. Verdicts are on "
    "the data named here, never on the paper's.",
)


def ledger(
    declared: LedgerFile, judged: Sequence[Judged], *, name: str, preset: str, date: str, command: str
) -> Ledger:
    """Everything that a report of claims says."""
    tested = sum(bool(found.parts) for found in judged)
    measured = sum(found.decisive is not None for found in judged)
    return Ledger(
        title=" ".join(declared.title.split()),
        summary=" ".join(declared.summary.split()),
        experiment=name,
        preset=preset,
        date=date,
        claims=tuple(map(_claim, judged)),
        command=command,
        definitions=DEFINITIONS,
        facts=(
            (
                "Family",
                f"{tested} claims with tests, of which {measured} have values here; all count in the correction",
            ),
            (
                "Resampling",
                f"means: {RESAMPLES} studentised bootstrap samples of the images; distances between sets: "
                f"up to {SET_RESAMPLES} resampled sets; seed 0; at least {FEWEST} images",
            ),
            ("More", "docs/claims.md defines every step"),
        ),
    )


def _claim(found: Judged) -> Claim:
    claim = found.claim
    paper, contradicts = _paper(found.parts)
    return Claim(
        name=claim.name,
        topic=claim.topic,
        section=claim.section,
        text=_folded(claim.text),
        verdict=found.verdict,
        why=_why(found),
        p=found.adjusted if found.decisive else math.nan,
        parts=tuple(map(_part, found.parts)),
        decisive=found.parts.index(found.decisive) if found.decisive else -1,
        paper=paper,
        paper_contradicts=contradicts,
        note=_folded(claim.note),
        facts=tuple(dict.fromkeys(part.about for part in found.parts if part.about)),
    )


def _why(found: Judged) -> str:
    """What would decide an undecided claim."""
    if found.verdict != UNDECIDED:
        return ""
    if not found.parts:
        others = {preset for test in found.claim.tests for preset in test.panels}
        others |= {preset for test in found.claim.timings for preset in test.presets}
        return _folded(found.claim.needs) or f"only the preset {' or '.join(sorted(others))} tests it"
    reasons = list(dict.fromkeys(part.reason for part in found.parts if part.reason))
    if reasons:
        missing = sum(part.effect is None for part in found.parts)
        which = "not measured" if missing == len(found.parts) else f"{missing} of {len(found.parts)} parts are missing"
        more = f" (and {len(reasons) - 1} more reason{'s' * (len(reasons) > 2)})" if len(reasons) > 1 else ""
        return f"{which}: {reasons[0]}{more}"
    unit = found.parts[0].unit
    if math.isinf(found.more):
        return f"no number of {unit} would decide: some values do not differ"
    if found.more > MOST:
        return f"more than {MOST:,} more {unit} would decide"
    return f"about {_rounded(found.more):,} more {unit} would decide"


def _rounded(number: float) -> int:
    """A number to two digits, upwards: it is an estimate."""
    step = 10 ** max(0, math.floor(math.log10(number)) - 1)
    return math.ceil(number / step) * step


def _part(part: Part) -> ClaimPart:
    effect, test = part.effect, part.test
    low, high = effect.interval() if effect else (math.nan, math.nan)
    return ClaimPart(
        table=part.table,
        panel=part.panel,
        row=test.row,
        than=part.than,
        metric=part.metric.label,
        scales=part.scales,
        claimed_low=part.region.low,
        claimed_high=part.region.high,
        decimals=max(part.metric.decimals, 3),
        since=math.nan if test.since is None else test.since,
        relative=test.relative,
        difference=effect.estimate if effect else math.nan,
        low=low,
        high=high,
        n=effect.n if effect else 0,
        unit=part.unit,
        p_for=part.region.supports(effect) if effect else math.nan,
        p_against=part.region.refutes(effect) if effect else math.nan,
        state=_state(part, low, high),
        reason=part.reason,
        paper=_printed(part),
        paper_agrees=part.paper_agrees,
        data=part.data,
        protocol=part.protocol,
        model=part.models.get(test.row, ""),
        than_model=part.models.get(part.than, ""),
    )


def _state(part: Part, low: float, high: float) -> str:
    """What the interval alone says: inside the claimed region, outside of it, or on one of its ends."""
    if not part.effect:
        return "not measured"
    if part.region.low < low and high < part.region.high:
        return "holds"
    return "fails" if high < part.region.low or low > part.region.high else "open"


def _printed(part: Part) -> str:
    """The paper's numbers of a comparison, such as `Ours 0.0459, Kim 0.0455`."""
    if part.paper_agrees is None:
        return ""
    if part.test.since is not None or not part.than:
        return f"difference {part.paper:+.4g}".replace("-", "−")
    equal = ", equal as printed" if len(set(part.printed)) == 1 else ""
    rows = zip((part.test.row, part.than), part.printed, strict=True)
    return ", ".join(f"{row} {number:.4g}" for row, number in rows) + equal


def _paper(parts: Sequence[Part]) -> tuple[str, bool]:
    """What the paper's own tables say of a claim, and whether they contradict it."""
    known = [part for part in parts if part.paper_agrees is not None]
    against = [part for part in known if not part.paper_agrees]
    if not known:
        return "", False
    if not against:
        return (
            "agrees" if len(known) == len(parts) else f"agrees, as far as it has numbers ({len(known)} parts)"
        ), False
    shown = [f"{_part(part).at}: {_printed(part)}" for part in against[:3]]
    more = f"; and {len(against) - 3} more" if len(against) > 3 else ""
    return f"contradicts it at {'; '.join(shown)}{more}", True


def _folded(prose: str) -> str:
    return " ".join(prose.split())
