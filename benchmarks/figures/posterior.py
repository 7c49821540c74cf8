"""Figure 8: what a method makes of one LR under different seeds, with the mean and the standard deviation of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np

from benchmarks.experiments import MethodSpec
from benchmarks.figures.declaration import PosteriorPreset
from benchmarks.figures.panel import Drawing, OpenPanel
from benchmarks.figures.pictures import Output
from benchmarks.figures.plate import ColourBar, Line, Tile, draw_plate
from benchmarks.statistics import mean_interval
from casarbi.data.psnr import psnr
from casarbi.scales import scale_label
from reports.figure import Picture, Table

HEAT = "magma"
SHARE = 99.5
"""Percent of the pixels of all maps that lie within the scale of colours."""


@dataclass(frozen=True, eq=False)
class Posterior:
    """Samples of one method for one image at one scale.

    Attributes:
        samples: uint8 (N, H, W, 3), one per seed.
        mean: (H, W, 3) in levels of 255.
        spread: (H, W), the standard deviation over seeds in levels of 255, averaged over the three channels.
    """

    samples: np.ndarray
    mean: np.ndarray
    spread: np.ndarray

    @classmethod
    def of(cls, samples: np.ndarray) -> Posterior:
        """Of samples uint8 (N, H, W, 3), of which there are two or more."""
        values = samples.astype(np.float64)
        return cls(samples, values.mean(axis=0), values.std(axis=0, ddof=1).mean(axis=-1))


Key = tuple[str, str, float]
"""Method, image, scale."""


def _preset(panel: OpenPanel) -> PosteriorPreset:
    assert isinstance(panel.figure.preset, PosteriorPreset)
    return panel.figure.preset


def _sampled(panel: OpenPanel) -> list[MethodSpec]:
    """Methods that draw noise: of the others all samples are one."""
    return [m for m in panel.methods if (model := panel.bench.model(m.model)) and model.info.stochastic]


def wanted(panel: OpenPanel) -> list[Output]:
    """One output per method, image, scale and seed, all methods of a seed before the next."""
    preset = _preset(panel)
    return [
        Output(method.model, image, scale, seed)
        for seed in range(preset.seed, preset.seed + preset.samples)
        for image in panel.images
        for scale in panel.scales
        for method in _sampled(panel)
    ]


def draw(panel: OpenPanel) -> Drawing:
    """A plate per picture and scale with a row for each method, and a table of what the maps come to."""
    found = _read(panel)
    top = _top_of_scale([posterior.spread for posterior in found.values()])
    pictures = [
        _draw(panel, f"{panel.spec.name}-{place + 1}-x{scale_label(scale)}", image, scale, found, top)
        for place, image in enumerate(panel.images)
        for scale in panel.scales
    ]
    how = (
        f"standard deviation over the seeds with N - 1, of 8-bit outputs, averaged over R, G and B; one scale of "
        f"colours for all maps, whose top, {top} of 255 levels, is above {SHARE:g} % of their pixels"
    )
    return Drawing(pictures, [_table(panel, found)] if found else [], [("Heat maps", how)])


def _read(panel: OpenPanel) -> dict[Key, Posterior]:
    preset, found = _preset(panel), {}
    for method in _sampled(panel):
        for image in panel.images:
            for scale in panel.scales:
                seeds = range(preset.seed, preset.seed + preset.samples)
                made = [panel.read(Output(method.model, image, scale, seed)) for seed in seeds]
                # A mean over fewer seeds than it says would be another figure.
                if all(made):
                    found[method.name, image, scale] = Posterior.of(np.stack([m[-1] for m in made if m]))
    return found


def _top_of_scale(maps: Sequence[np.ndarray]) -> int:
    highest = max((float(np.percentile(spread, SHARE)) for spread in maps), default=0.0)
    return max(5, 5 * int(np.ceil(highest / 5)))


def _draw(panel: OpenPanel, name: str, image: str, scale: float, found: Mapping[Key, Posterior], top: int) -> Picture:
    preset = _preset(panel)
    headings = ["LR", *(f"seed {preset.seed + n}" for n in range(preset.shown))]
    headings += [f"mean of {preset.samples}", "deviation", "GT"]
    lr, gt = Tile(panel.lr(image, scale)), Tile(panel.gt(image, scale))
    colours = (matplotlib.colormaps[HEAT](np.arange(256))[:, :3] * 255).round().astype(np.uint8)
    lines = []
    for method in _sampled(panel):
        posterior = found.get((method.name, image, scale))
        if posterior is None:
            lines.append(Line([method.name], [lr, *[Tile(None, words="not made")] * (preset.shown + 2), gt]))
            continue
        heat = colours[np.clip(posterior.spread / top * 255, 0, 255).round().astype(np.uint8)]
        shown = [Tile(pixels) for pixels in posterior.samples[: preset.shown]]
        tiles = [lr, *shown, Tile(posterior.mean.round().astype(np.uint8)), Tile(heat), gt]
        lines.append(Line([method.name], tiles))
    bar = ColourBar(colours, "standard deviation in levels of 255", "0", f"{top} and more")
    words = f"samples of {preset.shown} seeds, mean and standard deviation over {preset.samples} seeds"
    caption = f"{image} at ×{scale_label(scale)}: {words}."
    return Picture(name, caption, png=draw_plate(headings, lines, bar))


def _table(panel: OpenPanel, found: Mapping[Key, Posterior]) -> Table:
    rows = []
    for (method, image, scale), posterior in found.items():
        gt, cut = panel.gt(image, scale), panel.bench.job.protocol.border_pixels(scale)
        single = mean_interval([_psnr(sample, gt, cut) for sample in posterior.samples])
        of_mean = _psnr(posterior.mean.round().astype(np.uint8), gt, cut)
        rows.append(
            (
                method,
                image,
                f"×{scale_label(scale)}",
                f"{posterior.spread.mean():.2f}",
                f"{single.mean:.2f} [{single.low:.2f}, {single.high:.2f}]",
                f"{of_mean:.2f}",
            )
        )
    samples = _preset(panel).samples
    header = (
        "Method",
        "Image",
        "Scale",
        "Mean deviation per pixel",
        "PSNR of one sample (dB)",
        "PSNR of the mean (dB)",
    )
    note = (
        f"Over {samples} seeds: deviation in levels of 255; PSNR of one sample is the mean over the samples, with the "
        "95 % bootstrap interval over seeds, not over images. Averaging samples raises PSNR wherever they differ."
    )
    return Table("Spread of the samples", header, tuple(rows), note)


def _psnr(image: np.ndarray, gt: np.ndarray, cut: int) -> float:
    """PSNR as the protocol compares pictures: without so many pixels of each side."""
    height, width = gt.shape[:2]
    inner = (slice(cut, height - cut), slice(cut, width - cut))
    return psnr(image[inner], gt[inner])
