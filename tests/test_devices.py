"""The one check of what was typed with --device."""

import pytest
import torch

from casarbi.devices import pick_device
from casarbi.errors import CasarbiError


def test_auto_is_a_gpu_or_the_cpu():
    assert pick_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu") and pick_device("cpu") == "cpu"


@pytest.mark.parametrize("name", ["tpu9", "cuda:77", "meta", "", "cpu:x"])
def test_a_device_that_cannot_compute_is_refused(name):
    """The meta device is known to torch, and gives no values."""
    with pytest.raises(CasarbiError, match=f"There is no device '{name}' that works here: give cpu"):
        pick_device(name)


def test_a_gpu_that_fails_at_its_first_number_is_refused(monkeypatch):
    def broken(*shape, device):
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device")

    monkeypatch.setattr(torch, "zeros", broken)
    with pytest.raises(CasarbiError, match="no device 'cuda'"):
        pick_device("cuda")
