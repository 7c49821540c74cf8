"""The contract's `work`: what a method says that it does is what it does."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from casarbi.sr import create_model

LR, SIZE = (8, 6), (24, 18)
MODELS = {
    "liif:mini-face": 1,
    "idm:mini-face?steps=2&start=0": 2,
    "kim:mini-face?steps=2&start=0": 2,
    "casarbi:mini-face?steps=2": 4,
    "casarbi:mini-face?steps=1&residual_base=liif_initial&liif=mini-face": 2,
    "casarbi:mini-face?steps=1&residual_base=liif_stage&liif=mini-face": 2,
}


@pytest.fixture(params=MODELS)
def model(request):
    return create_model(request.param)


def test_work_is_what_a_run_does(model, request):
    work = model.work(LR, SIZE)
    # PyTorch does not count what its fused attention does on a CPU.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        made = list(model.stages(torch.rand(1, 3, *LR), SIZE, [3]))
    assert [stage.size for stage in work] == [tuple(image.shape[-2:]) for image in made]
    assert sum(stage.flops for stage in work) == counter.get_total_flops()
    expected = MODELS[request.node.callspec.params["model"]]
    assert sum(stage.evaluations for stage in work) == expected == model.evaluations(3)


def test_a_method_need_not_say_what_it_does():
    assert create_model("bicubic").work(LR, SIZE) is None
