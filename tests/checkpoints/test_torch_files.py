"""Torch files are read as `torch.load` reads them: values, types, strides and order."""

import io

import pytest
import torch

from casarbi.checkpoints.torch_files import read_torch_file

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int8, torch.uint8, torch.int64, torch.bool]
DTYPES += [torch.complex64, torch.float8_e4m3fn]


def same(mine: object, theirs: object) -> None:
    if isinstance(theirs, torch.Tensor):
        assert isinstance(mine, torch.Tensor) and mine.dtype == theirs.dtype and mine.stride() == theirs.stride()
        assert torch.equal(
            mine.float() if mine.itemsize == 1 else mine, theirs.float() if theirs.itemsize == 1 else theirs
        )
    elif isinstance(theirs, dict):
        assert isinstance(mine, dict) and list(mine) == list(theirs)
        for key in theirs:
            same(mine[key], theirs[key])
    elif isinstance(theirs, list | tuple):
        assert type(mine) is type(theirs) and len(mine) == len(theirs)
        for a, b in zip(mine, theirs, strict=True):
            same(a, b)
    else:
        assert mine == theirs


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_all_types_and_views_are_read(tmp_path, dtype, legacy):
    if legacy and dtype == torch.float8_e4m3fn:
        pytest.skip("torch cannot read its own legacy files of this type")
    values = torch.randn(6, 8).to(dtype)
    content = {
        "whole": values,
        "view": values[1:5:2, ::3],  # of the same storage
        "turned": torch.randn(4, 3).to(dtype).T,
        "parameter": torch.nn.Parameter(values.clone(), requires_grad=False),
        "scalar": torch.tensor(1).to(dtype),
        "empty": torch.empty(0, 3).to(dtype),
        "plain": [
            1,
            -(2**70),
            2.5,
            "é",
            None,
            True,
            (),
            (1,),
            (1, 2),
            (1, 2, 3),
            (1, 2, 3, 4),
            [],
            {},
            {"a": {1: "x"}},
        ],
    }
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=not legacy)
    same(read_torch_file(tmp_path / "w.pth"), torch.load(tmp_path / "w.pth", weights_only=True))


def test_optimizers_and_modules_states_are_read(tmp_path):
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    state = {"step": torch.tensor(3.0), "exp_avg": torch.randn(4, 3, 3, 3)}
    groups = [{"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "fused": None, "params": [0, 1, 2, 3]}]
    content = {"net": network.state_dict(), "optimizer": {"state": {0: state}, "param_groups": groups}}
    torch.save(content, tmp_path / "w.pth")
    same(read_torch_file(tmp_path / "w.pth"), torch.load(tmp_path / "w.pth", weights_only=True))


def test_values_are_read_when_they_are_used(tmp_path):
    """A trainer's file holds optimizer states twice as large as the weights."""
    stream = io.BytesIO()
    torch.save({"w": torch.zeros(3)}, stream)
    (tmp_path / "w.pth").write_bytes(stream.getvalue())
    read = read_torch_file(tmp_path / "w.pth")["w"]
    read += 1  # of this process alone
    assert read.tolist() == [1, 1, 1] and (tmp_path / "w.pth").read_bytes() == stream.getvalue()
