"""Arithmetic with the same bytes on every machine: sums, products, quotients, square roots and comparisons only.

IEEE 754 fixes the result of these operations, whichever vector unit computes them. The exponential, powers,
trigonometry, BLAS products and long sums are not fixed, so nothing here or in the other parts uses them.
Random numbers come from PCG64's raw words, which NumPy promises to keep; the distributions of `Generator` it
does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

# Always float32; the stubs lose that in arithmetic with Python numbers, hence the wider name.
Array = NDArray[np.floating[Any]]
Choice = TypeVar("Choice")


class Draw:
    """A stream of random numbers named by integers, such as `Draw(seed, 3)`."""

    def __init__(self, *key: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(list(key)))

    def unit(self) -> float:
        """Draw a number from [0, 1)."""
        return (int(self._bits.random_raw()) >> 11) / (1 << 53)

    def between(self, low: float, high: float) -> float:
        """Draw a number from [low, high)."""
        return low + (high - low) * self.unit()

    def bell(self, mean: float, spread: float) -> float:
        """Draw from a bell curve: four uniform numbers summed, standard deviation `spread`, never past 3.5 of it."""
        total = self.unit() + self.unit() + self.unit() + self.unit()
        return mean + spread * 1.7320508 * (total - 2.0)

    def chance(self, probability: float) -> bool:
        """Draw True with this probability."""
        return self.unit() < probability

    def pick(self, options: Sequence[Choice], weights: Sequence[float] | None = None) -> Choice:
        """Draw one option, by weight when weights are given."""
        if weights is None:
            return options[int(self.unit() * len(options))]
        total = 0.0
        for weight in weights:  # not sum(), whose rounding changed with Python 3.12
            total += weight
        mark = self.unit() * total
        for option, weight in zip(options, weights, strict=True):
            mark -= weight
            if mark < 0:
                return option
        return options[-1]

    def field(self, height: int, width: int) -> Array:
        """Draw white noise from [-1, 1): 24 bits a number, so that float32 holds it exactly."""
        words = self._bits.random_raw(height * width) >> np.uint64(40)
        return (words.astype(np.float32) * np.float32(1 / (1 << 23)) - np.float32(1)).reshape(height, width)


def smooth(low: float | Array, high: float | Array, x: Array) -> Array:
    """Rise from 0 at `low` to 1 at `high` as 3t² - 2t³; falls where high < low."""
    t = x - low
    if isinstance(low, np.ndarray) or isinstance(high, np.ndarray):
        t /= high - low
    else:
        t *= np.float32(1 / (high - low))
    np.maximum(t, 0, out=t)
    np.minimum(t, 1, out=t)
    rest = t * -2
    rest += 3
    rest *= t
    rest *= t
    return rest


def bump(r2: Array) -> Array:
    """Bell over squared radius with compact support: (1 - r²)³ inside the unit circle, 0 outside."""
    t = 1 - r2
    np.maximum(t, 0, out=t)
    cube = t * t
    cube *= t
    return cube


def hill(u: Array, v: Array, at: tuple[float, float], radius: tuple[float, float]) -> Array:
    """`bump` over the ellipse at `at` with half-axes `radius`, both (u, v)."""
    a = u - np.float32(at[0])
    a *= np.float32(1 / radius[0])
    a *= a
    b = v - np.float32(at[1])
    b *= np.float32(1 / radius[1])
    b *= b
    return bump(a + b)


def mix(a: float | Array, b: float | Array, t: float | Array) -> Array:
    """Go from a at t = 0 to b at t = 1."""
    return a + (b - a) * t  # type: ignore[return-value]


def colour(rgb: Sequence[float]) -> Array:
    """Make a (3, 1, 1) array that multiplies a (H, W) field into a colour picture."""
    return np.array(rgb, np.float32).reshape(3, 1, 1)


def wave(t: Array) -> Array:
    """Periodic curve like sin(2πt), made of two parabolas; within 0.06 of the sine."""
    f = t - np.floor(t)
    g = np.where(f < 0.5, f, f - np.float32(0.5))
    arch = 16 * g * (0.5 - g)
    return np.where(f < 0.5, arch, -arch)


def slope(z: Array, px: float) -> tuple[Array, Array]:
    """Central differences of z per unit of length, along x and y; `px` is the width of a pixel in that unit."""
    dx = np.empty_like(z)
    dy = np.empty_like(z)
    k = np.float32(0.5 / px)
    dx[:, 1:-1] = (z[:, 2:] - z[:, :-2]) * k
    dx[:, 0] = dx[:, 1]
    dx[:, -1] = dx[:, -2]
    dy[1:-1] = (z[2:] - z[:-2]) * k
    dy[0] = dy[1]
    dy[-1] = dy[-2]
    return dx, dy


def resample(field: Array, size: tuple[int, int]) -> Array:
    """Sample (h, w) linearly at `size` evenly spaced pixel centres, columns then rows; no antialiasing."""
    row, column = _between_points(field.shape[0], size[0]), _between_points(field.shape[1], size[1])
    a, b = field[:, column[0]], field[:, column[0] + 1]
    b -= a
    b *= column[1][None, :]
    b += a
    a, b = b.take(row[0], axis=0), b.take(row[0] + 1, axis=0)
    b -= a
    b *= row[1][:, None]
    b += a
    return b


def _between_points(n: int, m: int) -> tuple[NDArray[np.intp], Array]:
    """Index of the left of n points and the fraction past it, for m points over the same length."""
    at = np.clip((np.arange(m) + 0.5) * n / m - 0.5, 0, n - 1)
    low = np.minimum(at.astype(np.intp), n - 2)
    return low, (at - low).astype(np.float32)


def box(field: Array, radius: int) -> Array:
    """Mean over a (2 radius + 1)² square, edges repeated, by shifted sums in a fixed order."""
    for axis in (0, 1):
        pad = [(radius, radius) if a == axis else (0, 0) for a in (0, 1)]
        wide = np.pad(field, pad, mode="edge")
        n = field.shape[axis]
        total = wide.take(range(n), axis=axis)
        for k in range(1, 2 * radius + 1):
            total = total + (wide[k : k + n] if axis == 0 else wide[:, k : k + n])
        field = total * np.float32(1 / (2 * radius + 1))
    return field
