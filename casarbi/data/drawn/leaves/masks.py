"""Which leaf is on top at each pixel: shapes of a dead-leaves scene painted into a depth buffer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ELLIPSE, BOX, LENS, POLYGON, RING = range(5)
"""Shapes. A lens lies between two parabolas, like the blade of a leaf; a ring is an ellipse's outline."""

SHAPES = 5
STROKE = -1
"""A leaf that `paint` leaves to `paint_strokes`."""

POLYGON_SIDES = 5
BATCH_RADIUS = 24
"""Leaves below this radius are painted many at a time, larger ones one by one."""


@dataclass
class Leaves:
    """N leaves, back to front: the index of a leaf is its depth.

    Attributes:
        x, y: centres in pixels, float32 (N,); may lie outside the canvas.
        radius: half of the long axis in pixels.
        aspect: short axis over long axis, in (0, 1].
        cos, sin: direction of the long axis.
        shape: one of the constants above.
        rough: amplitude in pixels by which the outline follows the wobble field.
        corners: (N, POLYGON_SIDES, 2) outward normals over distances of a polygon's sides, in units of the radius.
    """

    x: np.ndarray
    y: np.ndarray
    radius: np.ndarray
    aspect: np.ndarray
    cos: np.ndarray
    sin: np.ndarray
    shape: np.ndarray
    rough: np.ndarray
    corners: np.ndarray


def inside(leaves: Leaves, which: np.ndarray, dx: np.ndarray, dy: np.ndarray, shape: int) -> np.ndarray:
    """Whether offsets (dx, dy) from the centres of the leaves `which`, all of one shape, lie in them."""
    scale = 1 / leaves.radius[which]
    cos, sin = leaves.cos[which] * scale, leaves.sin[which] * scale
    u = dx * cos + dy * sin
    v = (dy * cos - dx * sin) / leaves.aspect[which]
    if shape == ELLIPSE:
        return u * u + v * v < 1
    if shape == BOX:
        return np.maximum(np.abs(u), np.abs(v)) < 0.8
    if shape == LENS:
        return np.abs(v) + u * u < 1
    if shape == RING:
        distance = u * u + v * v
        return (distance < 1) & (distance > 0.7)
    corners = leaves.corners[which]
    result = np.ones(np.broadcast_shapes(u.shape, v.shape), bool)
    for side in range(POLYGON_SIDES):
        result &= u * corners[..., side, 0] + v * corners[..., side, 1] < 1
    return result


def paint(leaves: Leaves, depth: np.ndarray, wobble: tuple[np.ndarray, np.ndarray]) -> None:
    """Raise `depth`, int32 (H, W), to the index of the front leaf where a leaf covers a pixel.

    Large leaves go first, so that most pixels of the many small ones are known to be hidden before their shape is
    looked at.

    Args:
        leaves: the scene.
        depth: holds the indices painted so far, 0 being the background; changed in place.
        wobble: displacement of outlines along x and y, float32 (H, W) each.
    """
    large = np.flatnonzero((leaves.radius >= BATCH_RADIUS) & (leaves.shape != STROKE))
    for index in large[::-1]:
        _paint_large(leaves, int(index), depth, wobble)
    # Small ones by size class and shape: one array holds the windows of a class, whose sides then waste little.
    bounds = np.sqrt(2.0) ** np.arange(-8, 2 * np.log2(BATCH_RADIUS) + 1)
    for low, high in zip(bounds[:-1], bounds[1:], strict=True):
        for shape in range(SHAPES):
            size_class = (leaves.radius >= low) & (leaves.radius < min(high, BATCH_RADIUS)) & (leaves.shape == shape)
            if size_class.any():
                _paint_small(leaves, np.flatnonzero(size_class), shape, depth, wobble)


def _paint_large(leaves: Leaves, index: int, depth: np.ndarray, wobble: tuple[np.ndarray, np.ndarray]) -> None:
    reach = float(leaves.radius[index] + leaves.rough[index]) * 1.25
    x, y = float(leaves.x[index]), float(leaves.y[index])
    rows = slice(max(int(y - reach), 0), max(int(y + reach) + 1, 0))
    columns = slice(max(int(x - reach), 0), max(int(x + reach) + 1, 0))
    window = depth[rows, columns]
    if not window.size:
        return
    dx = np.arange(columns.start, columns.start + window.shape[1], dtype=np.float32) - leaves.x[index]
    dy = (np.arange(rows.start, rows.start + window.shape[0], dtype=np.float32) - leaves.y[index])[:, None]
    dx = dx + leaves.rough[index] * wobble[0][rows, columns]
    dy = dy + leaves.rough[index] * wobble[1][rows, columns]
    which = np.array(index)
    covered = inside(leaves, which, dx, dy, int(leaves.shape[index])) & (window < index)
    window[covered] = index


def _paint_small(
    leaves: Leaves, which: np.ndarray, shape: int, depth: np.ndarray, wobble: tuple[np.ndarray, np.ndarray]
) -> None:
    height, width = depth.shape
    reach = int(np.ceil((leaves.radius[which] + leaves.rough[which]).max())) + 1
    steps = np.arange(-reach, reach + 1, dtype=np.int32)
    column = np.rint(leaves.x[which]).astype(np.int32)[:, None] + steps
    row = np.rint(leaves.y[which]).astype(np.int32)[:, None] + steps
    pixel = row[:, :, None] * width + column[:, None, :]
    pixel[(row < 0) | (row >= height)] = -1
    pixel.transpose(0, 2, 1)[(column < 0) | (column >= width)] = -1
    leaf = np.broadcast_to(which.astype(np.int32)[:, None, None], pixel.shape)
    # Off the canvas and behind what is painted already nothing has to be worked out.
    flat = depth.reshape(-1)
    seen = (pixel >= 0) & (flat[pixel] < leaf)
    pixel, leaf = pixel[seen], leaf[seen]
    rough = leaves.rough[leaf]
    dx = (pixel % width).astype(np.float32) - leaves.x[leaf] + rough * wobble[0].reshape(-1)[pixel]
    dy = (pixel // width).astype(np.float32) - leaves.y[leaf] + rough * wobble[1].reshape(-1)[pixel]
    covered = inside(leaves, leaf, dx, dy, shape)
    flat[pixel[covered]] = leaf[covered]  # of several leaves on a pixel the last one, the front one, stays


def paint_strokes(strokes: np.ndarray, index: np.ndarray, depth: np.ndarray) -> None:
    """Paint thin tapering curves: twigs, wires, blades of grass.

    Args:
        strokes: (K, 7) start x, y, then end and bend relative to the start (x, y each), and the half-width in pixels
            at the start; the curve is start + t end + t (1 - t) bend, 0 <= t <= 1.
        index: (K,) depth of each stroke.
        depth: int32 (H, W), changed in place.
    """
    height, width = depth.shape
    for stroke, own in zip(strokes.astype(np.float32), index, strict=True):
        x, y, end_x, end_y, bend_x, bend_y, half_width = stroke
        length = float(np.abs(stroke[2:6]).sum())
        # Points closer than a pixel along and across the stroke, so that it has no holes.
        t = np.linspace(0, 1, int(length / 0.7) + 2, dtype=np.float32)[:, None]
        across = np.linspace(-1, 1, 2 * int(half_width / 0.7 + 1) + 1, dtype=np.float32) * half_width * (1 - 0.7 * t)
        along_x, along_y = end_x + (1 - 2 * t) * bend_x, end_y + (1 - 2 * t) * bend_y
        speed = np.sqrt(along_x * along_x + along_y * along_y) + np.float32(1e-6)
        column = np.rint(x + t * (end_x + (1 - t) * bend_x) - across * along_y / speed).astype(np.int32)
        row = np.rint(y + t * (end_y + (1 - t) * bend_y) + across * along_x / speed).astype(np.int32)
        seen = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        row, column = row[seen], column[seen]
        depth[row, column] = np.maximum(depth[row, column], own)
