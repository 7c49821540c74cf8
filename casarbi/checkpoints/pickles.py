"""Runs pickles as data: no name in one is imported, nothing that one asks for is called.

A pickle is a program for a stack machine that may import and call anything. The machine here knows dictionaries, lists,
tuples, plain values and tensors. `torch.load` with `weights_only` runs no code either, but it believes what a file says
of sizes, so a few bytes can ask it for gigabytes; here nothing is made that is larger than what the file holds.
"""

from __future__ import annotations

import io
import math
import pickletools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from casarbi.checkpoints.faults import UnsafeFileError, WeightsFileError
from casarbi.plain import quote

LONGEST_PICKLE = 2**23
"""Bytes of a pickle, which holds names and shapes, not values: 200 for each tensor."""
MOST_OPERATIONS = 2**18
MOST_AXES = 32
LARGEST_CLAIM = 4
"""All tensors together may have this many times the bytes of the file, because tensors can share a storage."""

TRAINERS = ("pytorch_lightning", "lightning", "lightning_fabric", "omegaconf")
"""Packages whose objects stand in checkpoints beside the tensors; they are read as `Inert`."""
PLAIN_TYPES = (
    *("typing.Any", "pathlib.Path", "builtins.bool", "builtins.int", "builtins.float", "builtins.str"),
    *("builtins.bytes", "builtins.list", "builtins.dict", "builtins.tuple", "builtins.set", "builtins.frozenset"),
    *("builtins.complex", "builtins.bytearray", "collections.Counter", "collections.defaultdict", "_codecs.encode"),
    *("torch.device", "torch.layout", "torch.memory_format", "torch.serialization._get_layout"),
)
"""Names of Python and torch that such objects and torch's own use; they are read as `Inert` too."""

_DTYPES = {f"torch.{name}": value for name, value in vars(torch).items() if isinstance(value, torch.dtype)}
_STORAGES = {
    **{"Half": torch.float16, "BFloat16": torch.bfloat16, "Float": torch.float32, "Double": torch.float64},
    **{"Byte": torch.uint8, "Char": torch.int8, "Short": torch.int16, "Int": torch.int32, "Long": torch.int64},
    **{"Bool": torch.bool, "ComplexFloat": torch.complex64, "ComplexDouble": torch.complex128, "Untyped": torch.uint8},
}


class Inert:
    """Stands in for a class, function or object in a checkpoint: it takes everything, keeps nothing, does nothing."""


class _Global:
    """A name in a pickle; nothing is imported for it."""

    def __init__(self, name: str) -> None:
        self.name = name


def _find(module: object, name: object) -> Any:
    """What a name in a pickle becomes: a dtype, `Inert`, or a `_Global` for the functions that `Machine.call` knows."""
    if not isinstance(module, str) or not isinstance(name, str):
        raise WeightsFileError("names a class by something that is no text")
    full = f"{'builtins' if module == '__builtin__' else module}.{name}"  # the name of builtins in Python 2
    # Types of values: torch.float32, or torch.FloatStorage as the type of a storage's values.
    if full in _DTYPES:
        return _DTYPES[full]
    package, _, kind = full.rpartition(".")
    if package in ("torch", "torch.cuda", "torch.storage") and kind.removesuffix("Storage") in _STORAGES:
        return _STORAGES[kind.removesuffix("Storage")]
    # Functions that rebuild tensors: the name is kept and never imported.
    if full in ("collections.OrderedDict", "torch.Size") or package in ("torch._utils", "torch._tensor"):
        return _Global(full)
    if full in PLAIN_TYPES or full.partition(".")[0] in TRAINERS:
        return Inert
    raise UnsafeFileError(full)


Storages = Callable[[torch.dtype, str, int], Tensor]
"""A storage as a tensor of one axis, from its type, its key and the number of its values."""


class Machine:
    """Runs one pickle.

    Every operation makes at most one small object, or refers to an existing one, so memory grows only with the length
    of the pickle. The result may contain itself: code that walks through it must limit its depth.
    """

    def __init__(self, storages: Storages | None, largest_claim: int = 0) -> None:
        self.storages, self.claim = storages, largest_claim
        self.left = MOST_OPERATIONS
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self, pickle: bytes, start: int = 0) -> tuple[Any, int]:
        """See `run_pickle`; a damaged pickle raises anything."""
        stream = io.BytesIO(pickle)
        stream.seek(start)
        for operation, argument, _ in pickletools.genops(stream):
            self.spend(1)
            if operation.name in _VALUES:
                self.stack.append(argument)
            else:
                step = _STEPS.get(operation.name)
                if step is None:
                    raise WeightsFileError(f"has the pickle operation {operation.name}, which weights never do")
                step(self, argument)
        return self.stack.pop(), stream.tell()

    def spend(self, count: int) -> None:
        """Count operations, and what single ones copy."""
        self.left -= count
        if self.left < 0:
            raise WeightsFileError(f"has a pickle of over {MOST_OPERATIONS:,} operations, and weights need far fewer")

    def since_mark(self) -> list[Any]:
        """Take off everything above the last mark."""
        mark = self.marks.pop()
        taken = self.stack[mark:]
        del self.stack[mark:]
        return taken

    def call(self) -> None:
        """Replace a name and its arguments by what the call would have made, or by `Inert` if it is not known here."""
        arguments, function = self.stack.pop(), self.stack.pop()
        self.stack.append(self._made(function, arguments))

    def _made(self, function: Any, arguments: Any) -> Any:
        name = function.name.rpartition(".")[2] if isinstance(function, _Global) else ""
        if name == "OrderedDict":
            pairs = arguments[0] if arguments else ()
            self.spend(len(pairs))
            return {_key(key): value for key, value in pairs}
        if name == "Size":
            return tuple(arguments[0][:MOST_AXES])
        # torch saves a tensor as a call of _rebuild_tensor_v2(storage, offset, size, stride, …); v3 adds the dtype, for
        # types that have no storage class of their own.
        if name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
            return self._tensor(*arguments[:4])
        if name == "_rebuild_tensor_v3":
            return self._tensor(arguments[0].view(arguments[6]), *arguments[1:4])
        # Parameters and tensor subclasses are wrapped around a tensor, which is all that is kept.
        if name in ("_rebuild_parameter", "_rebuild_parameter_with_state"):
            return arguments[0]
        if name == "_rebuild_from_type_v2":
            return self._made(arguments[0], arguments[2])
        return Inert()

    def _tensor(self, storage: Tensor, offset: int, size: Sequence[int], stride: Sequence[int]) -> Tensor:
        """A view into a storage that stays inside it and has at most as many values."""
        few = len(size) == len(stride) <= MOST_AXES
        if not few or not all(isinstance(n, int) and 0 <= n < 2**48 for n in (offset, *size, *stride)):
            raise WeightsFileError(f"has a tensor of impossible shape {quote(size)}")
        # With strides of 0, one value could fill a tensor of any shape: the count is limited, too.
        count, held = math.prod(size), len(storage)
        last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
        if count and (count > held or last >= held):
            raise WeightsFileError(f"has a tensor of {count:,} values in a storage that holds {held:,}")
        # Views cost nothing here, but whoever copies or converts them pays for each.
        self.claim -= count * storage.itemsize
        if self.claim < 0:
            raise WeightsFileError(f"has tensors of more than {LARGEST_CLAIM} times the bytes of the file")
        return storage.as_strided(size, stride, offset) if count else storage.new_empty(size)

    def storage(self) -> None:
        """Replace a persistent id ("storage", type, key, location, count, …) by the storage."""
        kind, dtype, key, _, count, *view = self.stack.pop()
        known = kind == "storage" and isinstance(dtype, torch.dtype) and isinstance(key, str) and isinstance(count, int)
        if not known or self.storages is None or any(view):
            raise WeightsFileError("refers to something that is no storage of a tensor")
        self.stack.append(self.storages(dtype, key, count))

    def build(self) -> None:
        """Drop the state of an object: the attributes of dictionaries and of inert objects are not used."""
        self.stack.pop()

    def set_items(self, pairs: Sequence[Any]) -> None:
        """Put keys and values, one after another, into the dictionary on top."""
        target = self.stack[-1]
        if isinstance(target, dict):
            target.update((_key(key), value) for key, value in zip(pairs[::2], pairs[1::2], strict=True))

    def new_dict(self) -> dict[Any, Any]:
        """A dictionary of the keys and values above the last mark."""
        taken = self.since_mark()
        return {_key(key): value for key, value in zip(taken[::2], taken[1::2], strict=True)}

    def append(self, values: Sequence[Any]) -> None:
        """Put values at the end of the list on top."""
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(values)

    def put(self, index: int | None) -> None:
        """Remember what is on top."""
        self.memo[len(self.memo) if index is None else index] = self.stack[-1]


def _key(key: Any) -> Any:
    """A key of a dictionary. One that is not a plain value becomes text: hashing nested tuples can take forever."""
    return key if key is None or isinstance(key, str | int | float | bytes) or key is Inert else quote(key)


def _pop(machine: Machine, count: int) -> list[Any]:
    # A negative start of the slice would silently take too few.
    if count > len(machine.stack):
        raise IndexError("the stack is empty")
    taken = machine.stack[len(machine.stack) - count :]
    del machine.stack[len(machine.stack) - count :]
    return taken


_VALUES = (
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING"),
    *("SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES"),
    *("BINBYTES8", "BYTEARRAY8"),
)
"""Operations that push their argument."""


def _push(make: Callable[[Machine, Any], Any]) -> Callable[[Machine, Any], None]:
    return lambda machine, argument: machine.stack.append(make(machine, argument))


def _construct(extra: int) -> Callable[[Machine, Any], None]:
    """An object of a class, made from so many things on the stack: inert, whatever the class."""
    return _push(lambda machine, _: _pop(machine, extra) and Inert())


# An operation that is not listed is refused: these suffice for what torch.save and trainers write.
_STEPS: dict[str, Callable[[Machine, Any], Any]] = {
    **{name: lambda machine, _: None for name in ("PROTO", "FRAME", "STOP")},
    "NONE": _push(lambda machine, _: None),
    "NEWTRUE": _push(lambda machine, _: True),
    "NEWFALSE": _push(lambda machine, _: False),
    "EMPTY_DICT": _push(lambda machine, _: {}),
    "EMPTY_LIST": _push(lambda machine, _: []),
    "EMPTY_TUPLE": _push(lambda machine, _: ()),
    "EMPTY_SET": _push(lambda machine, _: Inert()),
    "FROZENSET": _push(lambda machine, _: machine.since_mark() and Inert()),
    "TUPLE": _push(lambda machine, _: tuple(machine.since_mark())),
    "TUPLE1": _push(lambda machine, _: tuple(_pop(machine, 1))),
    "TUPLE2": _push(lambda machine, _: tuple(_pop(machine, 2))),
    "TUPLE3": _push(lambda machine, _: tuple(_pop(machine, 3))),
    "LIST": _push(lambda machine, _: machine.since_mark()),
    "DICT": _push(lambda machine, _: machine.new_dict()),
    "MARK": lambda machine, _: machine.marks.append(len(machine.stack)),
    "POP": lambda machine, _: _pop(machine, 1),
    "POP_MARK": lambda machine, _: machine.since_mark(),
    "DUP": _push(lambda machine, _: machine.stack[-1]),
    "APPEND": lambda machine, _: machine.append(_pop(machine, 1)),
    "APPENDS": lambda machine, _: machine.append(machine.since_mark()),
    "ADDITEMS": lambda machine, _: machine.since_mark(),
    "SETITEM": lambda machine, _: machine.set_items(_pop(machine, 2)),
    "SETITEMS": lambda machine, _: machine.set_items(machine.since_mark()),
    **{name: lambda machine, index: machine.put(index) for name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE")},
    **{name: _push(lambda machine, index: machine.memo[index]) for name in ("GET", "BINGET", "LONG_BINGET")},
    "GLOBAL": _push(lambda machine, names: _find(*names.split(" ", 1))),
    "STACK_GLOBAL": _push(lambda machine, _: _find(*_pop(machine, 2))),
    "REDUCE": lambda machine, _: machine.call(),
    "NEWOBJ": _construct(2),
    "NEWOBJ_EX": _construct(3),
    "OBJ": _push(lambda machine, _: machine.since_mark() and Inert()),
    "INST": _push(lambda machine, names: (_find(*names.split(" ", 1)), machine.since_mark()) and Inert()),
    "BUILD": lambda machine, _: machine.build(),
    "BINPERSID": lambda machine, _: machine.storage(),
}


def run_pickle(machine: Machine, pickle: bytes, start: int = 0) -> tuple[Any, int]:
    """Run the pickle that begins at `start`; returns its value, and where it ends.

    Raises:
        UnsafeFileError: if it names code.
        WeightsFileError: if it is damaged, or does what no weights file does.
    """
    try:
        return machine.run(pickle, start)
    except WeightsFileError:
        raise
    except Exception as error:  # a damaged pickle breaks anywhere, in as many ways as there are operations
        raise WeightsFileError(
            f"is damaged: its pickle breaks off ({quote(str(error) or type(error).__name__)})"
        ) from None
