"""One picture file to another."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from baselines.bicubic import bicubic
from casarbi.pictures.pixels import to_uint8
from casarbi.pictures.reading import read_picture
from casarbi.pictures.resize import resize
from casarbi.upscaling.enlarge import enlarge
from casarbi.upscaling.target import TargetSize

RAMP = np.linspace(0, 255, 24 * 36 * 3).reshape(24, 36, 3).astype(np.uint8)


def picture(path: Path, array=RAMP, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


@pytest.mark.parametrize("shape", [(86, 57), (57, 86), (75, 75), (37, 53), (16, 16), (1, 1)])
def test_exact_size_and_content(tmp_path, shape):
    """Transposed and odd sizes: published code takes the width for the height, or powers of two only."""
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    source = picture(tmp_path / "a.png", noise)
    done = enlarge(source, tmp_path / "b.png", bicubic(), TargetSize.parse(scale="4"))
    size = (4 * shape[0], 4 * shape[1])
    expected = resize(torch.from_numpy(noise).permute(2, 0, 1), size)
    assert torch.equal(to_uint8(read_picture(tmp_path / "b.png").rgb), expected)
    assert (done.size_in, done.size_out) == (shape, size)


def rgba(hidden):
    image = np.dstack([RAMP, np.full((24, 36), 255, np.uint8)])
    image[6:12, 10:20] = (*hidden, 0)
    return image


def test_alpha_is_kept_and_hidden_colours_stay_hidden(tmp_path):
    """The same result whatever hides under alpha 0, without a rim on a dark ground."""
    results = []
    for hidden in [(0, 0, 0), (255, 0, 255)]:
        source = picture(tmp_path / "a.png", rgba(hidden))
        done = enlarge(source, tmp_path / "b.png", bicubic(), TargetSize.parse(scale="2.5"))
        results.append(np.array(Image.open(tmp_path / "b.png")))
    assert np.array_equal(*results) and done.notes == ("see-through parts kept",)
    assert results[0].shape == (60, 90, 4)
    clear = read_picture(tmp_path / "b.png", background="black").rgb
    opaque = resize(torch.from_numpy(RAMP.copy()).permute(2, 0, 1) / 255, (60, 90))
    assert (clear <= opaque + 0.08).all()


def test_flat_alpha_stays_flat_up_to_its_edge(tmp_path):
    """Bicubic overshoots by an eighth at an edge, and 200 became 230 there: a rim."""
    rgba = np.dstack([RAMP, np.full((24, 36), 200, np.uint8)])
    rgba[:, 18:, 3] = 0
    enlarge(picture(tmp_path / "a.png", rgba), tmp_path / "b.png", bicubic(), TargetSize.parse(scale="3.7"))
    alpha = np.asarray(Image.open(tmp_path / "b.png"))[..., 3]
    assert alpha.max() == 200 and (alpha[:, :60] == 200).all() and (alpha[:, 74:] == 0).all()


def test_alpha_is_flattened_where_the_format_has_none(tmp_path):
    source = picture(tmp_path / "a.png", rgba((0, 0, 0)))
    done = enlarge(source, tmp_path / "b.bmp", bicubic(), TargetSize.parse(scale="2"), background="red")
    assert done.notes == ("see-through parts laid over red",)
    assert read_picture(tmp_path / "b.bmp").rgb[:, 17, 30].tolist() == [1, 0, 0]


def test_orientation_is_applied_and_profile_kept(tmp_path):
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[274] = 6
    source = picture(tmp_path / "a.jpg", exif=exif, icc_profile=profile)
    enlarge(source, tmp_path / "b.jpg", bicubic(), TargetSize.parse(scale="2"))
    result = Image.open(tmp_path / "b.jpg")
    assert result.size == (48, 72) and result.info["icc_profile"] == profile and not result.getexif().get(274)
