"""Reading and writing weights as data: no code in a file is ever run."""

from __future__ import annotations

import json
import stat
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from casarbi.checkpoints.bounds import check_settings, limited_modules, without_values
from casarbi.checkpoints.pickles import TorchFileError, UnsafeFileError
from casarbi.checkpoints.torch_files import read_torch_file
from casarbi.errors import CasarbiError
from casarbi.files import replacing
from casarbi.plain import quote, visible
from casarbi.references import describe
from casarbi.weights import sha256_file

Network = TypeVar("Network", bound=nn.Module)

AVERAGED_KEYS = ("params_ema", "params-ema", "ema", "state_dict_ema", "model_ema")
PLAIN_KEYS = ("params", "state_dict", "model_state_dict", "model", "net", "generator")
SNAPSHOT_AVERAGE, SNAPSHOT_PARTS = "average/", ("average/", "network/", "optimizer/")
"""Prefixes of the keys in a snapshot of casarbi train, which can be given as weights."""
BOOKKEEPING = ("epoch", "iter", "step", "global_step", "scheduler", "schedulers", "lr_scheduler", "scaler")
"""What trainers save beside an optimizer's state."""
LONGEST_HEADER = 2**23
"""Bytes of a safetensors header, which holds names, shapes and our texts, but no values."""
USABLE = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""Types of floating-point numbers that torch computes with; float8 it only stores."""


@dataclass(frozen=True)
class Checkpoint:
    """What a weights file holds.

    Attributes:
        path: the file.
        content: the dictionary that was saved; for safetensors the tensors by name. All tensors are on the CPU.
        metadata: header of a safetensors file, text by name; empty for torch files.
    """

    path: Path
    content: dict[str, Any]
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """SHA-256 of the file."""
        return sha256_file(self.path)


@dataclass(frozen=True)
class State:
    """Tensors of one network, and what was done to find them.

    Attributes:
        tensors: by key, on the CPU.
        notes: short phrases for a report: "averaged weights (params_ema)", "prefix 'module.' stripped".
    """

    tensors: dict[str, Tensor]
    notes: tuple[str, ...] = ()


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a safetensors or torch file (zip or legacy format) as data only, onto the CPU.

    Raises:
        CasarbiError: where the file is missing, empty, damaged, no checkpoint at all (web page, git-LFS pointer), or
            holds objects whose loading would run code; such a file is refused before anything in it runs.
    """
    path = Path(path).expanduser()
    start = _first_bytes(path)
    if path.suffix == ".safetensors" or start[8:9] == b"{":
        return _read_safetensors(path)
    return _read_torch(path, start)


def read_state(path: str | Path) -> State:
    """Read the tensors of the one network that a file holds; see `read_checkpoint` and `find_state`."""
    checkpoint = read_checkpoint(path)
    return find_state(checkpoint.content, checkpoint.path)


def find_state(content: Mapping[str, Any], path: Path) -> State:
    """Find the tensors of a network in what was saved, averaged weights before plain ones, and strip prefixes.

    Args:
        content: a dictionary of tensors, or one that holds it under a customary key such as `params_ema`.
        path: the file, for messages.

    Raises:
        CasarbiError: where there are no tensors, or only some keys carry a wrapper's prefix.
    """
    for key in (*AVERAGED_KEYS, *PLAIN_KEYS):
        inner = content.get(key)
        if isinstance(inner, Mapping) and _is_state(inner):
            kind = "averaged" if key in AVERAGED_KEYS else "plain"
            state = strip_prefix(dict(inner), path)
            return State(state.tensors, (f"{kind} weights ({key})", *state.notes))
    if _is_state(content):
        averaged = {
            key.removeprefix(SNAPSHOT_AVERAGE): tensor
            for key, tensor in content.items()
            if key.startswith(SNAPSHOT_AVERAGE)
        }
        if averaged and all(key.startswith(SNAPSHOT_PARTS) for key in content):
            return State(averaged, ("averaged weights of a snapshot",))
        return strip_prefix(dict(content), path)
    raise CasarbiError(
        f"{path} holds no dictionary of tensors: it has {examples(content) or 'no keys'}, wanted one of "
        f"{', '.join((*AVERAGED_KEYS, *PLAIN_KEYS))} or the tensors themselves."
    )


def strip_prefix(tensors: Mapping[str, Tensor], path: Path, prefix: str = "module.") -> State:
    """Take a multi-GPU wrapper's prefix off the keys, as often as all of them carry it.

    Raises:
        CasarbiError: where some keys carry it and others do not; examples of both are named.
    """
    times, stripped = 0, dict(tensors)
    while stripped:
        with_prefix = [key for key in stripped if key.startswith(prefix)]
        if not with_prefix:
            break
        if len(with_prefix) < len(stripped):
            bare = [key for key in stripped if not key.startswith(prefix)]
            raise CasarbiError(
                f"{path} mixes keys with and without '{prefix}': {examples(with_prefix)} but {examples(bare)}; "
                f"save the weights again from one model."
            )
        stripped = {key[len(prefix) :]: tensor for key, tensor in stripped.items()}
        times += 1
    note = f"prefix '{prefix}' stripped" + (f" {times} times" if times > 1 else "")
    return State(stripped, (note,) if times else ())


def load_strict(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Load tensors into a module where every key and shape fits and every value is finite, or change nothing.

    Raises:
        CasarbiError: naming how many keys are missing, unexpected, of another shape or not finite, with examples.
    """
    _check_fit(module, tensors, path)
    module.load_state_dict(dict(tensors))


def _check_fit(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raise what `load_strict` raises, and load nothing; the module may be on the meta device."""
    wanted = module.state_dict()
    faults = {
        "missing": [key for key in wanted if key not in tensors],
        "unexpected": [key for key in tensors if key not in wanted],
        "of another shape": [
            f"{key} {_shape(tensors[key])} for {_shape(wanted[key])}"
            for key in wanted
            if key in tensors and tensors[key].shape != wanted[key].shape
        ],
        "of another type": [
            f"{key} {tensors[key].dtype}"
            for key in wanted
            if key in tensors and not _is_convertible(tensors[key].dtype, wanted[key].dtype)
        ],
        "with NaN or infinite values": [
            key for key, tensor in tensors.items() if tensor.dtype in USABLE and not tensor.isfinite().all()
        ],
    }
    found = [f"{len(keys)} {kind} ({examples(keys)})" for kind, keys in faults.items() if keys]
    if found:
        raise CasarbiError(
            f"{path} does not fit {type(module).__name__} ({len(wanted)} tensors wanted, {len(tensors)} found): "
            f"{'; '.join(found)}."
        )


def _is_convertible(found: torch.dtype, wanted: torch.dtype) -> bool:
    return found in USABLE if wanted.is_floating_point else not (found.is_floating_point or found.is_complex)


def write_checkpoint(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors and a header of texts as safetensors; a reader, or a crash, never sees half a file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    contiguous = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
    with replacing(path) as draft:
        save_file(contiguous, draft, metadata=dict(metadata))


def read_config(checkpoint: Checkpoint) -> Mapping[str, Any]:
    """Return the configuration that `write_weights` wrote into the header; raises CasarbiError where there is none."""
    return read_table(checkpoint, "config")


def read_table(checkpoint: Checkpoint, name: str) -> Mapping[str, Any]:
    """Return the JSON table that stands in the header under a name, its values of any kind but within reason.

    Raises:
        CasarbiError: where there is none, or `casarbi.checkpoints.bounds.check_settings` refuses it.
    """
    try:
        table = json.loads(checkpoint.metadata.get(name, ""), object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError):  # no JSON, or a number or a nesting beyond all reason
        table = None
    if not isinstance(table, Mapping):
        raise CasarbiError(f"{checkpoint.path} has no {name} in its header that is a JSON table: get the file again.")
    check_settings(table, str(checkpoint.path))
    return table


def fact(header: Mapping[str, str], name: str) -> str:
    """What a header says of itself, such as its licence, as one line for reports; or that it does not."""
    text = visible(header.get(name, "not recorded in the file"))
    return text if len(text) <= 300 else f"{text[:300]}…"


def write_weights(
    path: Path, network: nn.Module, method: str, config: Mapping[str, Any], header: Mapping[str, str]
) -> None:
    """Write a network as float32 safetensors whose header says all that loading needs.

    Args:
        path: a .safetensors file.
        network: its state is written.
        method: stands under `method` in the header.
        config: the whole configuration as plain JSON, under `config`.
        header: texts such as `licence` and `source`, which reports print, and what `casarbi info` is to show.
    """
    tensors = {name: tensor.float() for name, tensor in network.state_dict().items()}
    write_checkpoint(path, tensors, {**header, **weights_header(method, config)})


def weights_header(method: str, config: Mapping[str, Any]) -> dict[str, str]:
    """What the header of a weights file must say so that it can be loaded."""
    return {"method": method, "config": json.dumps(dict(config))}


def load_new(make: Callable[[], Network], tensors: Mapping[str, Tensor], path: Path) -> Network:
    """Make a network and load it strictly, without a moment of random weights or the time for drawing them.

    Returns:
        The network on the CPU, in evaluation mode, its parameters frozen.

    Raises:
        CasarbiError: as `load_strict`.
    """
    try:
        with without_values(), limited_modules(len(tensors), path):
            network = make()
    except (RuntimeError, ValueError, TypeError, OverflowError, MemoryError) as error:  # sizes that torch cannot have
        raise CasarbiError(f"{path} describes a network that cannot be built: {describe(error)}.") from None
    _check_fit(network, tensors, path)  # before memory is taken for whatever a header asks for
    network.to_empty(device="cpu")
    network.load_state_dict(dict(tensors))
    return network.requires_grad_(False).eval()


def _first_bytes(path: Path, count: int = 512) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
            raise CasarbiError(f"{path} is a device, pipe or socket, not a file of weights.")
        with path.open("rb") as file:
            start = file.read(count)
    except FileNotFoundError:
        raise CasarbiError(f"There is no weights file '{path}'.") from None
    except OSError as error:
        raise CasarbiError(f"The weights file {path} cannot be read: {error.strerror}.") from None
    if not start:
        raise CasarbiError(f"{path} is empty (0 bytes), so it is no checkpoint: get the file again.")
    if start.startswith(b"version ") and b"oid sha256:" in start:
        raise CasarbiError(
            f"{_described(path)} is a git-LFS pointer, not the weights it points to: run `git lfs pull` in its "
            f"repository, or download the file itself."
        )
    if start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise CasarbiError(
            f"{_described(path)} is a web page, not a checkpoint: the download went to a page about the file; "
            f"get the file itself."
        )
    return start


def _read_safetensors(path: Path) -> Checkpoint:
    header = _safetensors_header(path)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            return Checkpoint(path, tensors, header.get("__metadata__") or {})  # the library would shuffle it
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        reason = visible((str(error).strip() or type(error).__name__)[:120])
        raise _damaged(path, f"is damaged or is not a checkpoint ({reason})") from None


def _safetensors_header(path: Path) -> dict[str, Any]:
    """Read the header; refuse one that would cost much, or that two readers could read as two things."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > path.stat().st_size - 8:
            raise _damaged(path, "is damaged or is not a checkpoint: it is shorter than its header says")
        if length > LONGEST_HEADER:
            raise CasarbiError(f"{_described(path)} has a header of {length:,} bytes, and weights need far fewer.")
        text = file.read(length)
    try:
        return json.loads(text, object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError) as error:
        raise _damaged(
            path, f"is damaged or is not a checkpoint: its header is no JSON ({quote(str(error))})"
        ) from None


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError("a name stands there twice")
    return table


def _read_torch(path: Path, start: bytes) -> Checkpoint:
    if not start.startswith((b"PK", b"\x80")):
        raise CasarbiError(f"{_described(path)} is not a checkpoint: wanted a safetensors or torch file.")
    if start.startswith(b"PK") and not zipfile.is_zipfile(path):
        raise CasarbiError(f"{_described(path)} is cut off: its zip directory is missing; get the file again.")
    try:
        content = read_torch_file(path)
    except UnsafeFileError as error:
        raise CasarbiError(
            f"{_described(path)} holds more than tensors and plain values ({quote(error.name)}), so it was refused and "
            f"nothing in it was run; if you trust it, load it yourself with torch.load(..., weights_only=False) and "
            f"save its state_dict as safetensors."
        ) from None
    except TorchFileError as error:
        raise CasarbiError(f"{_described(path)} {error}: {error.mend}.") from None
    if not isinstance(content, dict):
        raise CasarbiError(f"{path} holds a {type(content).__name__}, wanted a dictionary of tensors.")
    if _is_optimizer(content):
        raise CasarbiError(
            f"{path} holds the state of an optimizer, not weights: name the file of weights beside it, such as "
            f"PREFIX_gen.pth beside PREFIX_opt.pth."
        )
    return Checkpoint(path, content)


def _is_optimizer(content: Mapping[Any, Any]) -> bool:
    """Whether a file holds an optimizer's state, as torch gives it or beside a trainer's counters, and no weights."""
    names = [key if isinstance(key, str) else "" for key in content]
    optimizer = ["optimizer" in name for name in names]
    alone = all(found or name in BOOKKEEPING for found, name in zip(optimizer, names, strict=True))
    return "param_groups" in content or (any(optimizer) and alone)


def _damaged(path: Path, reason: str) -> CasarbiError:
    return CasarbiError(f"{_described(path)} {reason}: get the file again.")


def _described(path: Path) -> str:
    return f"{path} ({path.stat().st_size:,} bytes)"


def _is_state(content: Mapping[str, Any]) -> bool:
    return bool(content) and all(isinstance(key, str) and _is_dense(value) for key, value in content.items())


def _is_dense(value: Any) -> bool:
    """Whether a value is a tensor of plain numbers in memory: not sparse, quantised or without values at all."""
    return isinstance(value, Tensor) and value.layout is torch.strided and not (value.is_quantized or value.is_meta)


def examples(keys: Iterable[object], count: int = 3) -> str:
    """The first keys, each cut, for a sentence."""
    shown = [visible(key[:60]) if isinstance(key, str) else quote(key, 60) for key in islice(keys, count + 1)]
    return ", ".join(shown[:count]) + (", …" if len(shown) > count else "")


def _shape(tensor: Tensor) -> str:
    return "x".join(str(side) for side in tensor.shape) or "scalar"
