"""How fast a network could be: its own convolutions and matrix products alone, without all that stands between them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_aten = torch.ops.aten
COUNTED = {_aten.convolution.default, _aten.addmm.default, _aten.mm.default, _aten.bmm.default, _aten.baddbmm.default}
REPEATS = 3


class Arithmetic(TorchDispatchMode):
    """Notes the convolutions and matrix products that run inside, by the shapes and memory order of what they take."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[tuple[Any, ...]] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        if func in COUNTED:
            self.calls[(func, *map(_noted, args))] += 1
        return func(*args, **(kwargs or {}))

    def seconds(self) -> float:
        """Time of the same calls on other numbers, each kind repeated and its fastest taken."""
        return sum(count * _time(func, [_made(arg) for arg in args]) for (func, *args), count in self.calls.items())


def _noted(arg: Any) -> Any:
    """What an argument is, as something that can be counted."""
    if isinstance(arg, Tensor):
        return Tensor, tuple(arg.shape), arg.stride(), arg.dtype, arg.device
    return tuple(arg) if isinstance(arg, list) else arg


def _made(noted: Any) -> Any:
    """An argument like the one that was noted."""
    if isinstance(noted, tuple) and noted and noted[0] is Tensor:
        _, shape, stride, dtype, device = noted
        values = 1 + sum((side - 1) * step for side, step in zip(shape, stride, strict=True))
        return torch.randn(values, dtype=dtype, device=device).as_strided(shape, stride)
    return list(noted) if isinstance(noted, tuple) else noted


def _time(func: Callable[..., Tensor], args: list[Any]) -> float:
    found = []
    for _ in range(REPEATS + 1):  # the first call may choose a kernel
        started = time.perf_counter()
        made = func(*args)
        if made.is_cuda:
            torch.cuda.synchronize()
        found.append(time.perf_counter() - started)
    return min(found[1:])
