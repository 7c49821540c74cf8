import sys
from importlib.metadata import EntryPoint

import pytest

from casarbi.errors import CasarbiError
from casarbi.references import Reference, Registry, call_factory


def factory(weights: str = "small", *, chunk: int = 100, gain: float = 1.0, fast: bool = False, name: str = "x"):
    return weights, chunk, gain, fast, name


def needy(path: str):
    return path


def plain():
    return "made"


def call(text, made=factory):
    return call_factory(made, Reference.parse(text))


def test_options_are_converted_to_their_types():
    assert call("m:w.pth?chunk=7&gain=4&fast=yes&name=3") == ("w.pth", 7, 4.0, True, "3")
    assert call("m?chunk=1e1")[1] == 10 == call("m?chunk=10.0")[1]
    assert call("m") == ("small", 100, 1.0, False, "x")


@pytest.mark.parametrize(
    ("text", "made", "words"),
    [
        ("m?chunk=1.5", factory, "chunk = '1.5' is not a whole number"),
        ("m?chunk=inf", factory, "chunk = 'inf' is not a whole number"),
        ("m?chunk=1e99", factory, "chunk = '1e99' is not a whole number"),
        ("m?gain=big", factory, "gain = 'big' is not a number"),
        ("m?fast=maybe", factory, "fast = 'maybe' is not true or false"),
        ("m?chnk=1", factory, "no option 'chnk': did you mean chunk"),
        ("m", needy, "lacks its path: write m:PATH"),
        ("m:", needy, "lacks its path"),
        ("m:w", plain, "takes nothing after a colon"),
    ],
)
def test_bad_references_are_answered_in_a_sentence(text, made, words):
    with pytest.raises(CasarbiError, match=words):
        call(text, made)


@pytest.mark.parametrize("text", ["", "  ", ":x", "?a=1", "m?a", "m?a=1&&b=2"])
def test_what_is_no_reference_is_refused(text):
    with pytest.raises(CasarbiError):
        Reference.parse(text)


def test_paths_may_hold_colons_and_spaces():
    assert Reference.parse("folder:/a b/c:d").target == "/a b/c:d"


def test_a_typo_is_answered_with_near_names():
    with pytest.raises(CasarbiError, match="no model 'bicubc': did you mean bicubic"):
        Registry("model", "casarbi.models").build("bicubc")


def test_a_factory_of_the_users_module_needs_no_registration(tmp_path, monkeypatch):
    (tmp_path / "their_module.py").write_text("def make(*, width: int = 1):\n    return width\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry("model", "casarbi.models")
    assert registry.build("their_module:make?width=3") == 3
    with pytest.raises(CasarbiError, match="Module their_module has no 'mak'"):
        registry.build("their_module:mak")
    sys.modules.pop("their_module")


def test_entry_points_that_are_indexed_by_name_are_read_too(monkeypatch):
    class ByName(tuple):
        """As importlib.metadata gives them from Python 3.12 on."""

        def __getitem__(self, name):
            raise KeyError(name)

    def entry(value):
        return EntryPoint("best", value, "casarbi.by_name")

    found = ByName([entry("builtins:int"), entry("builtins:str")])
    monkeypatch.setattr("casarbi.references.entry_points", lambda group: found)
    registry = Registry("model", "casarbi.by_name")
    assert registry.names() == ["best"] and registry.factory(Reference.parse("best"))[0] is int
