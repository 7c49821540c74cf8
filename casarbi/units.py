"""Times and amounts of memory as people read them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """A time in two units at most.

    Example:
        >>> duration(59), duration(3540), duration(9000), duration(400000)
        ('59 s', '59 min', '2 h 30 min', '4 d 15 h')
    """
    minutes = round(seconds / 60)
    if seconds < 99:
        return f"{seconds:.0f} s"
    if minutes < 99:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def gigabytes(size: int) -> str:
    """An amount of memory in 10^9 bytes.

    Example:
        >>> gigabytes(1_230_000_000), gigabytes(17_000_000_000)
        ('1.2 GB', '17 GB')
    """
    return f"{size / 1e9:.1f} GB" if size < 10**10 else f"{size / 1e9:.0f} GB"
