"""Figures 1, 6 and 7: a picture by each method at each scale, whole and with parts of it magnified."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.figures.crops import Part, declared_parts, most_detailed_parts
from benchmarks.figures.declaration import ComparisonPanel
from benchmarks.figures.panel import Drawing, OpenPanel
from benchmarks.figures.pictures import Output
from benchmarks.figures.plate import COLOURS, Line, Tile, draw_plate
from casarbi.scales import scale_label
from reports.figure import Picture


def wanted(panel: OpenPanel) -> list[Output]:
    """The outputs that are shown."""
    seed = panel.figure.preset.seed
    return [
        Output(method.model, image, scale, seed)
        for image in panel.images
        for scale in panel.scales
        for method in panel.methods
    ]


def draw(panel: OpenPanel) -> Drawing:
    """A plate per picture: for each scale a row of the whole picture, and one for each part that is magnified."""
    pictures = [_draw(panel, place) for place in range(len(panel.images))]
    return Drawing(pictures, facts=[("Magnified parts", _how_chosen(panel))])


def _draw(panel: OpenPanel, place: int) -> Picture:
    image = panel.images[place]
    headings = ["LR", *(method.name for method in panel.methods), "GT"]
    lines = [line for scale in panel.scales for line in _lines(panel, place, scale)]
    scales = ", ".join(f"×{scale_label(scale)}" for scale in panel.scales)
    caption = f"{image} at {scales}. Columns: {', '.join(headings)}."
    return Picture(f"{panel.spec.name}-{place + 1}", caption, png=draw_plate(headings, lines))


def _lines(panel: OpenPanel, place: int, scale: float) -> list[Line]:
    image, parts = panel.images[place], chosen_parts(panel, place, scale)
    lr, gt = panel.lr(image, scale), panel.gt(image, scale)
    made = [panel.read(Output(m.model, image, scale, panel.figure.preset.seed)) for m in panel.methods]
    shown = [lr, *(stages[-1] if stages else None for stages in made), gt]
    label = [f"×{scale_label(scale)}", *_notes(panel, scale, lr)]
    lines = [Line(label, [_tile(pixels, gt, parts) for pixels in shown])]
    for number, part in enumerate(parts):
        edge = COLOURS[number % len(COLOURS)]
        cut = [None if pixels is None else part.cut(pixels) for pixels in shown]
        lines.append(Line((), [_tile(pixels, part.cut(gt), edge=edge) for pixels in cut]))
    return lines


def _tile(pixels: np.ndarray | None, gt: np.ndarray, parts: Sequence[Part] = (), edge: str = "") -> Tile:
    if pixels is None:
        return Tile(None, words="not made")
    # The LR takes no more room than the GT beside it.
    room = Tile(gt).repeats * max(gt.shape[:2])
    return Tile(pixels, [part.box((pixels.shape[0], pixels.shape[1])) for part in parts], edge, room=room)


def _notes(panel: OpenPanel, scale: float, lr: np.ndarray) -> list[str]:
    split, (height, width) = panel.figure.declared.split, lr.shape[:2]
    beyond = ["beyond", "training"] if split is not None and scale > split else []
    return [f"LR {width}×{height}", *beyond]


def chosen_parts(panel: OpenPanel, place: int, scale: float) -> list[Part]:
    """Parts of a picture, by its place: those declared for it, else those where the GT has most detail."""
    assert isinstance(panel.declared, ComparisonPanel)
    image, declared = panel.images[place], panel.declared
    lr = panel.lr(image, scale)
    lr_size = (lr.shape[0], lr.shape[1])
    # Looked for at the largest scale, whose GT shows most, so that the same part is shown at every scale.
    gt = panel.gt(image, max(panel.scales) if panel.bench.job.protocol.one_lr else scale)
    return declared_parts(declared, place, lr_size) or most_detailed_parts(
        gt, lr_size, declared.crop_side, declared.crops
    )


def _how_chosen(panel: OpenPanel) -> str:
    assert isinstance(panel.declared, ComparisonPanel)
    by_hand = sorted({panel.images[window.picture] for window in panel.declared.windows})
    auto = [image for image in panel.images if image not in by_hand]
    parts = [f"{', '.join(by_hand)}: as declared"] if by_hand else []
    if auto and panel.declared.crops:
        parts.append(
            f"{', '.join(auto)}: where neighbouring pixels of the GT differ most in luma, chosen without a look at any "
            "method's output"
        )
    return "; ".join(parts) or "none"
