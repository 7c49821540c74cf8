"""Reading every mode as a photographer would see it, refusing what is no picture, and writing."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, ImageFile

from casarbi.errors import CasarbiError
from casarbi.pictures import reading
from casarbi.pictures.alpha import unblend
from casarbi.pictures.pixels import from_uint8, to_uint8
from casarbi.pictures.reading import read_image, read_picture
from casarbi.pictures.writing import keeps_alpha, write_image

RAMP = np.linspace(0, 255, 48 * 32 * 3).reshape(32, 48, 3).astype(np.uint8)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
LAB = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


def save(path, array=RAMP, mode=None, **options):
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def levels(path, **options):
    """A picture as (H, W, 3) levels."""
    return (read_image(path, **options) * 255).permute(1, 2, 0).numpy()


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp", "ppm", "tga", "qoi", "pcx", "sgi", "jp2", "ico"])
def test_formats_are_read_exactly(tmp_path, suffix):
    options = {"webp": {"lossless": True}, "ico": {"sizes": [(48, 32)]}}.get(suffix, {})
    if suffix == "qoi":
        pytest.importorskip("PIL", minversion="11.3")
    picture = read_picture(save(tmp_path / f"a.{suffix}", **options))
    assert picture.rgb.dtype == torch.float32 and picture.rgb.shape == (3, 32, 48)
    assert np.allclose((picture.rgb * 255).permute(1, 2, 0), RAMP, atol=1e-3)
    assert picture.alpha is None and picture.notes == ()


def test_content_decides_the_format(tmp_path):
    save(tmp_path / "a.jpg", format="PNG")
    assert np.allclose(levels(tmp_path / "a.jpg"), RAMP, atol=1e-3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_exif_orientation(tmp_path, orientation, suffix):
    turn = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: a.swapaxes(0, 1)[:, ::-1],
        7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
        8: lambda a: a.swapaxes(0, 1)[::-1],
    }[orientation]
    exif = Image.Exif()
    exif[274] = orientation
    save(tmp_path / f"a.{suffix}", exif=exif, **({"quality": 100, "subsampling": 0} if suffix == "jpg" else {}))
    assert np.abs(levels(tmp_path / f"a.{suffix}") - turn(RAMP)).max() < (4 if suffix == "jpg" else 0.01)


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_16_bit_grey_is_divided_and_never_clipped(tmp_path, suffix):
    deep = np.arange(0, 65536, 64, dtype=np.uint16).reshape(32, 32)
    picture = read_picture(save(tmp_path / f"a.{suffix}", deep))
    assert np.abs(picture.rgb.numpy() - deep / 65535).max() < 1e-6
    assert picture.notes == ("grey", "16 bits")


def test_16_bit_grey_turns_upright(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    deep = np.arange(600, dtype=np.uint16).reshape(20, 30) * 100
    picture = read_picture(save(tmp_path / "a.png", deep, exif=exif))
    assert np.abs(picture.rgb[0].numpy() - np.rot90(deep, -1) / 65535).max() < 1e-6


def test_deep_modes_i_and_f(tmp_path):
    ints = np.array([[0, 65535, 131070]], np.int32)
    picture = read_picture(save(tmp_path / "i.tif", ints))
    assert picture.rgb[0].tolist() == [[0, 0.5, 1]] and "divided by its largest value, 131070" in picture.notes
    floats = np.array([[0, 0.25, 1]], np.float32)
    assert read_picture(save(tmp_path / "f.tif", floats)).rgb[2].tolist() == [[0, 0.25, 1]]
    for bad in (-0.5, np.nan, np.inf):
        save(tmp_path / "f.tif", np.array([[0, bad]], np.float32))
        with pytest.raises(CasarbiError, match="f.tif cannot be used: it holds values from .* to"):
            read_picture(tmp_path / "f.tif")


def test_16_bit_rgb_is_read_as_8_and_says_so(tmp_path):
    raw = (RAMP.astype(">u2") * 257).tobytes()
    (tmp_path / "a.ppm").write_bytes(b"P6 48 32 65535\n" + raw)
    assert np.abs(levels(tmp_path / "a.ppm") - RAMP).max() < 0.51
    write_png16(tmp_path / "a.png", RAMP.astype(np.uint16) * 257)
    picture = read_picture(tmp_path / "a.png")
    assert np.abs(levels(tmp_path / "a.png") - RAMP).max() < 0.51
    assert picture.notes == ("16 bits per channel read as 8",)


def write_png16(path, array):
    """Write an RGB PNG of 16 bits per channel, which Pillow cannot."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width, _ = array.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


@pytest.mark.parametrize("mode", ["L", "1", "LA"])
def test_grey_modes(tmp_path, mode):
    grey = Image.fromarray(RAMP).convert("L").convert(mode)
    picture = read_picture(save(tmp_path / "a.png", grey))
    assert picture.notes == ("grey",) and picture.alpha is None
    expected = np.asarray(grey.convert("L"))
    assert np.allclose(levels(tmp_path / "a.png"), expected[..., None].repeat(3, -1), atol=1e-3)


def test_palette_with_and_without_transparency(tmp_path):
    indices = np.array([[0, 1, 2]], np.uint8)
    image = Image.fromarray(indices).convert("P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    assert levels(save(tmp_path / "a.png", image)).tolist() == [[[255, 0, 0], [0, 255, 0], [0, 0, 255]]]
    picture = read_picture(save(tmp_path / "b.gif", image, transparency=1))
    assert picture.alpha.tolist() == [[[1, 0, 1]]]
    assert picture.rgb[:, 0, 1].tolist() == [1, 1, 1]
    assert levels(tmp_path / "b.gif", background="#204080")[0, 1].tolist() == [32, 64, 128]


def test_transparency_of_grey_and_16_bit(tmp_path):
    assert read_picture(save(tmp_path / "a.png", np.array([[7, 8]], np.uint8), transparency=7)).alpha.tolist() == [
        [[0, 1]]
    ]
    deep = save(tmp_path / "b.png", np.array([[700, 800]], np.uint16), transparency=700)
    assert read_picture(deep).alpha.tolist() == [[[0, 1]]]


def rgba(hidden):
    image = np.dstack([RAMP, np.full((32, 48), 255, np.uint8)])
    image[8:20, 10:30] = (*hidden, 0)
    image[20:24, 10:30, 3] = 128
    return image


def test_alpha_is_laid_over_the_background(tmp_path):
    """What hides under alpha 0 never shows."""
    black, magenta = (read_picture(save(tmp_path / "a.png", rgba(h))) for h in [(0, 0, 0), (255, 0, 255)])
    assert torch.equal(black.rgb, magenta.rgb) and torch.equal(black.alpha, magenta.alpha)
    assert black.notes == ("see-through parts laid over white",)
    assert black.rgb[:, 10, 15].tolist() == [1, 1, 1]
    half = RAMP[21, 15] * (128 / 255) + 255 * (127 / 255)
    assert np.allclose(black.rgb[:, 21, 15] * 255, half, atol=1e-3)


def test_unblend_undoes_the_background(tmp_path):
    picture = read_picture(save(tmp_path / "a.png", rgba((9, 200, 40))), background="orange")
    straight = unblend(picture.rgb, picture.alpha, picture.background)
    visible = picture.alpha[0] > 0
    assert (straight * 255 - torch.from_numpy(RAMP.copy()).permute(2, 0, 1))[:, visible].abs().max() < 0.01
    assert torch.equal(straight[:, 10, 15], picture.background)


@pytest.mark.parametrize("colour", [(0, 255, 255), (255, 0, 0), (255, 255, 255), (0, 0, 0)])
@pytest.mark.parametrize("marker", [True, False])
def test_cmyk_jpeg(tmp_path, colour, marker):
    """With Adobe's marker the values are stored inverted, and Pillow reads files without it likewise."""
    file = io.BytesIO()
    Image.new("RGB", (16, 16), colour).convert("CMYK").save(file, "JPEG", quality=95)
    data = file.getvalue()
    start = data.index(b"\xff\xee")
    cut = data if marker else data[:start] + data[start + 2 + int.from_bytes(data[start + 2 : start + 4], "big") :]
    (tmp_path / "a.jpg").write_bytes(cut)
    assert np.abs(levels(tmp_path / "a.jpg").mean((0, 1)) - colour).max() < 25
    assert read_picture(tmp_path / "a.jpg").notes == ("CMYK without a profile turned into RGB",)


def test_lab_tiff(tmp_path):
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    red = ImageCms.profileToProfile(Image.new("RGB", (4, 4), (200, 30, 40)), srgb, lab, outputMode="LAB")
    assert np.abs(levels(save(tmp_path / "a.tif", red)) - (200, 30, 40)).max() <= 3


def test_profiles_that_describe_rgb_are_kept(tmp_path):
    assert read_picture(save(tmp_path / "a.png", icc_profile=SRGB)).icc == SRGB
    assert read_picture(save(tmp_path / "b.tif", mode="CMYK", icc_profile=LAB)).icc is None


def test_damaged_metadata_is_a_note_and_no_warning(tmp_path, recwarn):
    path = save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x09\x01\x12")
    assert read_picture(path).notes == ("odd file: Corrupt EXIF data",) and not recwarn


def test_damaged_avif(tmp_path):
    """Its reader raises a bare RuntimeError."""
    pytest.importorskip("PIL", minversion="11.3")
    data = save(tmp_path / "a.avif").read_bytes()
    (tmp_path / "a.avif").write_bytes(data.replace(b"pitm", b"gone"))
    with pytest.raises(CasarbiError, match="damaged"):
        read_picture(tmp_path / "a.avif")


def test_first_frame_and_page(tmp_path):
    frames = [Image.fromarray(RAMP // n) for n in (1, 2, 3)]
    for name in ("a.tif", "a.webp", "a.png"):
        options = {"lossless": True} if name.endswith("webp") else {}
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
        assert read_picture(tmp_path / name).notes == ("first of 3 frames used",)
        assert np.allclose(levels(tmp_path / name), RAMP, atol=1e-3)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "gif", "bmp", "jp2", "ppm", "tga"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_half_a_picture_is_refused(tmp_path, suffix, part, monkeypatch):
    """Even after another library made Pillow accept truncated files."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = save(tmp_path / f"a.{suffix}", noise).read_bytes()
    (tmp_path / f"a.{suffix}").write_bytes(data[: int(len(data) * part)])
    with pytest.raises(CasarbiError, match=rf"a\.{suffix} is cut off or damaged \(.+\): copy or download it again\.$"):
        read_picture(tmp_path / f"a.{suffix}")
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.png", b"", "is empty"),
        ("a.png", b"<!DOCTYPE html><html>", "not a picture .* looks like a web page"),
        ("a.png", b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        ("a.jpg", b"%PDF-1.7 ...", "looks like a PDF"),
        ("a.png", b"hello world, this is text" * 9, "not a picture that can be read: save"),
        ("a.png", b"\x89PNG\r\n\x1a\n", "cut off or damaged"),
        ("a.heic", b"\0\0\0\x18ftypheic" + b"\0" * 99, "HEIC picture"),
        ("a.NEF", b"II*\0" + b"\0" * 99, "raw file"),
        ("a.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
    ],
)
def test_strangers_are_refused_in_one_sentence(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CasarbiError, match=words) as caught:
        read_picture(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)


def test_missing_folder_and_pipe_are_refused(tmp_path):
    with pytest.raises(CasarbiError, match="no file .*nothing.png"):
        read_picture(tmp_path / "nothing.png")
    with pytest.raises(CasarbiError, match="is a folder"):
        read_picture(tmp_path)
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(CasarbiError, match="not a regular file"):
        read_picture(tmp_path / "pipe.png")


def test_limit_on_pixels_is_checked_before_unpacking(tmp_path, monkeypatch):
    """One bit per pixel, 32 kB packed; the default limit is Pillow's, and raising it really raises it."""
    path = save(tmp_path / "a.png", Image.new("1", (16384, 16384)))
    loads = []
    monkeypatch.setattr(reading, "decode", lambda image, notes: loads.append(image.size))
    monkeypatch.setattr(reading, "channels", lambda *_, **__: (np.zeros((3, 1, 1)), None))
    with pytest.raises(
        CasarbiError, match=r"16384x16384 px \(268,435,456\), above the limit of 178,956,970.*max_pixels"
    ):
        read_picture(path)
    assert not loads
    read_picture(path, max_pixels=2**28)
    assert loads == [(16384, 16384)]
    with pytest.raises(CasarbiError, match="limit of 1,000 pixels"):
        read_picture(path, max_pixels=1000)


def test_unknown_background(tmp_path):
    with pytest.raises(CasarbiError, match="'whitish' is no colour"):
        read_picture(save(tmp_path / "a.png"), background="whitish")


def test_clip_then_round():
    """Truncation gives 254 127 127 0 254 0 255."""
    values = torch.tensor([0.9999, 0.5, 0.4999, 0.003, 0.998, -0.2, 1.3])
    assert to_uint8(values).tolist() == [255, 128, 127, 1, 254, 0, 255]
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(from_uint8(levels)), levels) and to_uint8(levels) is levels
    with pytest.raises(CasarbiError, match="NaN"):
        to_uint8(torch.tensor([0.5, torch.nan]))


@pytest.mark.parametrize(
    "name", ["图片 测试.png", "emoji_🙂.tif", "-dash[1].bmp", "new/folder/100%#1.webp", "A.PNG", "x" * 250 + ".png"]
)
def test_written_pictures_come_back(tmp_path, name):
    rgb = from_uint8(torch.from_numpy(RAMP.copy())).permute(2, 0, 1)
    write_image(tmp_path / name, rgb + 0.4 / 255, icc=SRGB)
    picture = read_picture(tmp_path / name)
    assert torch.equal(to_uint8(picture.rgb), to_uint8(rgb))
    assert picture.icc == (None if name.endswith("bmp") else SRGB)
    assert [p.name for p in (tmp_path / name).parent.iterdir()] == [(tmp_path / name).name]


@pytest.mark.parametrize("name", ["a.png", "a.tiff", "a.webp"])
def test_alpha_is_written_beside_colours(tmp_path, name):
    rgb, alpha = torch.rand(3, 9, 7), torch.rand(1, 9, 7)
    write_image(tmp_path / name, rgb, alpha=alpha)
    stored = torch.from_numpy(np.array(Image.open(tmp_path / name))).permute(2, 0, 1)
    assert keeps_alpha(tmp_path / name) and torch.equal(stored, to_uint8(torch.cat([rgb, alpha])))


def test_quality_of_jpeg_and_webp(tmp_path):
    noise = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))
    for suffix in ("jpg", "webp"):
        for quality in (20, None, 95):
            write_image(tmp_path / f"{quality}.{suffix}", noise, quality=quality)
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes["20.jpg"] < sizes["95.jpg"] == sizes["None.jpg"]
    assert sizes["20.webp"] < sizes["95.webp"] < sizes["None.webp"]
    assert torch.equal(to_uint8(read_image(tmp_path / "None.webp")), to_uint8(noise))


def test_what_cannot_be_written(tmp_path):
    rgb = torch.rand(3, 4, 4)
    for name, words in [("a", "has no suffix"), ("a.xyz", r"ends in '\.xyz'.*use \.png"), ("a.gif", "ends in")]:
        with pytest.raises(CasarbiError, match=words):
            write_image(tmp_path / name, rgb)
    with pytest.raises(CasarbiError, match="cannot keep see-through"):
        write_image(tmp_path / "a.jpg", rgb, alpha=rgb[:1])
    with pytest.raises(CasarbiError, match="NaN"):
        write_image(tmp_path / "a.png", rgb * torch.nan)
    (tmp_path / "file").touch()
    with pytest.raises(CasarbiError, match="cannot be written: "):
        write_image(tmp_path / "file" / "a.png", rgb)
    with pytest.raises(CasarbiError, match="cannot be written: "):
        write_image(tmp_path / "a.webp", torch.zeros(3, 1, 17000))
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    save(tmp_path / "a.png")

    def full(self, file, *_, **__):
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(CasarbiError, match="No space left on device"):
        write_image(tmp_path / "a.png", torch.zeros(3, 4, 4))
    assert np.allclose(levels(tmp_path / "a.png"), RAMP, atol=1e-3) and len(list(tmp_path.iterdir())) == 1
