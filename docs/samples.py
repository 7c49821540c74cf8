"""Make docs/samples.png, the picture of the README: python docs/samples.py (with casarbi installed)."""

from pathlib import Path

from benchmarks.datasets import create_dataset
from benchmarks.protocol import PROTOCOLS
from casarbi.images import to_uint8
from casarbi.sr import create_model
from reports.figures import contact_sheet, nearest

MODELS = {"Bicubic": "bicubic", "LIIF": "liif:edsr-baseline-div2k"}
ROWS = (("portraits?split=test&n=64", "test-00003", "face", 12.0), ("photos", "skimage-chelsea", "photo", 8.0))


def main() -> None:
    """Draw one row an image: LR, each method, GT; all 192 px wide."""
    cells = []
    for data, image_id, protocol, scale in ROWS:
        pair = PROTOCOLS[protocol].pairs(create_dataset(data), image_id, [scale])[0]
        made = [(name, create_model(model).upscale(pair.lr[None], pair.size, [0])[0]) for name, model in MODELS.items()]
        lr = to_uint8(pair.lr).permute(1, 2, 0).numpy()
        cells.append((f"LR {lr.shape[0]} px", nearest(lr, pair.size)))
        cells += [(f"{name} {scale:g}×", to_uint8(image).permute(1, 2, 0).numpy()) for name, image in made]
        cells.append((f"GT {pair.size[0]} px", to_uint8(pair.gt).permute(1, 2, 0).numpy()))
    Path(__file__).with_name("samples.png").write_bytes(contact_sheet(cells, columns=len(MODELS) + 2))


if __name__ == "__main__":
    main()
