import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from casarbi.errors import CasarbiError
from casarbi.pictures.resize import resize
from casarbi.sr import create_model

pytest.importorskip("spandrel")


class Compact(nn.Module):
    """The smallest network that spandrel takes for a Real-ESRGAN compact one."""

    def __init__(self, scale: int = 2, channels: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        convs = [nn.Conv2d(i, o, 3, padding=1) for i, o in ((channels, 4), (4, 4), (4, channels * scale**2))]
        self.body = nn.Sequential(convs[0], nn.PReLU(4), convs[1], nn.PReLU(4), convs[2])
        self.scale = scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.pixel_shuffle(self.body(x), self.scale) + F.interpolate(x, scale_factor=self.scale)


@pytest.fixture
def network() -> nn.Module:
    return Compact()


@pytest.fixture
def path(tmp_path, network):
    torch.save({"params_ema": network.state_dict()}, tmp_path / "tiny.pth")
    return tmp_path / "tiny.pth"


@pytest.fixture
def lr() -> torch.Tensor:
    return torch.rand(2, 3, 9, 7, generator=torch.Generator().manual_seed(0))


def test_native_size_is_the_network_s_own_output(path, network, lr):
    with torch.no_grad():
        expected = network(lr).clamp(0, 1)
    torch.testing.assert_close(create_model(f"spandrel:{path}").upscale(lr, (18, 14), [0, 0]), expected)


def test_other_sizes_are_resampled_from_it(path, lr):
    model = create_model(f"spandrel:{path}")
    native, wanted = model.upscale_many(lr, [(18, 14), (48, 37)], [0, 0])
    assert torch.equal(wanted, resize(native, (48, 37)).clamp(0, 1))
    assert torch.equal(wanted, model.upscale(lr, (48, 37), [0, 0]))


def test_image_does_not_depend_on_its_batch(path, lr):
    model = create_model(f"spandrel:{path}")
    assert torch.equal(model.upscale(lr, (20, 20), [0, 0])[1:], model.upscale(lr[1:], (20, 20), [0]))


@pytest.mark.parametrize("minimum", [8, 64])
def test_padding_to_the_network_s_sizes_is_cropped(path, lr, minimum):
    from spandrel import SizeRequirements

    model = create_model(f"spandrel:{path}")
    plain = model.upscale(lr, (18, 14), [0, 0])
    model.network.size_requirements = SizeRequirements(minimum=minimum, multiple_of=8)
    padded = model.upscale(lr, (18, 14), [0, 0])
    assert padded.shape == plain.shape
    # Three 3x3 convolutions: beyond the three last LR pixels the padding cannot be seen.
    torch.testing.assert_close(padded[..., :12, :8], plain[..., :12, :8])


def test_facts_and_identity(path, network):
    model = create_model(f"spandrel:{path}")
    assert model.info.trained_scales == (2.0, 2.0) and not model.info.stochastic
    assert model.info.parameters == sum(p.numel() for p in network.parameters())
    before = model.identity
    torch.save({"params_ema": {k: v + 1 for k, v in network.state_dict().items()}}, path)
    assert create_model(f"spandrel:{path}").identity != before


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"weight": torch.zeros(3)}, "no network that spandrel knows"),
        ({"epoch": 3}, "no dictionary of tensors"),
        (Compact(channels=1).state_dict(), "does not map RGB to RGB"),
        ({k: v for k, v in Compact().state_dict().items() if k != "body.2.bias"}, "does not load"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(tmp_path, content, words):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(CasarbiError, match=words) as caught:
        create_model(f"spandrel:{tmp_path / 'w.pth'}")
    assert "\n" not in str(caught.value)


def test_missing_spandrel_or_file(path, monkeypatch):
    with pytest.raises(CasarbiError, match="There is no weights file"):
        create_model("spandrel:none.pth")
    monkeypatch.setitem(sys.modules, "spandrel", None)
    with pytest.raises(CasarbiError, match=r"pip install 'casarbi\[spandrel\]'"):
        create_model(f"spandrel:{path}")


def test_a_number_in_a_key_builds_no_more_than_the_file_holds(tmp_path, network):
    state = network.state_dict()
    state |= {f"body.4000000.{name}": state.pop(f"body.4.{name}") for name in ("weight", "bias")}
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(CasarbiError, match="network of over 272 tensors, but it holds 8"):
        create_model(f"spandrel:{tmp_path / 'w.pth'}")
