"""Make docs/samples-*.png, which README.md and docs/choices.md show: python docs/samples.py, with casarbi installed."""

from pathlib import Path

from casarbi.data import create_dataset
from casarbi.data.protocol import PROTOCOLS
from casarbi.pictures.pixels import to_uint8
from casarbi.pictures.sheet import contact_sheet, nearest
from casarbi.sr import create_model

SCALES = (5.3, 8.0, 12.0)
SHEETS = {
    "portraits": (
        "portraits?split=test&n=64",
        "face",
        ("test-00003", "test-00017"),
        {
            "Bicubic": "bicubic",
            "LIIF": "liif:mini-face",
            "IDM": "idm:mini-face",
            "Kim": "kim:mini-face",
            "CasArbi": "casarbi:mini-face",
        },
    ),
    "photos": (
        "photos",
        "photo",
        ("skimage-chelsea", "skimage-coffee"),
        {
            "Bicubic": "bicubic",
            "LIIF": "liif:scene",
            "IDM": "idm:scene",
            "Kim": "kim:scene",
            "CasArbi": "casarbi:scene",
        },
    ),
}


def main() -> None:
    """Draw one sheet a kind of picture, one row an image and scale: LR, each method, GT."""
    for kind, (data, protocol, image_ids, references) in SHEETS.items():
        dataset = create_dataset(data)
        models = {name: create_model(reference) for name, reference in references.items()}
        cells = []
        for image_id in image_ids:
            for pair in PROTOCOLS[protocol].pairs(dataset, image_id, SCALES):
                lr = to_uint8(pair.lr).permute(1, 2, 0).numpy()
                cells.append((f"LR {lr.shape[1]}×{lr.shape[0]}", nearest(lr, pair.size)))
                for name, model in models.items():
                    image = model.upscale(pair.lr[None], pair.size, [0])[0]
                    cells.append((f"{name} {pair.scale:g}×", to_uint8(image).permute(1, 2, 0).numpy()))
                cells.append((f"GT {pair.size[1]}×{pair.size[0]}", to_uint8(pair.gt).permute(1, 2, 0).numpy()))
        path = Path(__file__).with_name(f"samples-{kind}.png")
        path.write_bytes(contact_sheet(cells, columns=len(models) + 2))


if __name__ == "__main__":
    main()
