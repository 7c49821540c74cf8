"""The PSNR of one image, whatever its type; tests/benchmarks/metrics compares it with scikit-image."""

import numpy as np
import pytest
import torch

from casarbi.data.psnr import mse, psnr


@pytest.mark.parametrize("kind, peak", [(torch.uint8, 255), (torch.float16, 1), (torch.float32, 1), (torch.float64, 1)])
def test_bytes_and_halves_do_not_wrap(kind, peak):
    """A flat 100 against 200 came out at 36.09 dB where bytes wrapped (Lightning-AI/torchmetrics#2787)."""
    a, b = (torch.full((3, 16, 16), level / 255 * peak, dtype=torch.float64).to(kind) for level in (100, 200))
    assert psnr(a, b) == pytest.approx(8.1308, abs=2e-3 if kind is torch.float16 else 1e-4)


def test_numpy_arrays_are_taken():
    a, b = (np.full((5, 4, 3), level, np.uint8) for level in (7, 9))
    assert mse(a, b) == 4.0


def test_bytes_against_floats_are_refused():
    with pytest.raises(ValueError, match="one range"):
        mse(torch.zeros(3, 4, 4, dtype=torch.uint8), torch.zeros(3, 4, 4))
