"""Figure 10: the images on the way to a size, of each method that gets there in stages and of those that do not."""

from __future__ import annotations

from benchmarks.figures.panel import Drawing, OpenPanel
from benchmarks.figures.pictures import Output
from benchmarks.figures.plate import Line, Tile, draw_plate
from casarbi.scales import scale_label
from reports.figure import Picture


def wanted(panel: OpenPanel) -> list[Output]:
    """The outputs that are shown, each with its stages."""
    return [
        Output(method.model, image, scale, panel.figure.preset.seed, stages=True)
        for image in panel.images
        for scale in panel.scales
        for method in panel.methods
    ]


def draw(panel: OpenPanel) -> Drawing:
    """A plate per picture and scale, with a row for each method."""
    pictures = [
        _draw(panel, f"{panel.spec.name}-{place + 1}-x{scale_label(scale)}", image, scale)
        for place, image in enumerate(panel.images)
        for scale in panel.scales
    ]
    return Drawing(pictures)


def _draw(panel: OpenPanel, name: str, image: str, scale: float) -> Picture:
    seed = panel.figure.preset.seed
    made = {
        method.name: panel.read(Output(method.model, image, scale, seed, stages=True)) or [] for method in panel.methods
    }
    most = max([1, *map(len, made.values())])
    lr, gt = Tile(panel.lr(image, scale)), Tile(panel.gt(image, scale))
    headings = ["LR", *(f"stage {place + 1}" for place in range(most - 1)), "last stage", "GT"]
    lines = []
    for method, stages in made.items():
        shown = [Tile(pixels) for pixels in stages] or [Tile(None, words="not made")]
        # Results of one size stand under each other: a run of one stage has the last column alone.
        tiles = [lr, *[None] * (most - len(shown)), *shown, gt]
        lines.append(
            Line([method, " → ".join(str(len(pixels)) for pixels in [panel.lr(image, scale), *stages])], tiles)
        )
    caption = f"{image} at ×{scale_label(scale)}, stage by stage; heights in pixels stand under each method's name."
    return Picture(name, caption, png=draw_plate(headings, lines))
