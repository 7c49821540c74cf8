"""Keeps what a file asks for in proportion to what it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode

from casarbi.errors import CasarbiError
from casarbi.plain import quote

MOST_VALUES, DEEPEST, LONGEST_TEXT, LARGEST_NUMBER = 10_000, 8, 2000, 10**12
"""Limits far above the settings of any known network."""


def check_settings(settings: Any, where: str) -> None:
    """Refuse settings that no network has: very many values, deep nesting, long texts, or whole numbers of any size.

    Settings that pass are cheap to read, to compute with and to print. Whether a network can be built from them is
    found out when it is built.

    Raises:
        CasarbiError: naming the file and what is too much.
    """
    # A list of what is still to visit instead of recursion: a file may nest deeper than Python can recurse.
    left, found = MOST_VALUES, [(settings, 0)]
    while found:
        value, depth = found.pop()
        left -= 1
        if left < 0 or depth > DEEPEST:
            raise CasarbiError(f"{where} has settings of over {MOST_VALUES:,} values, or nested over {DEEPEST} deep.")
        if isinstance(value, Mapping | list | tuple):
            if len(value) > left:
                raise CasarbiError(f"{where} has settings of over {MOST_VALUES:,} values.")
            inner = [*value, *value.values()] if isinstance(value, Mapping) else value
            found += [(item, depth + 1) for item in inner]
        elif isinstance(value, str | bytes) and len(value) > LONGEST_TEXT:
            raise CasarbiError(f"{where} has a setting of {len(value):,} characters: {quote(value)}.")
        elif isinstance(value, int) and abs(value) > LARGEST_NUMBER:
            raise CasarbiError(f"{where} has the number {quote(value)} in its settings, which nothing here can be.")


@contextmanager
def limited_modules(tensors: int, path: Path) -> Iterator[None]:
    """Stop the building of a network as soon as it has far more parameters than the file has tensors.

    A network that fits the file has at most as many parameters as the file has tensors. The limit is about twice that:
    a network that is slightly too large is still built, so that the error can name the missing keys, but a header
    cannot ask for millions of layers.

    Raises:
        CasarbiError: while the network is built.
    """
    left = 2 * tensors + 256

    def count(module: nn.Module, name: str, parameter: nn.Parameter) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise CasarbiError(
                f"{path} describes a network of over {2 * tensors + 256:,} tensors, but it holds {tensors:,}: get the "
                f"file again."
            )

    # The hook is global: torch calls it for each parameter of every module that is made in the block.
    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()


class _Undrawn(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        # The functions of torch.nn.init return the tensor they fill, so it is returned as it is.
        if func in (torch.Tensor.normal_, torch.Tensor.uniform_) or getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return (torch.empty if func is torch.randn else func)(*args, **kwargs)


@contextmanager
def without_values() -> Iterator[None]:
    """Make the networks of the block without values: on the meta device, with no random initialisation.

    Drawing normal values on the meta device has no effect, but it imports a compiler (2 s and 130 MB, torch 2.14).
    """
    with torch.device("meta"), _Undrawn():
        yield
