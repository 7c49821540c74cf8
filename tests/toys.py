"""Plug-in models and a data set of the tests' own, named as `toys:factory` in references."""

import hashlib
import time

import torch
from scenes import scene

from casarbi.data.base import Dataset
from casarbi.errors import CasarbiError
from casarbi.pictures.resize import resize
from casarbi.sr import ModelInfo, SRModel

INFO = ModelInfo(0, (1.0, 4.0), True, "none", "MIT", "tests")


class Noisy(SRModel):
    """Bicubic with noise from each image's seed alone."""

    info = INFO

    identity = None

    def __init__(self, sigma):
        self.sigma = sigma
        self.identity = {"method": type(self).__name__, "sigma": sigma}

    def upscale(self, lr, size, seeds):
        large = resize(lr, size)
        noise = [torch.randn(3, *size, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return (large + self.sigma * torch.stack(noise)).clamp(0, 1)


class Faulty(Noisy):
    """Fails on images that hold a pure white pixel in the LR; other pictures are fine."""

    def __init__(self, how):
        super().__init__(0.0)
        self.how = how
        self.identity = {"method": "faulty", "how": how}

    def upscale(self, lr, size, seeds):
        result = super().upscale(lr, size, seeds)
        white = (lr == 1).flatten(1).any(1)
        if self.how == "raise" and white.any():
            raise RuntimeError("CUDA out of memory, tried to allocate 20.00 GiB")
        if self.how == "nan":
            result[white] = torch.nan
        return result[..., 1:] if self.how == "shape" else result


class Squares(Dataset):
    """Seeded scenes; `white` gives the image of that index one white corner."""

    name = "squares"

    def __init__(self, n, side, white, version):
        self.side, self.white, self.version = side, white, version
        self.ids = tuple(f"s{index}" for index in range(n))

    def image(self, image_id):
        index = int(image_id[1:])
        if self.white == -2 and index == 1:
            raise CasarbiError("'s1' is not a whole picture.")
        picture = scene(self.side, self.side, index + 100 * self.version) * (220 / 255)
        picture = (picture * 255).round() / 255
        if index == self.white:
            picture[:, :40, :40] = 1
        return picture

    def digest(self, image_id):
        return hashlib.sha256(f"{image_id} {self.side} {self.white} {self.version}".encode()).hexdigest()


def squares(*, n: int = 5, side: int = 256, white: int = -1, version: int = 0) -> Squares:
    return Squares(n, side, white, version)


def noisy(*, sigma: float = 0.05) -> Noisy:
    return Noisy(sigma)


def faulty(*, how: str = "raise") -> Faulty:
    return Faulty(how)


class Slow(Noisy):
    """Takes its time, which is no part of its identity: a run that is to be stopped, and one that goes on with it."""

    def __init__(self, sigma, seconds):
        super().__init__(sigma)
        self.seconds = seconds

    def upscale(self, lr, size, seeds):
        time.sleep(self.seconds)
        return super().upscale(lr, size, seeds)


def slow(*, seconds: float = 0.3) -> Slow:
    return Slow(0.02, seconds)


class Overshooting(Noisy):
    """Leaves [0, 1], against the interface's rule."""

    def upscale(self, lr, size, seeds):
        return 1.5 * super().upscale(lr, size, seeds) - 0.1


def overshooting() -> Overshooting:
    return Overshooting(0.0)
