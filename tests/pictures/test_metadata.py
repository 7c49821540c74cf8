"""The metadata of a photograph: read from every format, and carried into every format as far as it can hold them."""

import struct

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image, PngImagePlugin

from casarbi.pictures.metadata import Metadata, read_metadata, save_options
from casarbi.pictures.reading import read_picture
from casarbi.pictures.writing import write_image

Base, Ifd = ExifTags.Base, ExifTags.IFD
RAMP = np.linspace(0, 255, 24 * 36 * 3).reshape(24, 36, 3).astype(np.uint8)
SIZE = (48, 72)
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6" exif:PixelXDimension="36">'
    b"<dc:rights>CC0</dc:rights><tiff:ImageLength>24</tiff:ImageLength><xmp:Thumbnails>/9j/4</xmp:Thumbnails>"
    b"</rdf:Description></x:xmpmeta>"
)


def camera_exif():
    """EXIF data as a camera writes it: orientation, sizes, a preview, a maker note and a place among the metadata."""
    exif = Image.Exif()
    exif.update({Base.ImageDescription: "Köln".encode(), Base.DateTime: "2019:08:07 06:05:04", Base.Copyright: "CC0"})
    exif.update({Base.Artist: "A. Person", Base.Orientation: 6, Base.Model: "Box 1"})
    exif.get_ifd(Ifd.Exif).update({Base.DateTimeOriginal: "2019:08:07 06:05:04", Base.ExposureTime: 1 / 30})
    exif.get_ifd(Ifd.Exif).update({Base.ExifImageWidth: 36, Base.ExifImageHeight: 24, Base.MakerNote: b"secret"})
    exif.get_ifd(Ifd.GPSInfo).update({1: "N", 2: (50.0, 56.0, 29.0)})
    return exif


@pytest.fixture
def photo(tmp_path):
    """A JPEG with everything a camera and an editor put into one."""
    iptc = b"\x1c\x02\x78\x00\x04Noon"
    block = b"Photoshop 3.0\x008BIM\x04\x04\x00\x00" + len(iptc).to_bytes(4, "big") + iptc + b"\0"
    extra = b"\xff\xed" + (len(block) + 2).to_bytes(2, "big") + block
    path = tmp_path / "photo.jpg"
    Image.fromarray(RAMP).save(path, dpi=(300, 300), exif=camera_exif(), xmp=XMP, comment=b"a note", extra=extra)
    return path


def enlarged(photo, name):
    """Write double the picture with its metadata; returns the file's metadata and what was dropped."""
    picture = read_picture(photo)
    dropped = write_image(photo.with_name(name), torch.rand(3, *SIZE), metadata=picture.metadata)
    with Image.open(photo.with_name(name)) as image:
        image.load()
        return read_metadata(image), dropped


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.webp"])
def test_facts_are_kept(photo, name, capfd):
    """Resolution, date, caption and licence of a photograph were lost."""
    metadata, dropped = enlarged(photo, name)
    assert np.allclose(metadata.dpi, 300, atol=0.01)
    assert metadata.first[Base.ImageDescription] == "Köln".encode()
    assert (metadata.first[Base.DateTime], metadata.first[Base.Copyright]) == ("2019:08:07 06:05:04", "CC0")
    assert metadata.camera[Base.DateTimeOriginal] == "2019:08:07 06:05:04" and metadata.place[1] == "N"
    assert b"<dc:rights>CC0</dc:rights>" in metadata.xmp
    assert "maker note" in dropped and capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.webp"])
def test_what_new_pixels_make_wrong_is_mended_or_dropped(photo, name):
    metadata, _ = enlarged(photo, name)
    with Image.open(photo.with_name(name)) as image:
        assert image.getexif().get(Base.Orientation, 1) == 1 and image.size == SIZE[::-1]
    assert metadata.camera[Base.ExifImageWidth] == 72 and metadata.camera[Base.ExifImageHeight] == 48
    assert Base.MakerNote not in metadata.camera
    assert b'tiff:Orientation="1"' in metadata.xmp and b'exif:PixelXDimension="72"' in metadata.xmp
    assert b"<tiff:ImageLength>48<" in metadata.xmp and b"Thumbnails" not in metadata.xmp


def test_press_record_and_comment_go_where_they_can(photo):
    assert enlarged(photo, "a.jpg")[0].iptc == b"\x1c\x02\x78\x00\x04Noon" == enlarged(photo, "a.tif")[0].iptc
    assert enlarged(photo, "a.jpg")[0].texts == {"Comment": "a note"} == enlarged(photo, "a.png")[0].texts
    assert "IPTC" in enlarged(photo, "a.webp")[1]
    assert enlarged(photo, "a.bmp")[1] == ("maker note", "EXIF", "XMP", "texts", "IPTC")


def test_an_embedded_preview_is_dropped_with_a_word(tmp_path):
    preview = Image.Exif()
    preview[Base.Copyright] = "CC0"
    data = bytearray(preview.tobytes())
    end = 6 + 8 + 2 + 12  # after the only entry: the offset of the directory that describes the preview
    data[end : end + 4] = len(data[6:]).to_bytes(4, "big")
    data += struct.pack(">HHHLHHL", 1, Base.Compression, 3, 1, 6, 0, 0)
    Image.fromarray(RAMP).save(tmp_path / "a.jpg", exif=bytes(data))
    metadata, dropped = enlarged(tmp_path / "a.jpg", "b.jpg")
    assert dropped == ("embedded preview",) and metadata.first == {Base.Copyright: "CC0"} and metadata.dropped == ()


def test_texts_of_a_png_become_exif_elsewhere(tmp_path):
    texts = PngImagePlugin.PngInfo()
    for name, text in {"Title": "Zürich", "Author": "A", "Copyright": "CC0", "Frame": "9"}.items():
        texts.add_itxt(name, text)
    Image.fromarray(RAMP).save(tmp_path / "a.png", pnginfo=texts, dpi=(600, 600))
    kept, dropped = enlarged(tmp_path / "a.png", "b.png")
    assert kept.texts == {"Title": "Zürich", "Author": "A", "Copyright": "CC0", "Frame": "9"} and not dropped
    metadata, dropped = enlarged(tmp_path / "a.png", "b.jpg")
    assert metadata.first[Base.DocumentName] == "Zürich".encode() and metadata.first[Base.Artist] == "A"
    assert dropped == ("Frame",) and metadata.dpi == (600, 600)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.webp"])
def test_a_file_that_says_nothing_gets_no_facts(tmp_path, name):
    """Pillow gives a JPEG with EXIF data 72 dots per inch, and a TIFF 1, if the file says nothing."""
    exif = Image.Exif()
    exif[Base.Orientation] = 1
    Image.fromarray(RAMP).save(tmp_path / name, exif=exif)
    assert read_picture(tmp_path / name).metadata == Metadata() and not Metadata()


def test_resolution_per_centimetre(tmp_path):
    Image.fromarray(RAMP).save(tmp_path / "a.tif", resolution_unit=3, resolution=100)
    assert np.allclose(read_picture(tmp_path / "a.tif").metadata.dpi, 254)


def test_damaged_and_oversized_facts_never_cost_the_picture(tmp_path):
    odd = Metadata(first={Base.Artist: object(), Base.Make: {1: 2}}, camera={1: [None]})
    assert write_image(tmp_path / "a.jpg", torch.rand(3, 4, 4), metadata=odd) == ("EXIF",)
    long = Metadata(first={Base.Artist: "a" * 70_000}, xmp=b"x" * 70_000)
    assert write_image(tmp_path / "a.jpg", torch.rand(3, 4, 4), metadata=long) == (
        "EXIF (too long for JPEG)",
        "XMP (too long for JPEG)",
    )
    assert write_image(tmp_path / "a.png", torch.rand(3, 4, 4), metadata=long) == ()
    assert save_options(Metadata(), "PNG", (4, 4))[1] == ()
