"""Progress that models report while they run."""

import pytest
import torch

from casarbi.sr import create_model

MODELS = ["casarbi:mini-face?steps=2", "idm:mini-face?steps=2", "kim:mini-face?steps=2", "liif:mini-face"]
CUT = ["casarbi:mini-face?steps=1&tile=32&overlap=0", "liif:mini-face?chunk=128"]


@pytest.mark.parametrize("reference", MODELS + CUT)
def test_shares_of_one_image_add_up_to_one(reference):
    model, shares = create_model(reference), []
    lr = torch.rand(1, 3, 8, 10, generator=torch.Generator().manual_seed(0))
    silent = model.upscale(lr, (33, 41), [1])
    model.progress = shares.append
    assert torch.equal(model.upscale(lr, (33, 41), [1]), silent)
    assert sum(shares) == pytest.approx(1, abs=1e-6) and len(shares) >= 1 and min(shares) > 0
    assert len(shares) > 2 or "liif" in reference or "idm" in reference
