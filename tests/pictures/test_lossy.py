import pytest
from PIL import Image, features

from casarbi.pictures.lossy import is_lossy

EXIF = Image.Exif()
EXIF[0x0112] = 1


@pytest.mark.parametrize("more", [{}, {"exif": EXIF}, {"icc_profile": b"odd"}, {"exif": EXIF, "icc_profile": b"even"}])
@pytest.mark.parametrize(
    ("format", "options", "lossy"),
    [
        ("JPEG", {}, True),
        ("WEBP", {}, True),
        ("WEBP", {"lossless": True}, False),
        ("PNG", {}, False),
        ("TIFF", {}, False),
        pytest.param("AVIF", {}, True, marks=pytest.mark.skipif(not features.check("avif"), reason="Pillow lacks it")),
    ],
)
def test_content_decides_whatever_comes_before_the_pixels(tmp_path, format, options, lossy, more):
    path = tmp_path / "a.png"
    Image.new("RGB", (8, 6), (200, 100, 50)).save(path, format=format, **options, **more)
    with Image.open(path) as image:
        assert is_lossy(image, path) == lossy


def test_a_cut_off_webp_ends_the_search(tmp_path):
    path = tmp_path / "a.webp"
    Image.new("RGB", (8, 6)).save(path, exif=EXIF)
    with Image.open(path) as image:
        path.write_bytes(path.read_bytes()[:24])
        assert not is_lossy(image, path)
