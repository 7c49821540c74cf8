"""Weights files of all four methods, as small as can be, and what an enemy or a bad disk makes of them."""

from __future__ import annotations

import dataclasses
import io
import json
import pickle
import pickletools
import random
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

import baselines.idm.files
from baselines.idm.config import IDMConfig
from baselines.idm.files import save_idm
from baselines.idm.model import idm
from baselines.idm.network import IDMNetwork
from baselines.idm.network import NetworkConfig as IDMWidths
from baselines.kim.config import DiffusionConfig, FirstStageConfig, KimConfig, KimSampling, UNetConfig
from baselines.kim.files import save_kim
from baselines.kim.model import kim
from baselines.kim.network import KimNetwork
from baselines.liif.files import build_network, save_liif
from baselines.liif.model import liif
from casarbi.method.config import CasArbiConfig, save_weights
from casarbi.method.model import casarbi
from casarbi.method.network import Denoiser, NetworkConfig
from casarbi.method.residuals import ResidualConfig
from casarbi.training.describe import describe_file
from fuzz.runner import TRAP, Case

METHODS: dict[str, Callable[..., Any]] = {"liif": liif, "idm": idm, "kim": kim, "casarbi": casarbi}
IDM_WIDTHS = IDMWidths(
    channels=(4, 4), groups=2, attention=(1,), blocks=1, hidden=4, encoder_blocks=1, encoder_features=4
)
LIIF_SPEC = {
    "name": "liif",
    "args": {
        "encoder_spec": {"name": "edsr-baseline", "args": {"no_upsampling": True, "n_resblocks": 1, "n_feats": 4}},
        "imnet_spec": {"name": "mlp", "args": {"out_dim": 3, "hidden_list": [4]}},
    },
}
KIM = KimConfig(
    first_stage=FirstStageConfig(channels=32, multipliers=(1, 1), blocks=1, latent=2, hidden=(8,)),
    unet=UNetConfig(channels=32, multipliers=(1, 1), blocks=1, attention=(2,)),
    diffusion=DiffusionConfig(0.001, 0.02, 20),
    sampling=KimSampling(steps=4),
    lr_side=4,
    hr_side=16,
    sizes=(4, 16),
)
WIDTHS = NetworkConfig(width=4, levels=(1, 1), lr_blocks=1, hr_blocks=1, embedding=4, octaves=1)

CODE = (f"{TRAP}:record", "os:system:true", f"liif:{TRAP}:record", f"{TRAP}.sub:record", "subprocess:run:true")
NUMBERS = (-1, 0, 1, 2, 7, 255, 10**5, 10**9, 10**12, 2**63, 10**30, 10**400, 0.5, 1e308, float("inf"), float("nan"))
ODD = (
    True,
    None,
    "",
    "x" * 5000,
    "\x1b]0;evil\a\n",
    "é\ud800",
    [],
    {},
    [1] * 2000,
    [[[[[[[[[[[[1]]]]]]]]]]]],
    {"a": {"b": 1}},
)


def bases() -> dict[str, bytes]:
    """A file of every method and layout by its name, which begins with the method."""
    torch.manual_seed(0)
    made: dict[str, bytes] = {}
    network = build_network(LIIF_SPEC, Path("base"))
    official_idm = IDMNetwork(dataclasses.replace(IDM_WIDTHS, unused=True))
    kim_network = KimNetwork(KIM)
    denoiser = Denoiser(WIDTHS)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "w.safetensors"

        def written(save: Callable[..., None], *arguments: Any) -> bytes:
            save(path, *arguments, {"licence": "MIT", "training": json.dumps({"preset": {"assumed": ["run"]}})})
            return path.read_bytes()

        made["liif.safetensors"] = written(save_liif, network, LIIF_SPEC)
        made["idm.safetensors"] = written(save_idm, IDMNetwork(IDM_WIDTHS), IDMConfig(network=IDM_WIDTHS))
        made["kim.safetensors"] = written(save_kim, kim_network)
        made["casarbi.safetensors"] = written(save_weights, denoiser, CasArbiConfig(network=WIDTHS))
        based = CasArbiConfig(network=WIDTHS, residual=ResidualConfig("liif_stage", liif="liif:mini-face"))
        made["casarbi-liif.safetensors"] = written(save_weights, denoiser, based)
    betas = DiffusionConfig(0.001, 0.02, 1000).betas()  # of a published file; those of a header may be fewer
    contents: dict[str, Any] = {
        "liif.pth": {"model": {**LIIF_SPEC, "sd": network.state_dict()}, "epoch": 1},
        "idm.pth": baselines.idm.files.ScheduleConfig().buffers() | official_idm.state_dict(),
        "kim.ckpt": {"state_dict": {"betas": torch.from_numpy(betas).float(), **kim_network.state_dict()}},
    }
    for name, content in contents.items():
        made[name] = torch_file(content)
        made[name.replace(".", "-legacy.")] = torch_file(content, legacy=True)
    return made


def torch_file(content: Any, *, legacy: bool = False) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=not legacy)
    return stream.getvalue()


def open_weights(path: Path) -> None:
    """Open a file by the method that its name begins with, as the command lines do."""
    if path.suffix == ".safetensors":
        describe_file(path)
    sides = {"lr_side": 4, "hr_side": 16} if path.suffix == ".ckpt" else {}
    model = METHODS[path.name.partition("-")[0]](str(path), **sides)
    json.dumps(model.identity, allow_nan=False)
    assert len(str(model.info)) < 3000


def cases(count: int, seed: int) -> Iterator[Case]:
    """So many files, a seed for each: half by one change, the others by up to four."""
    files = bases()
    for index in range(count):
        rng = random.Random(f"{seed}-{index}")
        name = rng.choice(sorted(files))
        content, done = files[name], []
        for _ in range(rng.choice((1, 1, 2, 4))):
            change = rng.choice(BY_SUFFIX[name.partition(".")[2] if "legacy" not in name else "legacy"])
            try:
                content = change(rng, content, files)
            except Exception:  # what an earlier change broke cannot be taken apart, in as many ways as there are
                continue
            done.append(change.__name__)
        stem, _, suffix = name.partition(".")
        yield Case(f"{stem}-{index:05d}-{'-'.join(done) or 'whole'}.{suffix}", content)


# Any bytes.


def flipped(rng: random.Random, content: bytes, files: dict[str, bytes]) -> bytes:
    changed = bytearray(content)
    reach = rng.choice((64, 2000, len(changed)))
    for _ in range(rng.choice((1, 3, 30))):
        changed[rng.randrange(min(reach, len(changed)))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(rng: random.Random, content: bytes, files: dict[str, bytes]) -> bytes:
    return content[: rng.randrange(len(content))]


def spliced(rng: random.Random, content: bytes, files: dict[str, bytes]) -> bytes:
    other = files[rng.choice(sorted(files))]
    at, start, length = rng.randrange(len(content)), rng.randrange(len(other)), rng.choice((4, 100, 5000))
    return content[:at] + other[start : start + length] + content[at + rng.choice((0, length)) :]


# Safetensors.


def taken_apart(content: bytes) -> tuple[dict[str, Any], bytes]:
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def put_together(header: Any, values: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode("utf-8", "surrogatepass")
    return len(text).to_bytes(8, "little") + text + values


def leaves(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every value within tables and lists, as the place that holds it and its key."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield tree, key
        yield from leaves(value)


def odd(rng: random.Random) -> Any:
    return rng.choice((*rng.choice((CODE, NUMBERS, ODD)),))


def setting(rng: random.Random, content: bytes, files: dict[str, bytes]) -> bytes:
    """Another value for a setting in the header."""
    header, values = taken_apart(content)
    texts = header["__metadata__"]
    name = rng.choice([name for name in ("config", "config", "model", "training") if name in texts])
    tree = json.loads(texts[name])
    place, key = rng.choice([*leaves(tree)])
    if rng.random() < 0.1 and isinstance(place, dict):
        place[rng.choice((*CODE, "x" * 3000, "blocks"))] = place.pop(key)
    else:
        place[key] = odd(rng)
    texts[name] = json.dumps(tree)
    return put_together(header, values)


def fact(rng: random.Random, content: bytes, files: dict[str, bytes]) -> bytes:
    """Another text in the header, a huge one, or no text at all."""
    header, values = taken_apart(content)
    texts = header["__metadata__"]
    name = rng.choice([*texts, "extra"])
    texts[name] = rng.choice((*CODE, "{", "[" * 100_000, '{"a":' * 50_000, "9" * 5000, '{"preset": 3}', "x" * 10**6, 3))
    if rng.random() < 0.2:
        del texts[name]
    return put_together(header, values)


def entry(rng: random.Random, content: bytes, files: dict[str, bytes]) -> bytes:
    """Another type, shape or place of a tensor; or another name of it."""
    header, values = taken_apart(content)
    key = rng.choice([key for key in header if key != "__metadata__"])
    tensor = header[key]
    what = rng.choice(("dtype", "shape", "data_offsets", "key", "gone", "many"))
    if what == "dtype":
        tensor[what] = rng.choice(("F8_E4M3", "F8_E5M2", "F64", "F16", "BF16", "I8", "BOOL", "F4", "C64", "X", 3))
    elif what == "shape":
        tensor[what] = rng.choice(([], [0], [-1], [2**40], [2**63, 2], [1] * 300, tensor[what][::-1], odd(rng)))
    elif what == "data_offsets":
        tensor[what] = rng.choice(([0, 0], [0, 2**62], [5, 1], [0, len(values)], odd(rng)))
    elif what == "many":
        for index in range(rng.choice((10, 20_000))):
            header[f"{key}.{index}"] = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    else:
        del header[key]
        if what == "key":
            new = rng.choice(("", "x" * 50_000, "\x1b[2J\n", key.replace("0", "99999"), f"module.{key}", CODE[0]))
            header[new] = tensor
    return put_together(header, values)


def raw_header(rng: random.Random, content: bytes, files: dict[str, bytes]) -> bytes:
    """A header that is no plain JSON, or of another length than it says."""
    header, values = taken_apart(content)
    text = json.dumps(header).encode()
    twice = text[:-1] + b"," + text[1:]
    text = rng.choice((twice, b"[" * 10**5, b'{"a":' * 10**5, text + b" " * 10**6, b"{}", b"null", text[1:], text))
    length = rng.choice((len(text), len(text), 0, 1, len(text) + 1, 2**31, 2**63, 2**64 - 1))
    return length.to_bytes(8, "little") + text + values


# Pickles.


def put(value: Any) -> bytes:
    """A pickled value without its frame."""
    return pickle.dumps(value, 2)[2:-1]


def named(name: str) -> bytes:
    module, _, attribute = name.rpartition(".")
    return f"c{module}\n{attribute}\n".encode()


def tensor_code(rng: random.Random) -> bytes:
    """A call that rebuilds a tensor of a storage "0", of any size and stride."""
    sizes = ((10**9,), (10**6, 10**6), (1,) * 100, (-5,), (2**70,), (4, 4), (0, 2**62), (3,))
    size, stride = rng.choice(sizes), rng.choice(((0,), (0, 0), (1,), (4, 1), (2**62,), (-1,)))
    count = rng.choice((1, 16, 10**10, -1, 2**70))
    kind = rng.choice(("FloatStorage", "ByteStorage", "UntypedStorage", "QInt8Storage"))
    storage = b"(" + put("storage") + named(f"torch.{kind}") + put(rng.choice(("0", "1", "no", 0))) + put("cpu")
    storage += put(count) + b"tQ"
    rebuild = rng.choice(("_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_tensor", "_rebuild_sparse_tensor"))
    rest = storage + put(rng.choice((0, 3, -1, 10**12))) + put(size) + put(stride)
    return named(f"torch._utils.{rebuild}") + b"(" + rest + put(False) + put({}) + b"tR"


def bomb(rng: random.Random) -> bytes:
    """The code of one value that costs, names or calls something."""
    call = b"(" + put("true") + b"tR"
    deep = rng.choice((30, 200, 5000))
    twice = b"".join(
        b"q" + bytes([i % 250]) + b"(h" + bytes([i % 250]) + b"h" + bytes([i % 250]) + b"t" for i in range(deep)
    )
    choices = (
        named(f"{TRAP}.record") + call,
        named(rng.choice(("os.system", "posix.system", "builtins.eval", "builtins.getattr", "subprocess.run"))) + call,
        named("torch.load") + call,
        named("torch._dynamo.config") + call,
        named("builtins.bytearray") + put((10**11,)) + b"R",
        named("torch.Tensor") + put((10**11,)) + b"R",
        named("torch.nn.modules.linear.Linear") + put((10**6, 10**6)) + b"R",
        put({}) + twice + b"Ns",  # a key that takes for ever to hash
        b"]"
        + b"".join(
            b"q" + bytes([i % 250]) + b"]h" + bytes([i % 250]) + b"ah" + bytes([i % 250]) + b"a" for i in range(deep)
        ),
        b"]" * deep + b"a" * (deep - 1),
        b"(" * deep + b"t" * deep,
        b"N" + b"r" + struct.pack("<I", 2**31),
        b"\x82\x01",
        b"\x8b" + struct.pack("<i", 2000) + b"\x7f" * 2000,
        b"\x8e" + struct.pack("<Q", 2**50),
        b"}" * 10**6 + b"0" * (10**6 - 1),
        b"]q\x01h\x01a",
        tensor_code(rng),
        put(odd(rng) if rng.random() < 0.7 else {(1, 2): 3, b"x": 4, 2**70: 5}),
    )
    return rng.choice(choices)


def pickle_changed(rng: random.Random, code: bytes) -> bytes:
    """A pickle with a bomb in it, or with operations gone, doubled or exchanged."""
    places = [at for _, _, at in pickletools.genops(code)]
    at = rng.choice(places[1:])
    after = next((place for place in places if place > at), len(code))
    kind = rng.choice(("bomb", "bomb", "last", "gone", "double", "byte"))
    if kind == "last":
        return b"\x80\x02" + bomb(rng) + b"."
    if kind == "bomb":  # another value in the place of one
        return code[:at] + bomb(rng) + code[rng.choice((at, after)) :]
    if kind == "byte":
        return code[:at] + bytes([rng.randrange(256)]) + code[at + 1 :]
    return code[:at] + (code[at:after] * 2 if kind == "double" else b"") + code[after:]


def in_zip(rng: random.Random, content: bytes, files: dict[str, bytes]) -> bytes:
    """Another pickle in the zip."""
    return zipped(
        {name: pickle_changed(rng, data) if name.endswith("data.pkl") else data for name, data in members(content)}
    )


def in_legacy(rng: random.Random, content: bytes, files: dict[str, bytes]) -> bytes:
    """Another pickle among the first five."""
    starts = [0]
    stream = io.BytesIO(content)
    for _ in range(5):
        for _ in pickletools.genops(stream):
            pass
        starts.append(stream.tell())
    which = rng.choice((3, 3, 3, 0, 1, 2, 4))
    code = pickle_changed(rng, content[starts[which] : starts[which + 1]])
    return content[: starts[which]] + code + content[starts[which + 1] :]


# Zips.


def members(content: bytes) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def zipped(files: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def zip_changed(rng: random.Random, content: bytes, files: dict[str, bytes]) -> bytes:
    """An archive that is compressed, lacks something, holds more, or whose members are not where they should be."""
    held = dict(members(content))
    name = rng.choice(sorted(held))
    kind = rng.choice(
        ("deflated", "bomb", "gone", "cut", "empty", "renamed", "code", "overlap", "sizes", "big", "comment")
    )
    if kind in ("deflated", "bomb"):
        if kind == "bomb":
            held[name] = b"]" * 3_000_000
        return zipped(held, rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA)))
    if kind in ("gone", "renamed"):
        data = held.pop(name)
        if kind == "renamed":
            held[rng.choice(("data.pkl", "a/b/data.pkl", f"other/{name}", "../../x", "x" * 60_000))] = data
    elif kind in ("cut", "empty"):
        held[name] = held[name][: len(held[name]) // 2] if kind == "cut" else b""
    elif kind == "code":
        held[f"{name.partition('/')[0]}/{rng.choice(('code/__torch__.py', 'constants.pkl'))}"] = b"x"
    elif kind == "big":
        held[f"{name.partition('/')[0]}/byteorder"] = b"big"
    archive = bytearray(zipped(held))
    if kind in ("overlap", "sizes"):
        entry = archive.index(b"PK\1\2", archive.index(b"PK\1\2") + 1)
        at = entry + (42 if kind == "overlap" else rng.choice((20, 24, 28)))
        archive[at : at + 4] = struct.pack("<I", rng.choice((0, 1, 100, 2**31, 2**32 - 1)))
    return bytes(archive)


BY_SUFFIX = {
    "safetensors": (setting, setting, setting, setting, fact, entry, entry, raw_header, flipped, cut, spliced),
    "pth": (in_zip, in_zip, in_zip, zip_changed, zip_changed, flipped, cut, spliced),
    "legacy": (in_legacy, in_legacy, in_legacy, flipped, cut, spliced),
}
BY_SUFFIX["ckpt"] = BY_SUFFIX["pth"]
