"""From the parts of all claims to their verdicts: conjunctions, Holm's correction, and how many images would decide."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmarks.claims.declaration import ClaimTable
from benchmarks.claims.inference import LEVEL, conjunction, holm, images_to_decide
from benchmarks.claims.parts import Part

SUPPORTED, REFUTED, UNDECIDED = "supported", "refuted", "undecided"


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict.

    Attributes:
        claim, parts: the claim and all its parts.
        verdict: supported, refuted or undecided.
        p: two-sided p value of the claim, before Holm's correction; 1 if nothing of it was measured.
        adjusted: the same after it.
        favours: whether the data speak for the claim rather than against it.
        decisive: the part that speaks most against the claim; None if nothing was measured.
        more: images beyond those measured with which it would be decided; NaN unless it is undecided and all parts are
            measured, infinite if none would do.
    """

    claim: ClaimTable
    parts: tuple[Part, ...]
    verdict: str = UNDECIDED
    p: float = 1.0
    adjusted: float = 1.0
    favours: bool = True
    decisive: Part | None = None
    more: float = math.nan


def judge(claims: Sequence[tuple[ClaimTable, Sequence[Part]]]) -> list[Judged]:
    """Verdicts on all claims of a ledger.

    Every claim with a test counts in Holm's correction, measured or not: a verdict then stays when more is measured.
    """
    judged = [_judged(claim, tuple(parts)) for claim, parts in claims]
    tested = [found for found in judged if found.parts]
    adjusted = dict(zip(map(id, tested), holm([found.p for found in tested]), strict=True))
    return [_concluded(found, adjusted.get(id(found), 1.0), len(tested)) for found in judged]


def _judged(claim: ClaimTable, parts: tuple[Part, ...]) -> Judged:
    measured = [part for part in parts if part.effect]
    if not measured:
        return Judged(claim, parts)
    for_it, against = conjunction([(part.region, part.effect) for part in parts])
    return Judged(
        claim,
        parts,
        p=min(1.0, 2 * min(for_it, against)),
        favours=for_it <= against,
        decisive=max(measured, key=lambda part: _doubt(part)),
    )


def _doubt(part: Part) -> tuple[float, float]:
    """How much a part speaks against its claim."""
    assert part.effect
    return part.region.supports(part.effect), -part.region.refutes(part.effect)


def _concluded(found: Judged, adjusted: float, claims: int) -> Judged:
    if adjusted <= LEVEL:
        return replace(found, adjusted=adjusted, verdict=SUPPORTED if found.favours else REFUTED)
    effects = [(part.region, part.effect) for part in found.parts if part.effect]
    if not effects or len(effects) < len(found.parts):
        return replace(found, adjusted=adjusted)
    # Parts on fewer images are the ones to add to.
    have = min(effect.n for _, effect in effects)
    more = images_to_decide(effects, claims) - have
    return replace(found, adjusted=adjusted, more=max(1.0, more))
