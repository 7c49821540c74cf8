"""Table V's rows for the device at hand: seconds and operations per face of every method, at mini and the papers' size.

And faces per second if many go through the network at once. Random weights serve for timing: the arithmetic is the
same. A GPU is used if there is one. The papers' size takes about half an hour on a CPU, and 4 GiB of memory and 2 of
disk: `make bench-paper`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch.utils.flop_counter import FlopCounterMode

from baselines.idm.costs import idm_cost
from baselines.idm.model import IDM
from baselines.kim.costs import kim_cost
from baselines.kim.model import Kim
from baselines.kim.training import KimTask
from baselines.liif.training import LIIFSettings, LIIFTask
from casarbi.method.costs import stage_costs
from casarbi.method.model import CasArbi
from casarbi.network_model import NetworkModel
from casarbi.scales import Size
from casarbi.signed import to_signed
from casarbi.sr import SRModel, create_model
from casarbi.training.presets import load_preset
from casarbi.training.task import Task, build_task

LR = (16, 16)
SCALES = (2, 4, 8, 12)
BATCHES = (1, 16, 64)
PRESETS = {
    ("LIIF", "mini"): "mini-liif-face",
    ("IDM", "mini"): "mini-idm-face",
    ("Kim", "mini"): "mini-kim-face",
    ("Ours", "mini"): "mini-face",
    ("LIIF", "paper"): "",  # no preset: its published defaults
    ("IDM", "paper"): "paper-idm-face",
    ("Kim", "paper"): "paper-kim-face",
    ("Ours", "paper"): "paper-face",
}
REFERENCES = {
    ("IDM", "paper"): "idm:{}?sampler=ddim&steps=0",  # the published 199 steps of DDIM
    ("Kim", "paper"): "kim:{}?steps=200",  # the published evaluation's, 199 of which are run
}


@pytest.fixture(scope="module", params=PRESETS, ids="-".join)
def method(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, NetworkModel]]:
    """Name and model: written with random weights and read again, as every model is."""
    name, size = request.param
    task = _task(PRESETS[request.param])
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    task.save(path, task.network, {})
    kind = "casarbi" if name == "Ours" else name.lower()
    model = create_model(REFERENCES.get(request.param, f"{kind}:{{}}").format(path))
    assert isinstance(model, NetworkModel)
    yield f"{name} ({size})", model.to("cuda" if torch.cuda.is_available() else "cpu")
    path.unlink()


def _task(preset: str) -> Task:
    if not preset:
        return LIIFTask(LIIFSettings())
    loaded = load_preset(preset)
    task = build_task(loaded.task, loaded.settings, 0)
    # Kim's training measures the scale of its latent first; any number does for timing.
    if isinstance(task, KimTask):
        task.network.scale_factor.fill_(1.0)
    return task


@pytest.mark.parametrize("scale", SCALES)
def test_seconds_and_operations_of_a_face(
    method: tuple[str, SRModel], scale: int, benchmark: BenchmarkFixture, tell: Callable[[str], None]
) -> None:
    """One face from 16 x 16, in a batch of one as the papers time it."""
    name, model = method
    lr, size = torch.rand(1, 3, *LR, generator=torch.Generator().manual_seed(0)), (LR[0] * scale, LR[1] * scale)
    # The papers' chains take seconds even on a GPU, which one run to get warm and one to time are enough for.
    heavy = "paper" in name
    warmups = 0 if heavy and not torch.cuda.is_available() else 1
    benchmark.pedantic(lambda: model.upscale(lr, size, [0]), rounds=1 if heavy else 3, warmup_rounds=warmups)
    gflop, calls = count(model, size) / 1e9, model.evaluations(scale)
    benchmark.extra_info.update(gflop=round(gflop, 2), evaluations=calls)
    seconds = benchmark.stats.stats.median
    tell(f"{name:<13} {scale:>3}x {seconds:>10.3f} s {gflop:>10.1f} GFLOP {calls:>4} evaluations")


@pytest.mark.parametrize("batch", BATCHES)
def test_faces_per_second(
    method: tuple[str, NetworkModel], batch: int, benchmark: BenchmarkFixture, tell: Callable[[str], None]
) -> None:
    """Faces at 8x, `batch` of them in each call of `enlarge`; how far they are from those made one by one is noted."""
    name, model = method
    if model.device.type == "cpu" and ("paper" in name or batch > BATCHES[1]):
        pytest.skip("a CPU gains nothing from so large a batch")
    size, seeds = (8 * LR[0], 8 * LR[1]), range(batch)
    lr = torch.rand(batch, 3, *LR, generator=torch.Generator().manual_seed(0))
    images = to_signed(lr.to(model.device)).contiguous()

    def enlarge() -> torch.Tensor:
        with torch.no_grad():
            return torch.cat([made.cpu() for made in model.enlarge(images, [size], seeds)])

    made = enlarge().div(2).add(0.5).clamp(0, 1)
    benchmark.pedantic(enlarge, rounds=1 if "paper" in name or model.device.type == "cpu" else 3)
    rate = batch / benchmark.stats.stats.median
    levels = 255 * (made[:1] - model.upscale(lr[:1], size, [0]).cpu()).abs().max().item()
    benchmark.extra_info.update(batch=batch, faces_per_second=round(rate, 3), levels_from_one_by_one=round(levels, 3))
    tell(f"{name:<13} {batch:>3} at once {rate:>10.2f} faces/s, up to {levels:.2f} levels from one by one")


def count(model: SRModel, size: Size) -> int:
    """Operations of one face."""
    if isinstance(model, CasArbi):
        return sum(cost.flops(len(model.timesteps)) for _, _, cost in stage_costs(model.config, LR, size))
    if isinstance(model, IDM):
        return idm_cost(model.config.network, LR, size).flops(len(model.steps))
    if isinstance(model, Kim):
        return kim_cost(model.config, LR, size).flops(len(model.steps))
    # A method without a cost of its own, LIIF, is run and counted.
    with FlopCounterMode(display=False) as counter:
        model.upscale(torch.zeros(1, 3, *LR), size, [0])
    return counter.get_total_flops()
