"""The base of the methods that are networks, with the smallest possible one."""

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from casarbi.at_once import images_that_fit
from casarbi.errors import CasarbiError
from casarbi.network_model import NetworkModel, WeightsInfo
from casarbi.sampling import DrawnAhead, image_noise, spaced_steps
from casarbi.sr import image_seed
from casarbi.weights import CATALOGUE


class Doubled(NetworkModel):
    """Repeats pixels, adds a bias of 0.25 in [-1, 1], and notes what it was given."""

    method, title = "doubled", "Doubled"

    def __init__(self, weights: WeightsInfo | None = None) -> None:
        super().__init__(nn.Conv2d(3, 3, 1), weights)
        self.calls: list[tuple[torch.Tensor, list[int]]] = []
        nn.init.constant_(self.network.bias, 0.25)

    @property
    def settings(self) -> dict[str, object]:
        return {"bias": 0.25}

    def enlarge(self, images, sizes, seeds) -> Iterator[torch.Tensor]:
        self.calls.append((images, list(seeds)))
        for height, width in sizes:
            enlarged = images.repeat_interleave(2, 2).repeat_interleave(2, 3)[..., :height, :width]
            yield enlarged + self.network.bias[:, None, None]


LR = torch.rand(3, 3, 4, 5, generator=torch.Generator().manual_seed(0))


def test_images_go_in_signed_and_come_out_clamped():
    model = Doubled()
    small, large = model.upscale_many(LR, [(4, 5), (8, 10)], [5, 6, 7])
    expected = (LR.repeat_interleave(2, 2).repeat_interleave(2, 3) + 0.125).clamp(0, 1)
    torch.testing.assert_close(large, expected, rtol=0, atol=1e-6)
    assert torch.equal(small, large[..., :4, :5]) and large.max() == 1
    assert not large.requires_grad


def test_images_are_given_one_by_one_with_their_seeds():
    """More at once would change last bits: convolutions choose the order of their sums by the shape of the batch."""
    model = Doubled()
    model.upscale(LR.mT, (10, 8), [5, 6, 7])
    assert [seeds for _, seeds in model.calls] == [[5], [6], [7]]
    images = [images for images, _ in model.calls]
    assert all(one.is_contiguous() and one.dtype == torch.float32 for one in images)
    assert torch.equal(torch.cat(images), 2 * LR.mT - 1)


@pytest.mark.parametrize("at_once", [2, 3, 8])
def test_a_method_may_take_several_at_once(monkeypatch, at_once):
    alone = Doubled().upscale(LR, (8, 10), [5, 6, 7])
    monkeypatch.setattr(Doubled, "images_at_once", at_once)
    model = Doubled()
    assert torch.equal(model.upscale(LR, (8, 10), [5, 6, 7]), alone)
    assert [seeds for _, seeds in model.calls] == {2: [[5, 6], [7]]}.get(at_once, [[5, 6, 7]])


class Greedy(Doubled):
    """Has memory for so many images at once."""

    images_at_once = 3

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def enlarge(self, images, sizes, seeds) -> Iterator[torch.Tensor]:
        if len(images) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().enlarge(images, sizes, seeds)


def test_what_does_not_fit_into_memory_is_tried_by_halves():
    model = Greedy(most=1)
    assert torch.equal(model.upscale(LR, (8, 10), [5, 6, 7]), Doubled().upscale(LR, (8, 10), [5, 6, 7]))
    assert [seeds for _, seeds in model.calls] == [[5], [6], [7]]
    with pytest.raises(torch.OutOfMemoryError):
        Greedy(most=0).upscale(LR, (8, 10), [5, 6, 7])


@pytest.mark.parametrize(("free", "needed", "count"), [(1000, 100, 5), (1000, 900, 1), (None, 100, 1), (1000, None, 1)])
def test_a_gpu_gets_as_many_as_fit_twice(monkeypatch, free, needed, count):
    monkeypatch.setattr("casarbi.at_once.free_bytes", lambda device: free)
    assert images_that_fit(torch.device("cuda"), needed) == count


@pytest.mark.parametrize(
    ("size", "seeds", "words"),
    [
        ((8, 10), [0], "1 seeds for 3 images: expected one per image"),
        ((30000, 30000), [0] * 3, "Doubled cannot make 30000x30000 px: 3 channels of that size are 2.31 values"),
    ],
)
def test_what_cannot_be_made_is_refused_before_anything_is_computed(size, seeds, words):
    model = Doubled()
    with pytest.raises(CasarbiError, match=words):
        model.upscale(LR, size, seeds)
    assert model.calls == []


def test_identity_and_facts_come_from_the_weights():
    model = Doubled(WeightsInfo("w.pt", "abc", "MIT", "a test", (1.0, 4.0), ("raw weights",), "of a toy"))
    assert model.identity == {"method": "doubled", "weights": "abc", "bias": 0.25, "precision": "float32"}
    info = model.info
    assert (info.parameters, info.stochastic, info.trained_scales) == (12, True, (1.0, 4.0))
    assert info.weights == "w.pt, SHA-256 abc; raw weights"
    assert (info.licence, info.source, info.warning) == ("MIT", "a test", "of a toy")


def test_facts_of_a_file(tmp_path, monkeypatch):
    path = tmp_path / "w.pt"
    path.write_bytes(b"1")
    told = WeightsInfo.from_file(path, {"licence": "X\n" + "y" * 400}, notes=("averaged",))
    assert told.licence.endswith("…") and "\n" not in told.licence and len(told.licence) == 301
    assert (told.file, told.source, told.notes) == ("w.pt", "not recorded in the file", ("averaged",))
    known = next(iter(CATALOGUE.values()))
    monkeypatch.setattr("casarbi.network_model.sha256_file", lambda path: known.sha256)
    found = WeightsInfo.from_file(path, {"licence": "claimed"})
    assert (found.licence, found.source) == (known.licence, known.source)


def test_noise_of_an_image_does_not_depend_on_its_batch():
    together = image_noise("a", [1, 2], (3, 5, 7))
    first, second = together(), together()
    alone = image_noise("a", [2], (3, 5, 7))
    assert torch.equal(alone(), first[1:]) and torch.equal(alone(), second[1:])
    assert not torch.equal(first, second) and not torch.equal(image_noise("b", [1, 2], (3, 5, 7))(), first)


def test_noise_drawn_ahead_is_the_same_noise():
    expected = image_noise("a", [1, 2], (3, 5, 7))

    generators = [torch.Generator().manual_seed(image_seed("a", seed)) for seed in (1, 2)]
    ahead = DrawnAhead(generators, (3, 5, 7), torch.device("cpu"))
    for _ in range(4):
        assert torch.equal(ahead(), expected())


def test_more_steps_than_were_trained_are_refused():
    assert spaced_steps(3, 3) == [3, 2, 1]
    with pytest.raises(CasarbiError, match="steps=4 must be from 1 to the 3"):
        spaced_steps(3, 4)
