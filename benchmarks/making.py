"""Let a method make its outputs for a batch: images of one shape together, one by one if that fails."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from benchmarks.job import GROUND_TRUTH, Bench
from casarbi.data.protocol import Pair
from casarbi.errors import CasarbiError
from casarbi.pictures.inspection import check_batch, look
from casarbi.references import describe
from casarbi.sr import image_seed

Pairs = Mapping[tuple[str, float], Pair]
"""LR and GT by image id and scale, of those images that could be read."""


@dataclass
class Made:
    """What a method made of some images.

    Attributes:
        outputs: by image and scale; what is broken is not among them.
        broken: the reason for each output that could not be made or is no picture.
        findings: what is odd about an output, by kind (see `casarbi.pictures.inspection`).
    """

    outputs: dict[str, dict[float, Tensor]] = field(default_factory=dict)
    broken: dict[tuple[str, float], str] = field(default_factory=dict)
    findings: dict[tuple[str, float], dict[str, str]] = field(default_factory=dict)

    def take(self, image: str, pair: Pair, output: Tensor) -> None:
        """Look at an output and keep it, or the reason why it is none."""
        try:
            self.findings[image, pair.scale] = look(output, pair.lr, pair.gt)
        except CasarbiError as error:
            self.broken[image, pair.scale] = str(error)
        else:
            self.outputs.setdefault(image, {})[pair.scale] = output


def make_outputs(bench: Bench, method: str, pairs: Pairs, images: Mapping[float, Iterable[str]]) -> Made:
    """Run a method, a model's reference or the ground truth, on the images asked for at each scale."""
    made, needed = Made(), _needed_scales(bench, images)
    if method == GROUND_TRUTH:
        # The ground truth stands for a method whose outputs are the GT itself.
        made.outputs = {i: {s: pairs[i, s].gt for s in scales if (i, s) in pairs} for i, scales in needed.items()}
        return made
    for group, scales in _alike(needed, pairs):
        tries = [(group, _try(bench, method, group, scales, pairs))]
        # One bad image must not cost its group: after a failure each image goes by itself.
        if isinstance(tries[0][1], str) and len(group) > 1:
            tries = [([image], _try(bench, method, [image], scales, pairs)) for image in group]
        for tried, results in tries:
            if isinstance(results, str):
                made.broken.update({(image, scale): results for image in tried for scale in scales})
                continue
            for image, outputs in zip(tried, results, strict=True):
                for scale, output in zip(scales, outputs, strict=True):
                    made.take(image, pairs[image, scale], output)
    return made


def _try(
    bench: Bench,
    method: str,
    images: Sequence[str],
    scales: Sequence[float],
    pairs: Pairs,
) -> list[list[Tensor]] | str:
    """Outputs by image, then scale, or the reason why there are none."""
    try:
        return _upscale(bench, method, images, scales, pairs)
    except Exception as error:  # a plug-in may raise anything: the pictures failed, the run goes on
        return sentence(error)


def _needed_scales(bench: Bench, images: Mapping[float, Iterable[str]]) -> dict[str, list[float]]:
    """Scales to run for each image; a metric between scales needs all of them for one value."""
    needed: dict[str, set[float]] = {}
    needs_all = any(metric.between_scales for metric in bench.metrics.values())
    for scale, ids in images.items():
        for image in ids:
            needed.setdefault(image, set()).update(bench.job.scales if needs_all else [scale])
    return {image: sorted(scales) for image, scales in needed.items()}


def _alike(needed: Mapping[str, Sequence[float]], pairs: Pairs) -> Iterable[tuple[list[str], list[float]]]:
    """Group images whose LR and outputs have equal shapes; within an image, scales that share one LR go together."""
    groups: dict[tuple[Any, ...], tuple[list[str], list[float]]] = {}
    # Pairs of one image that share an LR share the tensor itself, so its id tells them.
    for image, scales in needed.items():
        by_lr: dict[int, list[float]] = {}
        for scale in scales:
            if (image, scale) in pairs:
                by_lr.setdefault(id(pairs[image, scale].lr), []).append(scale)
        for shared in by_lr.values():
            sizes = tuple(pairs[image, scale].size for scale in shared)
            shape = tuple(pairs[image, shared[0]].lr.shape)
            groups.setdefault((shape, tuple(shared), sizes), ([], shared))[0].append(image)
    return groups.values()


def _upscale(
    bench: Bench,
    method: str,
    images: Sequence[str],
    scales: Sequence[float],
    pairs: Pairs,
) -> list[list[Tensor]]:
    """Outputs by image, then scale; raises what the model raises, and CasarbiError on a wrong shape."""
    model = bench.model(method)
    if model is None:
        raise CasarbiError(bench.failed[method])
    # One LR for all these scales, one seed per image, whatever the batch. Scales of one seed go together, and so may
    # share noise and work.
    lr = torch.stack([pairs[image, scales[0]].lr for image in images]).to(bench.job.device)
    by_seed: dict[int, list[float]] = {}
    for scale in scales:
        by_seed.setdefault(bench.seed(method, scale), []).append(scale)
    made: dict[float, Tensor] = {}
    for seed, together in by_seed.items():
        sizes = [pairs[images[0], scale].size for scale in together]
        seeds = [image_seed(image, seed) for image in images]
        outputs = model.bind(images).upscale_many(lr, sizes, seeds)
        checked = (check_batch(output, len(images), size) for output, size in zip(outputs, sizes, strict=True))
        made.update(zip(together, checked, strict=True))
    return [[made[scale][i] for scale in scales] for i in range(len(images))]


def sentence(error: BaseException) -> str:
    """An error as a reason that is kept in the store."""
    return str(error) if isinstance(error, CasarbiError) else describe(error)
