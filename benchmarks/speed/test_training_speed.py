"""Steps of training per second, plain and compiled, on the same batches: how `make gpu` chooses between the two.

The preset is gpu-face. It needs a GPU; with CASARBI_TEST_DEVICE=cpu a small network and batch try the code out.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import nullcontext

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import nn

from casarbi.errors import CasarbiError
from casarbi.training.batches import Batches
from casarbi.training.compiling import compiled_blocks
from casarbi.training.ema import WeightAverage
from casarbi.training.optimizer import make_adam
from casarbi.training.presets import load_preset
from casarbi.training.task import Batch, build_task

STEPS = 24
"""Batches of a round: sizes differ from batch to batch, as the stages of the cascade do."""
ON_CPU = ("run.batch=2", "settings.network.width=8", "settings.network.lr_blocks=1", "settings.network.levels=[1,2]")


@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "compiled"])
def test_training_steps(compiled: bool, benchmark: BenchmarkFixture, tell: Callable[[str], None]) -> None:
    """Rounds of `STEPS` steps of the preset; the time of the first, in which kernels are compiled, is noted apart."""
    device = os.environ.get("CASARBI_TEST_DEVICE", "cuda")
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("torch sees no GPU")
    preset = load_preset("gpu-face", ON_CPU if device == "cpu" else ())
    task, run = build_task(preset.task, preset.settings, 0), preset.run
    noise = torch.Generator().manual_seed(0)
    pictures = [torch.randint(256, (3, 128, 128), generator=noise, dtype=torch.uint8) for _ in range(8)]
    made = Batches(pictures, task.recipe, 0, run.batch)
    batches = [_on(device, made[step]) for step in range(STEPS if device == "cuda" else 3)]

    network = task.network.to(device, memory_format=torch.channels_last).train()
    average, optimizer = WeightAverage(network, run.average_decay), make_adam(network, run.learning_rate)
    generator = torch.Generator(device).manual_seed(0)

    def train() -> float:
        for batch in batches:
            with torch.autocast(device, torch.bfloat16):
                loss = task.loss(batch, generator)["loss"]
            loss.backward()
            norm = nn.utils.clip_grad_norm_(network.parameters(), run.clip_norm)
            torch.stack((loss.detach(), norm)).tolist()  # waits for the GPU, as the trainer does
            optimizer.step()
            average.update(network)
            optimizer.zero_grad(set_to_none=True)
        return loss.item()

    try:
        with compiled_blocks(network) if compiled else nullcontext():
            began = time.perf_counter()
            train()
            first = time.perf_counter() - began
            benchmark.pedantic(train, rounds=3, warmup_rounds=1)
    except CasarbiError as error:
        pytest.skip(str(error))
    rate = len(batches) / benchmark.stats.stats.median
    benchmark.extra_info.update(
        batch=run.batch, steps_per_second=round(rate, 3), first_seconds=round(first, 1), precision="bfloat16"
    )
    tell(f"training, {'compiled' if compiled else 'plain'}: {rate:.2f} steps/s of {run.batch}, ready in {first:.1f} s")


def _on(device: str, batch: Batch) -> Batch:
    return {name: tensor.to(device) for name, tensor in batch.items()}
