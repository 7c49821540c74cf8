"""Who may import whom (shared/design.md): read from the source, so that imports inside functions count too."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
PACKAGES = ("casarbi", "baselines", "benchmarks", "reports")
MAY_IMPORT = {
    "casarbi": ("casarbi",),
    "baselines": ("baselines", "casarbi"),
    "benchmarks": ("benchmarks", "casarbi", "reports"),
    "reports": ("reports", "casarbi.errors", "casarbi.plain", "casarbi.scales"),
}
# Methods, which the harness meets only as a casarbi.sr.SRModel made from a reference.
METHODS = (
    *("casarbi.cascade", "casarbi.config", "casarbi.costs", "casarbi.diffusion", "casarbi.guidance", "casarbi.layers"),
    *("casarbi.model", "casarbi.network", "casarbi.residuals", "casarbi.tiling", "casarbi.training"),
)
# What times the parts of a method has to know them.
SPEED = PROJECT / "benchmarks" / "speed"


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


def breaches(path: Path, allowed: tuple[str, ...], forbidden: tuple[str, ...] = ()) -> list[str]:
    found = imports(path.read_text(encoding="utf-8"))
    wrong = [(line, name) for line, name in found if not within(name, allowed) or within(name, forbidden)]
    return [f"{path.relative_to(PROJECT)}:{line} imports {name}" for line, name in wrong]


@pytest.mark.parametrize("package", PACKAGES)
def test_package_imports_only_what_its_layer_may(package):
    paths = sorted((PROJECT / package).rglob("*.py"))
    allowed = {path: MAY_IMPORT[package] + (("baselines",) if SPEED in path.parents else ()) for path in paths}
    assert paths and [line for path in paths for line in breaches(path, allowed[path])] == []


def test_benchmarks_know_methods_only_through_the_common_interface():
    paths = [path for path in sorted((PROJECT / "benchmarks").rglob("*.py")) if SPEED not in path.parents]
    found = [line for path in paths for line in breaches(path, MAY_IMPORT["benchmarks"], METHODS)]
    # The one reader of TOML settings, which knows nothing of training.
    assert [line for line in found if " imports casarbi.training.tables." not in line] == []


def test_a_breach_is_seen_wherever_it_hides():
    source = "import os\ndef f():\n    from benchmarks.store import Store\n    import baselines.liif as liif\n"
    assert list(imports(source)) == [(3, "benchmarks.store.Store"), (4, "baselines.liif")]
    assert within("casarbi.model", METHODS) and not within("casarbi.models", METHODS)
    assert not within("casarbi_plugin.x", ("casarbi",)) and not within(".liif", ("baselines",))
