"""What `casarbi upscale` foretells, and progress on a terminal."""

import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from programs import environment

import casarbi.upscaling.forecast
from casarbi.cli import main
from casarbi.costs import StageWork
from casarbi.sr import ModelInfo, SRModel, create_model
from casarbi.upscaling.forecast import Forecast, added_bytes, forecast

GB = 10**9


class Slow(SRModel):
    """Takes a fixed time per output pixel, in ten steps, and says how much memory it needs."""

    identity = {"method": "slow"}
    info = ModelInfo(0, None, False, "none", "MIT", "tests")
    calls = 0
    sleep = staticmethod(time.sleep)

    def __init__(self, seconds_per_pixel=0.0, least=0, needs=None):
        self.seconds, self.least, self.needs = seconds_per_pixel, least, needs

    def memory_bytes(self, lr_size, size):
        return self.needs

    def upscale(self, lr, size, seeds):
        Slow.calls += 1
        if min(lr.shape[-2:]) < self.least:
            raise RuntimeError("too small for this network")
        for _ in range(10):
            self.sleep(self.seconds * size[0] * size[1] / 10)
            self.report(0.1)
        return torch.full((len(lr), 3, *size), 0.5)


def slow(*, seconds: float = 0.0, needs: float = 0.0) -> Slow:
    return Slow(seconds, needs=int(needs * GB))


@pytest.mark.parametrize("start", [0.0, 0.3])
@pytest.mark.parametrize("per_pixel", [1e-7, 1e-5, 1e-4, 1e-3, 0.1])
def test_time_is_foretold_within_a_factor_of_two(monkeypatch, per_pixel, start):
    """With a clock that only the model moves; each call takes `start` seconds beside those of its pixels."""
    clock, model = [0.0], Slow(per_pixel)
    monkeypatch.setattr(casarbi.upscaling.forecast, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    model.sleep = lambda seconds: clock.__setitem__(0, clock[0] + seconds + start / 10)
    sizes = [((120, 160), (444, 592)), ((50, 50), (185, 185))]
    real = per_pixel * (444 * 592 + 185 * 185) + 2 * start
    told = forecast(model, sizes, "cpu").seconds
    assert told < 20 if real < 10 else real / 2 < told < 2 * real
    assert clock[0] < max(2, 0.15 * real)  # the probes themselves


class Attentive(Slow):
    """Every pixel of a result costs something by itself, and looks at all the others."""

    def work(self, lr_size, size):
        pixels = size[0] * size[1]
        return (StageWork(size, 1, pixels + pixels**2 // 50_000),)

    def upscale(self, lr, size, seeds):
        self.sleep(self.seconds * self.work(None, size)[0].flops)
        return torch.full((len(lr), 3, *size), 0.5)


def test_operations_that_grow_faster_than_pixels_are_foretold(monkeypatch):
    clock, model = [0.0], Attentive(1e-4)
    monkeypatch.setattr(casarbi.upscaling.forecast, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    model.sleep = lambda seconds: clock.__setitem__(0, clock[0] + seconds)
    real = 1e-4 * model.work(None, (400, 600))[0].flops
    assert real > 5 * 1e-4 * 400 * 600
    assert forecast(model, [((100, 150), (400, 600))], "cpu").seconds == pytest.approx(real, rel=0.01)


def test_a_model_that_fails_on_small_pictures_has_no_forecast():
    told = forecast(Slow(1.0, least=500), [((600, 600), (1200, 1200))], "cpu")
    assert told.seconds is None and str(told) == f"about {told.memory_bytes / GB:.1f} GB of memory"


def test_forecasts_read_well():
    assert str(Forecast(51.2, 1_230_000_000)) == "about 51 s, 1.2 GB of memory"
    assert not Forecast(3, GB).is_worth_a_line and Forecast(3, 3 * GB).is_worth_a_line


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, size in (("a", (30, 20)), ("b", (60, 40))):
        Image.new("RGB", size, "gray").save(f"{name}.png")


def upscale(*words):
    return CliRunner().invoke(main, ["upscale", "a.png", "b.png", "-s", "2", "--device", "cpu", *words])


def test_a_long_run_is_foretold_before_it_begins(pictures, monkeypatch):
    monkeypatch.setattr(casarbi.upscaling.forecast, "LONG_SECONDS", 0.5)
    done = upscale("-m", "test_forecast:slow?seconds=1e-4")
    lines = done.output.splitlines()
    assert done.exit_code == 0 and re.fullmatch(r"2 pictures: about \d s, \d\.\d GB of memory", lines[1])
    assert "about" not in upscale("-m", "test_forecast:slow", "--overwrite").output


def test_what_cannot_fit_into_memory_is_refused_before_the_work(pictures, monkeypatch):
    monkeypatch.setattr(casarbi.upscaling.forecast, "available_bytes", lambda: 2 * GB)
    Slow.calls = 0
    done = upscale("-m", "test_forecast:slow?needs=9")
    assert done.exit_code == 1 and Slow.calls == 0 and not Path("a_x2.png").exists()
    assert "a.png needs about 9.0 GB to become 60x40 px, and 2.0 GB are free: ask for a smaller size" in done.output
    warned = upscale("-m", "test_forecast:slow?needs=3")
    assert warned.exit_code == 0 and "Warning: a.png may not fit: it needs about 3.0 GB" in warned.output


def test_a_single_picture_has_a_bar_that_names_it_and_moves(pictures):
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "casarbi.cli", "upscale", "a.png", "-m", "test_forecast:slow?seconds=3e-4"]
    env = environment(Path(__file__).parent, TERM="xterm", COLUMNS="120")
    run = subprocess.Popen(command, stdin=child, stdout=child, stderr=child, env=env)
    os.close(child)
    seen = b""
    while True:
        try:
            piece = os.read(parent, 4096)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        seen += piece
    assert run.wait() == 0 and b"enlarging a.png" in seen
    shares = {int(found) for found in re.findall(rb"(\d+)%", seen)}
    assert len(shares - {0, 100}) >= 3, shares


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reference", "lr_side", "side"),
    [
        *(("bicubic", 512, 2048), ("casarbi:mini-scene?steps=1", 64, 256), ("casarbi:mini-scene?steps=1", 192, 768)),
        *(("casarbi:mini-scene?steps=1&tile=256", 192, 768), ("idm:scene?steps=1", 128, 512)),
        *(("kim:scene?steps=2", 128, 512), ("liif:scene", 256, 512), ("liif:scene", 64, 1024)),
    ],
)
def test_memory_is_foretold_within_a_factor_of_two(reference, lr_side, side):
    code = (
        "import re, sys, torch; from casarbi.sr import create_model; model = create_model(sys.argv[1])\n"
        "size = lambda key: int(re.search(key + r':\\s+(\\d+)', open('/proc/self/status').read())[1]) * 1024\n"
        "torch.set_grad_enabled(False); model.upscale(torch.rand(1, 3, 16, 16), (24, 24), [0])\n"
        "open('/proc/self/clear_refs', 'w').write('5'); before = size('VmRSS')\n"
        "n, m = int(sys.argv[2]), int(sys.argv[3]); model.upscale(torch.rand(1, 3, n, n), (m, m), [0])\n"
        "print(size('VmHWM') - before)"
    )
    command = [sys.executable, "-c", code, reference, str(lr_side), str(side)]
    real = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    told = added_bytes(create_model(reference), (lr_side, lr_side), (side, side))
    assert real / 2 < told < 2 * real
