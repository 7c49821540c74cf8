"""Who may import whom (CONTRIBUTING.md): read from the source, so that imports inside functions count too."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from casarbi.settings import read_toml

PROJECT = Path(__file__).parents[1]
PACKAGES = ("casarbi", "baselines", "benchmarks", "reports")
# The modules that lie at the root of casarbi/, its two command line modules apart.
COMMANDS = ("casarbi.cli", "casarbi.commands")
CONTRACT = tuple(
    name
    for path in sorted((PROJECT / "casarbi").glob("*.py"))
    if (name := f"casarbi.{path.stem}") not in (*COMMANDS, "casarbi.__init__")
)
ROOT = (*CONTRACT, "casarbi.SRModel", "casarbi.create_model", "casarbi.__version__")
NETWORKS = (*ROOT, "casarbi.pictures", "casarbi.data", "casarbi.training", "casarbi.checkpoints", "casarbi.weights")
# Each folder, or file, and what it may import beside itself; for a module the longest name that fits decides.
RULES = {
    "casarbi": (*ROOT, "casarbi.weights"),
    "casarbi.cli": ("casarbi",),
    "casarbi.commands": ("casarbi",),
    "casarbi.pictures": ROOT,
    "casarbi.weights": ROOT,
    "casarbi.checkpoints": (*ROOT, "casarbi.weights"),
    "casarbi.data": (*ROOT, "casarbi.pictures", "casarbi.weights"),
    "casarbi.upscaling": (*ROOT, "casarbi.pictures"),
    "casarbi.training": NETWORKS,
    # CasArbi alone: a model that it takes as its base comes in through the contract.
    "casarbi.method": NETWORKS,
    "baselines": NETWORKS,
    # Both published networks hold a LIIF.
    "baselines.idm": (*NETWORKS, "baselines.ddpm", "baselines.training_target", "baselines.liif"),
    "baselines.kim": (*NETWORKS, "baselines.ddpm", "baselines.training_target", "baselines.liif"),
    "baselines.liif": NETWORKS,
    # The harness knows methods only through casarbi.sr.
    "benchmarks": (
        *(*ROOT, "casarbi.pictures", "casarbi.data", "casarbi.weights", "casarbi.checkpoints"),
        *("benchmarks.untrained", "reports"),
    ),
    # Networks with random weights come from training presets, whatever their method.
    "benchmarks.untrained": (*ROOT, "casarbi.training"),
    # What times the parts of a method has to know them.
    "benchmarks.speed": PACKAGES,
    "reports": ("casarbi.errors", "casarbi.files", "casarbi.plain", "casarbi.scales"),
}


def module(path: Path) -> str:
    return ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")


def imports(source: str) -> Iterator[tuple[int, str]]:
    """Line and full name of everything of ours that a module imports; relative imports, which we have none of, too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from ((node.lineno, name) for name in names if name.startswith((*PACKAGES, ".")))


def within(name: str, packages: tuple[str, ...]) -> bool:
    return any(f"{name}.".startswith(f"{package}.") for package in packages)


def rule(name: str) -> str:
    return max((folder for folder in RULES if within(name, (folder,))), key=len, default="")


def breaches(name: str, source: str) -> list[str]:
    here = rule(name)
    wrong = [(line, other) for line, other in imports(source) if rule(other) != here and not within(other, RULES[here])]
    return [f"{name}:{line} imports {other}" for line, other in wrong]


@pytest.mark.parametrize("package", PACKAGES)
def test_package_imports_only_what_its_folder_may(package):
    paths = sorted((PROJECT / package).rglob("*.py"))
    assert paths and [line for path in paths for line in breaches(module(path), path.read_text("utf-8"))] == []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("casarbi.pictures.reading", "from casarbi.sr import SRModel\nfrom casarbi.method.model import CasArbi\n"),
        ("casarbi.sr", "import os\ndef f():\n    import casarbi.pictures.reading\n"),
        ("baselines.kim.model", "from baselines.idm import model\n"),
        ("baselines.bicubic", "from baselines.liif import model\n"),
        ("baselines.liif.model", "from casarbi.method.network import Denoiser\n"),
        ("benchmarks.evaluate", "def f():\n    import baselines.liif.model as liif\n"),
        ("benchmarks.evaluate", "from casarbi.training.trainer import Trainer\n"),
        ("reports.table", "from benchmarks.store import Store\n"),
        ("reports.table", "from . import document\n"),
    ],
)
def test_a_breach_is_seen_wherever_it_hides(name, source):
    assert len(breaches(name, source)) == 1


def test_names_that_begin_alike_are_told_apart():
    assert within("casarbi.method", ("casarbi.method",)) and not within("casarbi.methods", ("casarbi.method",))
    assert not within("casarbi_plugin.x", ("casarbi",)) and not within(".liif", ("baselines",))


ENTRY_POINTS = read_toml(PROJECT / "pyproject.toml")["project"]["entry-points"]
MODELS = tuple(sorted({factory.partition(":")[0] for factory in ENTRY_POINTS["casarbi.models"].values()}))


@pytest.fixture(scope="module")
def loaded():
    """What importing each model loads, each in a fork of a process that holds torch, the slow part, and no more."""
    code = (
        "import importlib, json, os, sys, torch\n"
        "for name in sys.argv[1:]:\n"
        "    if not os.fork():\n"
        "        importlib.import_module(name)\n"
        "        print(json.dumps([name, sorted(sys.modules)]), flush=True)\n"
        "        os._exit(0)\n"
        "    os.wait()"
    )
    done = subprocess.run([sys.executable, "-c", code, *MODELS], cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    return dict(map(json.loads, done.stdout.splitlines()))


@pytest.mark.parametrize("model", MODELS)
def test_importing_a_model_loads_no_trainer_and_no_other_method(loaded, model):
    homes = {name.rpartition(".")[0] if name.endswith(".model") else name for name in MODELS}
    home = next(home for home in homes if within(model, (home,)))
    others = tuple(homes - {home} - ({"baselines.liif"} if home in ("baselines.idm", "baselines.kim") else set()))
    assert model in loaded[model]
    unwanted = ("casarbi.training", "benchmarks", "reports", *others)
    assert [name for name in loaded[model] if within(name, unwanted)] == []
