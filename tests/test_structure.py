"""What a reader may rely on: imports form no ring, and an object has its attributes from its beginning."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
SOURCES = {
    ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__"): path.read_text("utf-8")
    for package in ("casarbi", "baselines", "benchmarks", "reports")
    for path in sorted((PROJECT / package).rglob("*.py"))
}
# The parts of IDM's denoiser have the names of the published files, and are made by a method of their own.
LATE = {("baselines.idm.network", "Denoiser")}


def at_import(body: list[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """Imports outside functions, those for type checkers alone too."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If | ast.Try):
            yield from at_import(node.body + node.orelse)


def graph(sources: Mapping[str, str]) -> dict[str, set[str]]:
    edges: dict[str, set[str]] = {}
    for module, source in sources.items():
        named: set[str] = set()
        for node in at_import(ast.parse(source).body):
            named |= {alias.name for alias in node.names}
            if isinstance(node, ast.ImportFrom):
                named |= {f"{node.module}", *(f"{node.module}.{alias.name}" for alias in node.names)}
        edges[module] = (named & sources.keys()) - {module}
    return edges


def ring(edges: Mapping[str, set[str]]) -> list[str]:
    """Modules that are left when those that import nothing of the rest are taken away again and again."""
    left = dict(edges)
    while free := [module for module, others in left.items() if not others & left.keys()]:
        for module in free:
            del left[module]
    return sorted(left)


def born_late(module: str, source: str) -> list[str]:
    """Attributes that a method other than `__init__` gives an object first."""
    late = []
    for kind in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)):
        stored = {
            (method.name, node.attr)
            for method in kind.body
            if isinstance(method, ast.FunctionDef)
            for node in ast.walk(method)
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self"
        }
        declared = {ast.unparse(node.target) for node in kind.body if isinstance(node, ast.AnnAssign)}
        declared |= {
            ast.unparse(target) for node in kind.body if isinstance(node, ast.Assign) for target in node.targets
        }
        first = declared | {name for method, name in stored if method == "__init__"}
        if (module, kind.name) not in LATE:
            late += [f"{module}.{kind.name}.{name}" for method, name in sorted(stored) if name not in first]
    return late


def test_imports_form_no_ring_even_for_type_checkers():
    assert ring(graph(SOURCES)) == []


def test_a_ring_is_seen():
    task = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from a.batches import Batches\n"
    assert ring(graph({"a.task": task, "a.batches": "import a.task", "a.c": "import a.task"})) == [
        "a.batches",
        "a.c",
        "a.task",
    ]


@pytest.mark.parametrize("package", ["casarbi", "baselines", "benchmarks", "reports"])
def test_every_attribute_is_born_in_init(package):
    modules = [module for module in SOURCES if module.partition(".")[0] == package]
    assert modules and [line for module in modules for line in born_late(module, SOURCES[module])] == []


def test_a_late_attribute_is_seen():
    source = "class A:\n    b: int\n    def __init__(self): self.a = 1\n    def f(self): self.a = self.b = self.c = 2\n"
    assert born_late("m", source) == ["m.A.c"]
