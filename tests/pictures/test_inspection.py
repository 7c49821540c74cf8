"""What a model returned: refused, warned of, or fine."""

import csv
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from scenes import scene

import benchmarks.cli
import casarbi.cli
from benchmarks.store import CellKey, Row, Store
from casarbi.errors import CasarbiError
from casarbi.pictures.inspection import COLOUR, EQUAL, ORDER, box_means, check_batch, colour_error, look
from casarbi.pictures.resize import resize
from casarbi.pictures.writing import write_image
from casarbi.sr import ModelInfo, SRModel

BRIGHT = 0.55 + 0.45 * scene(40, 56, 1)
DARK = 0.1 * scene(40, 56, 2)
PICTURES = {"scene": scene(40, 56, 0), "bright": BRIGHT, "dark": DARK}
RANGES = {"float255": lambda x: 255 * x, "signed": lambda x: 2 * x - 1}


class Ranged(SRModel):
    """Bicubic in a range or order that is not the expected one."""

    info = ModelInfo(0, None, False, "none", "MIT", "tests")

    def __init__(self, kind):
        self.kind = kind

    @property
    def identity(self):
        return {"method": "ranged", "kind": self.kind}

    def upscale(self, lr, size, seeds):
        out = resize(lr, size)
        kinds = {
            **RANGES,
            "plain": lambda x: x.clamp(0, 1),
            "strided": lambda x: x.clamp(0, 1).permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2),
            "half": lambda x: x.clamp(0, 1).half(),
            "uint8": lambda x: (255 * x.clamp(0, 1)).round().to(torch.uint8),
            "numpy": lambda x: x.numpy(),
            "bgr": lambda x: x.clamp(0, 1).flip(1),
        }
        return kinds[self.kind](out)


def ranged(*, kind: str) -> Ranged:
    return Ranged(kind)


@pytest.mark.parametrize("scale", [1, 1.5, 3.7])
@pytest.mark.parametrize("picture", PICTURES)
def test_honest_outputs_pass(picture, scale):
    lr = PICTURES[picture]
    size = (round(40 * scale), round(56 * scale))
    out = resize(lr, size)
    for honest in (out, out.half().float(), out.clamp(0, 1), (out + 0.01).clamp(0, 1)):
        assert look(honest, lr) == {}


def test_overshoot_of_any_usual_kernel_passes():
    """A checkerboard is the worst that interpolation can meet."""
    board = ((torch.arange(24)[:, None] + torch.arange(24)) % 2).float().expand(3, -1, -1)
    for out in (resize(board, (90, 90)), 1.3 * (resize(board, (90, 90)) - 0.5) + 0.5):
        assert out.min() < -0.1 and look(out, board) == {}


@pytest.mark.parametrize("kind", RANGES)
@pytest.mark.parametrize("picture", PICTURES)
def test_another_range_is_refused_with_the_range_found(picture, kind):
    lr = PICTURES[picture]
    with pytest.raises(CasarbiError, match=r"values run from -?\d\S* to -?\d\S*, expected 0 to 1") as caught:
        look(RANGES[kind](resize(lr, (80, 112))), lr)
    assert ("-1…1" if kind == "signed" else "0…255") in str(caught.value)


def test_a_bad_method_is_not_taken_for_another_range():
    lr = PICTURES["scene"]
    for bad in (torch.zeros(3, 80, 112), torch.ones(3, 80, 112), torch.rand(3, 80, 112), 0.5 * resize(lr, (80, 112))):
        assert list(look(bad, lr)) == [COLOUR]
    burnt = resize(lr, (80, 112)).clamp(0, 1)
    burnt[:, 0, 0] = 40.0  # one pixel of 8,960 is no other range
    assert look(burnt, lr) == {}


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_values_that_are_not_finite_are_counted(value):
    out = PICTURES["scene"].clone()
    out[0, 0, :3] = value
    with pytest.raises(CasarbiError, match="3 of the output's 6,720 values are not finite"):
        look(out, PICTURES["scene"])


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (torch.zeros(2, 3, 4, 5, dtype=torch.uint8), r"returned torch.uint8 from 0 to 0, expected floating point"),
        (torch.zeros(2, 3, 4, 5, dtype=torch.complex64), r"returned torch.complex64, expected floating point"),
        (torch.zeros(2, 3, 5, 4), r"returned shape \(2, 3, 5, 4\), expected \(2, 3, 4, 5\)"),
        (torch.zeros(1, 3, 4, 5), r"returned shape \(1, 3, 4, 5\)"),
        ([1, 2], "returned list, expected a torch.Tensor"),
        (None, "returned NoneType"),
    ],
)
def test_what_is_no_batch_of_pictures_is_refused(output, words):
    with pytest.raises(CasarbiError, match=words):
        check_batch(output, 2, (4, 5))


def test_a_batch_comes_back_as_float32():
    made = check_batch(torch.ones(1, 3, 4, 5, dtype=torch.float16), 1, (4, 5))
    assert made.dtype == torch.float32 and made.device.type == "cpu"


def test_channels_in_another_order_are_recognised():
    colourful = PICTURES["scene"] * torch.tensor([1.0, 0.6, 0.3])[:, None, None]
    assert list(look(resize(colourful, (80, 112)).flip(0), colourful)) == [ORDER]


def test_an_output_that_equals_its_reference_is_told():
    lr, gt = PICTURES["scene"], resize(PICTURES["scene"], (80, 112)).clamp(0, 1)
    assert list(look(gt, lr, gt)) == [EQUAL]
    gt[0, 0, 0] += 1 / 255 if gt[0, 0, 0] < 0.5 else -1 / 255
    assert look(resize(lr, (80, 112)).clamp(0, 1), lr, gt) == {}


@pytest.mark.parametrize("scale", [1, 3.7])
def test_a_grey_checkerboard_that_comes_back_coloured_is_told(scale):
    """Channels 10 levels apart: everywhere, in patches that cancel out, and pixel by pixel."""
    lr = (0.25 + 0.5 * ((torch.arange(48)[:, None] + torch.arange(48)) % 2)).expand(3, -1, -1)
    size = (round(48 * scale), round(48 * scale))
    tint = torch.tensor([5, 0, -5])[:, None, None] / 255
    halves = torch.ones(size)
    halves[:, : size[1] // 2] = -1
    squares = torch.nn.functional.interpolate(lr[None, :1] * 4 - 2, size)[0]
    for sign in (torch.ones(size), halves, squares):
        found = look(resize(lr, size) + sign * tint, lr)
        assert list(found) == [COLOUR] and "grey parts became coloured by" in found[COLOUR]


def test_a_cast_in_one_corner_is_told():
    lr = PICTURES["scene"].clone() * 0.5 + 0.2
    out = resize(lr, (80, 112))
    out[0, :16, :16] += 0.15
    assert colour_error(box_means(out, (40, 56)), lr).abs().mean((1, 2)).max() < 5
    assert "in the worst part" in look(out, lr)[COLOUR]


@pytest.mark.parametrize("scale", [1.5, 3.7, 8])
def test_colour_error_sees_hue_and_not_texture(scale):
    texture = torch.randint(0, 2, (3, 37, 53), generator=torch.Generator().manual_seed(0)).float()
    size = (round(37 * scale), round(53 * scale))
    small = box_means(resize(texture, size).clamp(0, 1), (37, 53))
    assert colour_error(small, texture).abs().mean((1, 2)).max() < 4
    assert look(resize(texture, size), texture) == {}
    flat = torch.full((3, 37, 53), 0.5)
    moved = resize(flat, size) + torch.tensor([8 / 255, 0, -20 / 255])[:, None, None]
    expected = torch.tensor([8.0, 0, -20])[:, None, None]
    assert torch.allclose(colour_error(box_means(moved, (37, 53)), flat), expected.expand(3, 4, 6), atol=0.02)


def test_box_means_are_exact():
    image = torch.rand(3, 12, 30, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(box_means(image, (4, 5)), torch.nn.functional.avg_pool2d(image, (3, 6)), atol=1e-6)
    doubled = image.repeat_interleave(3, 1).repeat_interleave(7, 2)
    assert torch.allclose(box_means(doubled, (12, 30)), image, atol=1e-5)
    assert torch.allclose(box_means(image, (7, 11)).mean((1, 2)), image.mean((1, 2)), atol=1e-6)


@pytest.fixture
def both(tmp_path, monkeypatch):
    """Run both programs on the same pictures by `ranged`; returns their outcomes and the values of the bench."""
    monkeypatch.chdir(tmp_path)
    hr = scene(64, 96, 3) * torch.tensor([1.0, 0.6, 0.3])[:, None, None]
    for folder, picture in (("hr", hr), ("lr", resize(hr, (32, 48)).clamp(0, 1))):
        Path(folder).mkdir()
        for name in ("a", "b"):
            write_image(f"{folder}/{name}.png", picture)

    def call(kind):
        ref = f"test_inspection:ranged?kind={kind}"
        up = CliRunner().invoke(casarbi.cli.main, ["upscale", "lr", "-s", "2", "-o", "sr", "--overwrite", "-m", ref])
        words = ["grid", "--models", ref, "--data", "folder:hr", "--scales", "2", "--metrics", "ssim", "--workers", "1"]
        grid = CliRunner().invoke(benchmarks.cli.main, words)
        with open("reports/out/grid/grid.csv", newline="", encoding="utf-8") as file:
            return up, grid, [row["value"] for row in csv.DictReader(file)]

    return call


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("float255", "expected 0 to 1: they look like 0…255, so divide by 255"),
        ("signed", "expected 0 to 1: they look like -1…1, so return (x + 1) / 2"),
        ("uint8", "expected floating point in [0, 1]: divide bytes by 255"),
        ("numpy", "returned ndarray, expected a torch.Tensor"),
    ],
)
def test_both_programs_refuse_another_range(both, kind, words):
    up, grid, values = both(kind)
    assert up.exit_code == grid.exit_code == 1 and values == ["nan"]
    assert up.output.count(words) == 2 and words in grid.output
    assert "2 of 2 images have no value (a, b)" in grid.output and not Path("sr").exists()


def test_both_programs_name_another_order_and_measure_the_rest(both):
    up, grid, _ = both("bgr")
    assert up.exit_code == grid.exit_code == 0
    assert "a.png: the channels seem to be in the order BGR" in up.output
    assert "in 2 of 2 images (a, b) the channels seem to be in the order BGR" in grid.output
    plain = [float(both(kind)[2][0]) for kind in ("plain", "strided", "half")]
    assert plain[0] == plain[1] and abs(plain[2] - plain[0]) < 1e-3


def test_outputs_equal_to_their_references_are_told_without_psnr(both):
    write_image("hr/c.png", PICTURES["scene"])
    words = ["grid", "--models", "outputs:hr", "--data", "folder:hr", "--scales", "1", "--metrics", "ssim"]
    done = CliRunner().invoke(benchmarks.cli.main, [*words, "--workers", "1"])
    assert "in 3 of 3 images (a, b, c) the output equals the reference in every pixel" in done.output
    told = CliRunner().invoke(benchmarks.cli.main, [*words[:-1], "psnr", "--workers", "1"])
    assert "up to 3 of 3 outputs equal the GT; their infinite PSNR (dB) is in no mean" in told.output
    assert "in every pixel" not in told.output


def test_findings_are_kept_with_the_rows(tmp_path):
    cell = Store(tmp_path).cell(CellKey({"method": "m"}, "d", "p", 2.0, 0))
    cell.add([Row("a", "1", {"ssim": 1.0}, findings={EQUAL: "e"})], {})
    cell.add([Row("a", "1", {"psnr": 9.0}, findings={COLOUR: "c"}), Row("b", "2", {"psnr": 9.0})], {})
    assert {image: row.findings for (image, _), row in cell.rows().items()} == {"a": {EQUAL: "e", COLOUR: "c"}, "b": {}}
