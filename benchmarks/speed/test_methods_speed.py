"""Faces per second if many go through a network at once, of every method at mini and the papers' size.

Random weights serve for timing: the arithmetic is the same. A GPU is used if there is one. Seconds and operations of
one face at a time are Table V's: `casarbi-bench run table5`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.kinds import Choice
from benchmarks.speed.arithmetic import Arithmetic
from benchmarks.timing.declaration import load_timing
from benchmarks.untrained import write_untrained
from casarbi.network_model import NetworkModel
from casarbi.precision import computing_in
from casarbi.signed import to_signed
from casarbi.sr import create_model

LR, SIZE = (16, 16), (128, 128)
BATCHES = (1, 16, 64)
PRECISIONS = ("float32", "tf32", "bfloat16")
MODELS = {
    (method.name, preset): method.model
    for preset in ("mini", "paper")
    for method in load_timing(Choice("table5", preset)).methods
}


@pytest.fixture(scope="module", params=MODELS, ids="-".join)
def method(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, NetworkModel]]:
    """Name and model of a row of Table V."""
    name, preset = request.param
    folder = tmp_path_factory.mktemp("weights")
    model = create_model(write_untrained(MODELS[request.param], folder))
    assert isinstance(model, NetworkModel)
    yield f"{name} ({preset})", model.to("cuda" if torch.cuda.is_available() else "cpu")
    for path in folder.iterdir():
        path.unlink()


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("batch", BATCHES)
def test_faces_per_second(
    method: tuple[str, NetworkModel],
    batch: int,
    precision: str,
    benchmark: BenchmarkFixture,
    tell: Callable[[str], None],
) -> None:
    """Faces at 8x, `batch` of them in each call of `enlarge`.

    Beside the rate stands what part of the time the method's own convolutions and matrix products take alone, and how
    far a face is from the one made by itself.
    """
    name, model = method
    on_cpu = model.device.type == "cpu"
    if precision != PRECISIONS[0] and batch != BATCHES[-1]:
        pytest.skip("other numbers are compared in the largest batch")
    if on_cpu and ("paper" in name or batch > BATCHES[1]):
        pytest.skip("a CPU gains nothing from so large a batch")
    seeds = range(batch)
    lr = torch.rand(batch, 3, *LR, generator=torch.Generator().manual_seed(0))
    images = to_signed(lr.to(model.device)).contiguous()

    def enlarge() -> torch.Tensor:
        with torch.no_grad(), computing_in(precision, model.device):
            return torch.cat([made.float().cpu() for made in model.enlarge(images, [SIZE], seeds)])

    with Arithmetic() as arithmetic:
        made = enlarge().div(2).add(0.5).clamp(0, 1)
    benchmark.pedantic(enlarge, rounds=1 if "paper" in name or on_cpu else 3)
    seconds = benchmark.stats.stats.median
    with torch.no_grad(), computing_in(precision, model.device):
        share = arithmetic.seconds() / seconds
    levels = 255 * (made[:1] - model.upscale(lr[:1], SIZE, [0]).cpu()).abs().max().item()
    benchmark.extra_info.update(
        batch=batch,
        precision=precision,
        faces_per_second=round(batch / seconds, 3),
        share_of_arithmetic=round(share, 3),
        levels_from_one_by_one=round(levels, 3),
    )
    tell(
        f"{name:<13} {precision:<8} {batch:>3} at once {batch / seconds:>10.2f} faces/s, {share:>4.0%} of it "
        f"arithmetic, up to {levels:.2f} levels from one by one"
    )
