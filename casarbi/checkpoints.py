"""Reading and writing weights as data: no code in a file is ever run."""

from __future__ import annotations

import json
import pickle
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from casarbi.errors import CasarbiError
from casarbi.files import replacing
from casarbi.weights import sha256_file

__all__ = [
    "Checkpoint",
    "State",
    "find_state",
    "load_new",
    "load_strict",
    "read_checkpoint",
    "read_config",
    "read_state",
    "sha256_file",
    "strip_prefix",
    "weights_header",
    "write_checkpoint",
    "write_weights",
]

Network = TypeVar("Network", bound=nn.Module)

AVERAGED_KEYS = ("params_ema", "params-ema", "ema", "state_dict_ema", "model_ema")
PLAIN_KEYS = ("params", "state_dict", "model_state_dict", "model", "net", "generator")
SNAPSHOT_AVERAGE, SNAPSHOT_PARTS = "average/", ("average/", "network/", "optimizer/")
"""Prefixes of the keys in a snapshot of casarbi train, which can be given as weights."""
TRAINERS = ("pytorch_lightning", "lightning", "lightning_fabric", "omegaconf")
"""Packages whose objects stand in checkpoints beside the tensors; they are read as `Inert`."""
PLAIN_TYPES = (
    *("typing.Any", "pathlib.Path", "builtins.bool", "builtins.int", "builtins.float", "builtins.str"),
    *("builtins.bytes", "builtins.list", "builtins.dict", "builtins.tuple"),
)
"""What such objects name of Python itself; read as `Inert` too."""


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
        f"{path} holds no dictionary of tensors: it has {_examples(content) or 'no keys'}, wanted one of "
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
                f"{path} mixes keys with and without '{prefix}': {_examples(with_prefix)} but {_examples(bare)}; "
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
            if key in tensors and tensors[key].is_floating_point() != wanted[key].is_floating_point()
        ],
        "with NaN or infinite values": [
            key for key, tensor in tensors.items() if tensor.is_floating_point() and not tensor.isfinite().all()
        ],
    }
    found = [f"{len(keys)} {kind} ({_examples(keys)})" for kind, keys in faults.items() if keys]
    if found:
        raise CasarbiError(
            f"{path} does not fit {type(module).__name__} ({len(wanted)} tensors wanted, {len(tensors)} found): "
            f"{'; '.join(found)}."
        )


def write_checkpoint(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors and a header of texts as safetensors; a reader, or a crash, never sees half a file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    contiguous = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
    with replacing(path) as draft:
        save_file(contiguous, draft, metadata=dict(metadata))


def read_config(checkpoint: Checkpoint) -> Mapping[str, Any]:
    """Return the configuration that `write_weights` wrote into the header; raises CasarbiError where there is none."""
    try:
        config = json.loads(checkpoint.metadata.get("config", ""))
    except (ValueError, RecursionError):  # no JSON, or a number or a nesting beyond all reason
        config = None
    if not isinstance(config, Mapping):
        raise CasarbiError(f"{checkpoint.path} has no config in its header that is a JSON table: get the file again.")
    return config


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
    with torch.device("meta"):
        network = make()
    _check_fit(network, tensors, path)  # before memory is taken for whatever a header asks for
    network.to_empty(device="cpu")
    network.load_state_dict(dict(tensors))
    return network.requires_grad_(False).eval()


def _first_bytes(path: Path, count: int = 512) -> bytes:
    try:
        with path.open("rb") as file:
            start = file.read(count)
    except FileNotFoundError:
        raise CasarbiError(f"There is no weights file {path}.") from None
    except OSError as error:
        raise CasarbiError(f"The weights file {path} cannot be read: {error.strerror}.") from None
    if not start:
        raise CasarbiError(f"{path} is empty (0 bytes), so it is no checkpoint: get the file again.")
    if start.startswith(b"version https://git-lfs"):
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
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return Checkpoint(path, {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(path, error) from None


def _read_torch(path: Path, start: bytes) -> Checkpoint:
    if start.startswith(b"PK") and not zipfile.is_zipfile(path):
        raise CasarbiError(f"{_described(path)} is cut off: its zip directory is missing; get the file again.")
    if not start.startswith((b"PK", b"\x80")):
        raise CasarbiError(f"{_described(path)} is not a checkpoint: wanted a safetensors or torch file.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = _load_tensors(path, mmap=start.startswith(b"PK"))
    except pickle.UnpicklingError as error:
        raise _refused(path, error) from None
    except Exception as error:  # torch raises many kinds here, some without a message; none is a bug of ours
        raise _damaged(path, error) from None
    if not isinstance(content, dict):
        raise CasarbiError(f"{path} holds a {type(content).__name__}, wanted a dictionary of tensors.")
    return Checkpoint(path, content)


class Inert:
    """Stands in for a trainer's class or object in a checkpoint: takes everything, keeps nothing, does nothing."""

    def __init__(self, *_: Any) -> None: ...

    def __new__(cls, *_: Any) -> Inert:
        """Make one from any arguments."""
        return super().__new__(cls)

    def __setstate__(self, _: Any) -> None: ...


def _load_tensors(path: Path, *, mmap: bool) -> Any:
    """Load through torch's data-only unpickler, a trainer's objects replaced by `Inert`.

    Lightning keys `callbacks` by classes, which that unpickler refuses. Here their names alone are read, without
    importing anything, and where all are a trainer's, each is given the inert class for it; a name of anything else
    has the file refused as ever. With `mmap` only tensors that are used are read from the disk: a trainer's checkpoint
    holds optimizer states two times as large as the weights.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError:
        names = _foreign_names(path)
        if not names or not all(name.partition(".")[0] in TRAINERS or name in PLAIN_TYPES for name in names):
            raise
    with torch.serialization.safe_globals([(Inert, name) for name in names]):
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)


def _foreign_names(path: Path) -> list[str]:
    """Names of classes and functions in a file that are no tensors' business; none where torch cannot tell them."""
    tell = getattr(torch.serialization, "get_unsafe_globals_in_checkpoint", None)  # since torch 2.6
    try:
        return [] if tell is None else tell(path)
    except Exception:  # a damaged file, or one of the legacy format: the refusal stands
        return []


def _refused(path: Path, error: Exception) -> CasarbiError:
    named = str(error).partition("GLOBAL ")[2].split()  # a cut-off pickle raises the same class, and names nothing
    found = (
        f"holds more than tensors and plain values ({named[0]})" if named else "is damaged or holds more than tensors"
    )
    return CasarbiError(
        f"{_described(path)} {found}, so it was refused and nothing in it was run; if you trust it, load it yourself "
        f"with torch.load(..., weights_only=False) and save its state_dict as safetensors."
    )


def _damaged(path: Path, error: Exception) -> CasarbiError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0][:120]
    return CasarbiError(f"{_described(path)} is damaged or is not a checkpoint ({reason}): get the file again.")


def _described(path: Path) -> str:
    return f"{path} ({path.stat().st_size:,} bytes)"


def _is_state(content: Mapping[str, Any]) -> bool:
    return bool(content) and all(isinstance(key, str) and _is_dense(value) for key, value in content.items())


def _is_dense(value: Any) -> bool:
    """Whether a value is a tensor of plain numbers in memory: not sparse, quantised or without values at all."""
    return isinstance(value, Tensor) and value.layout is torch.strided and not (value.is_quantized or value.is_meta)


def _examples(keys: Mapping[str, Any] | Sequence[str], count: int = 3) -> str:
    shown = [str(key) for key in list(keys)[:count]]
    return ", ".join(shown) + (", …" if len(keys) > count else "")


def _shape(tensor: Tensor) -> str:
    return "x".join(str(side) for side in tensor.shape) or "scalar"
