"""IDM's scale number p, and the sizes of its training (docs/idm.md §3, §6)."""

from __future__ import annotations

import math

from casarbi.errors import CasarbiError
from casarbi.scales import Size

P_RULES = ("extend", "relative")


def scale_number(lr_size: Size, size: Size, max_scale: float) -> float:
    """Scale number p: 0 at scale 1 and 1 at `max_scale`, linear between and beyond. It is not the magnification.

    The published code has p = (W - W_lr) / (W_max - W_lr) for squares. Other pictures get the scale of their area, so
    that turning a picture changes nothing.

    Example:
        >>> [round(scale_number((16, 16), (side, side), 8), 6) for side in (16, 85, 128, 192)]
        [0.0, 0.616071, 1.0, 1.571429]
    """
    scale = math.sqrt(size[0] * size[1] / (lr_size[0] * lr_size[1]))
    return (scale - 1) / (max_scale - 1)


def p_at_one(rule: str, trained: float, evaluated: float | None) -> float:
    """Scale at which p is 1.

    Args:
        rule: `extend`: the training maximum has p = 1 and larger scales more; or `relative`: the largest scale of an
            evaluation has p = 1, as the published code gives it when its HR folder is that large.
        trained: largest scale of training.
        evaluated: largest scale of the evaluation, for `relative` alone.

    Raises:
        CasarbiError: on an unknown rule, or a maximum that is missing, too small or of no use.
    """
    if rule not in P_RULES:
        raise CasarbiError(f"Option p={rule} is unknown: expected {' or '.join(P_RULES)}.")
    if rule == "extend":
        if evaluated is not None:
            raise CasarbiError(f"Option max_scale={evaluated:g} goes with p=relative alone; p=extend has {trained:g}.")
        return trained
    # p=relative: the user has to say how large the largest HR picture of the evaluation is.
    if evaluated is None or not (math.isfinite(evaluated) and evaluated > 1):
        raise CasarbiError("Option p=relative needs max_scale=N too, the scale above 1 that is to have p = 1.")
    return evaluated


def training_side(lr_side: int, max_scale: float, p: float) -> int:
    """Side of the target that a drawn p stands for, rounded half to even; p is not computed again after rounding."""
    return round(lr_side + (max_scale * lr_side - lr_side) * p)
