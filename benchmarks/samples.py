"""Samples of a report: a few images as every method makes them, side by side, made once and kept in the store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from benchmarks.experiments import PanelSpec
from benchmarks.job import GROUND_TRUTH, Bench
from benchmarks.store import Store
from casarbi.errors import CasarbiError
from casarbi.files import write_file
from casarbi.pictures.inspection import check_batch
from casarbi.pictures.pixels import to_uint8
from casarbi.pictures.sheet import contact_sheet, nearest
from casarbi.scales import scale_label
from casarbi.sr import image_seed
from reports.document import Sheet


def samples(spec: PanelSpec, bench: Bench, store: Store) -> list[Sheet]:
    """The contact sheet that a panel declares; none if no model opens or one of them fails."""
    images = bench.dataset.ids[: spec.samples]
    methods = [method for method in bench.methods if method != GROUND_TRUTH]
    if not images or not methods:
        return []
    names: dict[str, str] = {}
    for method in spec.methods:
        names.setdefault(method.model, method.name)  # several may share a model
    columns = {method: names[method] for method in methods}
    # Named after whatever decides its pixels: a sheet that is there is the one that would be drawn.
    drawn = {"images": [bench.digests[i] for i in images], "scale": spec.sample_scale, "version": 1}
    drawn |= {"columns": list(columns.values())}
    keys = [bench.key(method, spec.sample_scale).plain for method in methods]
    name = hashlib.sha256(json.dumps([drawn, keys], sort_keys=True).encode()).hexdigest()[:20]
    path = store.folder / "samples" / f"{name}.png"
    # Drawing runs every model again, so a sheet is kept.
    if not path.exists():
        try:
            png = _draw(bench, columns, images, spec.sample_scale)
        except Exception:  # a plug-in may raise anything; the failing image is named under the table
            return []
        write_file(path, png)
    caption = f"LR (enlarged by repetition), {', '.join(columns.values())} and GT at x{scale_label(spec.sample_scale)}."
    return [Sheet(path.read_bytes(), caption, f"Rows: {', '.join(images)}. Columns: {caption}")]


@torch.inference_mode()
def _draw(bench: Bench, columns: Mapping[str, str], images: Sequence[str], scale: float) -> bytes:
    """PNG with a line per image: LR, the output of each method under its name in `columns`, GT."""
    tiles = []
    for image in images:
        pair = bench.job.protocol.pairs(bench.dataset, image, [scale])[0]
        lr = pair.lr[None].to(bench.job.device)
        tiles.append((f"LR {lr.shape[-1]} px", nearest(_levels(pair.lr), pair.size)))
        for method, name in columns.items():
            model = bench.model(method)
            if model is None:
                raise CasarbiError(bench.failed[method])
            output = model.bind([image]).upscale(lr, pair.size, [image_seed(image, bench.seed(method, scale))])
            tiles.append((name, _levels(check_batch(output, 1, pair.size)[0])))
        tiles.append(("GT", _levels(pair.gt)))
    return contact_sheet(tiles, columns=len(columns) + 2)


def _levels(image: Tensor) -> np.ndarray:
    return to_uint8(image.cpu()).permute(1, 2, 0).numpy()
