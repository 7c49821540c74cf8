"""An edit of any file that a typed `module:factory` runs changes its hash; nothing else does."""

import importlib
import itertools
import sys

import pytest

from casarbi.plugin_source import _places, plugin_source

COUNT = itertools.count()


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Write files of a plug-in, under names used once (Python keeps modules), and return a function that hashes it."""
    monkeypatch.syspath_prepend(tmp_path)
    number = next(COUNT)

    def write(files, reference):
        for name, text in files.items():
            path = tmp_path / name.replace("@", str(number))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace("@", str(number)))
        importlib.invalidate_caches()
        _places.cache_clear()
        module, _, factory = reference.replace("@", str(number)).partition(":")
        return lambda: plugin_source(
            f"{module}:{factory}",
            ("bicubic",),
            getattr(sys.modules.get(module) or importlib.import_module(module), factory)(),
        )

    write.edit = lambda name: (tmp_path / name.replace("@", str(number))).open("a").write("# edited\n")
    return write


ONE = {"net@.py": "class Net: pass\n"}
BESIDE = {
    "net@.py": "import os, layers@ as l\ndef make():\n    from blocks@.deep import x\n    return l.Net()\n",
    "layers@.py": "import torch\nclass Net: pass\n",
    "blocks@/deep.py": "x = 1\n",
    "unused@.py": "",
}
PACKAGE = {
    "pack@/__init__.py": "",
    "pack@/factory.py": "from other@ import Net\n",
    "pack@/sub/layers.py": "",
    "other@.py": "from bases@ import Base\nclass Net(Base): pass\n",
    "bases@.py": "class Base: pass\n",
}


@pytest.mark.parametrize(
    ("files", "reference", "edited", "changes"),
    [
        (ONE, "net@:Net", "net@.py", True),
        (BESIDE, "net@:make", "layers@.py", True),
        (BESIDE, "net@:make", "blocks@/deep.py", True),
        (BESIDE, "net@:make", "unused@.py", False),
        (PACKAGE, "pack@.factory:Net", "pack@/sub/layers.py", True),
        (PACKAGE, "pack@.factory:Net", "pack@/__init__.py", True),
        (PACKAGE, "pack@.factory:Net", "bases@.py", True),
    ],
)
def test_an_edit_of_a_file_that_runs_changes_the_hash(plugin, files, reference, edited, changes):
    source = plugin(files, reference)
    before = source()
    assert len(before) == 64 and source() == before
    plugin.edit(edited)
    assert (source() != before) == changes


def test_registered_names_and_shipped_modules_have_none():
    assert plugin_source("bicubic", ("bicubic",), object()) == ""
    assert plugin_source("baselines.bicubic:bicubic", ("bicubic",), object()) == ""


def test_a_namespace_of_many_and_huge_files_is_bounded(plugin, monkeypatch):
    monkeypatch.setattr("casarbi.plugin_source.MOST_BYTES", 100)
    source = plugin({"big@/a.py": "def make(): pass\n", "big@/b.py": "#" * 1000}, "big@.a:make")
    before = source()
    plugin.edit("big@/b.py")
    assert source() != before
