"""Numbers that networks compute with: an option of every method, refused where a device lacks them."""

import pytest
import torch

from casarbi.errors import CasarbiError
from casarbi.precision import computing_in
from casarbi.sr import create_model

METHODS = ["liif:mini-face", "idm:mini-face?steps=2", "kim:mini-face?steps=2", "casarbi:mini-face?steps=1"]


def opened(reference, precision):
    return create_model(f"{reference}{'&' if '?' in reference else '?'}precision={precision}")


@pytest.fixture(scope="module")
def lr():
    return torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("reference", METHODS)
def test_bfloat16_is_close_and_of_another_identity(lr, reference):
    exact, rough = create_model(reference), opened(reference, "bfloat16-emulated").to("cpu")
    made = rough.upscale(lr, (20, 18), [3, 4])
    assert made.dtype == torch.float32
    assert 0 < (made - exact.upscale(lr, (20, 18), [3, 4])).abs().mean() < 0.01
    assert exact.identity["precision"] == "float32" and rough.identity["precision"] == "bfloat16 by autocast"


def test_emulated_numbers_are_those_of_a_device_that_has_them():
    assert opened(METHODS[0], "bfloat16").identity == opened(METHODS[0], "bfloat16-emulated").identity


@pytest.mark.parametrize("reference", METHODS)
def test_a_processor_without_bfloat16_is_told(monkeypatch, lr, reference):
    monkeypatch.setattr("casarbi.precision._has_bfloat16", lambda: False)
    model = opened(reference, "bfloat16")
    for use in (lambda: model.to("cpu"), lambda: model.upscale(lr, (20, 18), [3, 4])):
        with pytest.raises(CasarbiError, match="no bfloat16.*ten times slower.*precision=bfloat16-emulated"):
            use()
    monkeypatch.setattr("casarbi.precision._has_bfloat16", lambda: True)
    assert model.to("cpu") is model


@pytest.mark.parametrize("reference", METHODS)
def test_tf32_needs_a_gpu_of_nvidia(reference):
    with pytest.raises(CasarbiError, match="tf32 is of NVIDIA GPUs, and this runs on cpu: take precision=float32"):
        opened(reference, "tf32").to("cpu")


def test_torch_is_left_as_it_was(monkeypatch):
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = cudnn.allow_tf32, matmul.allow_tf32
    for precision, device, expected in (("float32", "cpu", False), ("tf32", "cuda", True)):
        with pytest.raises(KeyError), computing_in(precision, torch.device(device)):
            assert (cudnn.allow_tf32, matmul.allow_tf32) == (expected, expected)
            raise KeyError
        assert (cudnn.allow_tf32, matmul.allow_tf32) == before
