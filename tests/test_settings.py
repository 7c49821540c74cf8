"""One reader for every source of settings: the same mistakes get the same words, wherever they stand."""

import dataclasses
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import pytest

from benchmarks.experiments.declaration import read_declaration
from casarbi.errors import CasarbiError
from casarbi.references import Reference, call_factory, options_of_factory
from casarbi.settings import Choices, Option, build, change, check_choices, options_of
from casarbi.sr import create_model
from casarbi.training.presets import load_preset


@dataclass(frozen=True)
class Inner:
    """A part with options."""

    RETIRED: ClassVar[Mapping[str, Any]] = {"norm": "channel", "attention": []}

    steps: Annotated[int | None, Option("steps of the chain")] = None
    clamp: Annotated[str, Choices("all", "last", "none"), Option("which", "cut", lambda text: text.lower())] = "all"
    gamma: Annotated[tuple[float, ...], Option("strengths")] = (0.5,)
    width: int = 3

    def __post_init__(self) -> None:
        check_choices(self)
        if self.width < 1:
            raise CasarbiError(f"width={self.width} must be at least 1.")


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner = field(default_factory=Inner)
    eager: Annotated[bool, Option("begin at once")] = False
    parts: tuple[Inner, ...] = ()
    named: Mapping[str, Inner] = field(default_factory=dict)


def make(weights: str = "small", *, scale: float | None = None, **options: Annotated[Any, Outer]) -> Outer:
    return change(Outer(f"{weights} {scale}"), options)


def call(text: str) -> Outer:
    return call_factory(make, Reference.parse(text))


def header(tmp_path, table: str, line: str) -> None:
    """Open weights of CasArbi whose header has a line of JSON."""
    config = json.loads(f'{{"{table}": {{{line}}}}}') if table else json.loads(f"{{{line}}}")
    text = json.dumps({"__metadata__": {"method": "casarbi", "config": json.dumps(config)}}).encode()
    path = tmp_path / "mine.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    create_model(f"casarbi:{path}")


PRESET = """task = "liif"
data = { train = "photos"%s }
[run]
iterations = 1
batch = 1
learning_rate = 1
%s
"""

DECLARATION = """title = "Mine"
methods = []
%s
[presets.mini]
panels = []
metrics = []
scales = [2]
%s
"""


def preset(tmp_path, line: str, data: str = "") -> None:
    (tmp_path / "mine.toml").write_text(PRESET % (data, line))
    load_preset(str(tmp_path / "mine.toml"))


def declaration(tmp_path, line: str, top: str = "") -> None:
    (tmp_path / "mine.toml").write_text(DECLARATION % (top, line))
    read_declaration(tmp_path / "mine.toml")


@pytest.mark.parametrize(
    ("read", "line", "words"),
    [
        # an unknown name gets the near one
        (
            lambda t, x: header(t, "guidance", x),
            '"gama": [1]',
            r"\[guidance\] has no setting 'gama': did you mean gamma",
        ),
        (lambda t, x: header(t, "", x), '"guidence": {}', "has no setting 'guidence': did you mean guidance"),
        (preset, "bacth = 2", r"\[run\] has no setting 'bacth': did you mean batch"),
        (declaration, "sead = 1", r"\[presets.mini\] has no setting 'sead': did you mean seed"),
        (lambda _, x: create_model(x), "casarbi?gama=1", "'casarbi.gama=1' has no option 'gama': did you mean gamma"),
        (lambda _, x: create_model(x), "bicubic?x=1", "'bicubic.x=1' has no option 'x': known: "),
        # a value of another kind
        (lambda t, x: header(t, "process", x), '"T": 1.5', r"\[process\] T = 1.5 is not a whole number"),
        (lambda t, x: header(t, "process", x), '"T": null', r"\[process\] T = None is not a whole number"),
        (preset, "seed = 1.5", r"\[run\] seed = 1.5 is not a whole number"),
        (declaration, "seed = 1.5", r"\[presets.mini\] seed = 1.5 is not a whole number"),
        (lambda _, x: create_model(x), "casarbi?steps=1.5", "'casarbi.steps=1.5': steps = '1.5' is not a whole number"),
        # a table, a list
        (lambda t, x: header(t, "", x), '"process": 3', "process = 3 is not a table"),
        (preset, "drops = 1", r"\[run\] drops = 1 is not a list"),
        (declaration, "models = 1", r"\[presets.mini\] models = 1 is not a table"),
        # what the class itself refuses
        (lambda t, x: header(t, "process", x), '"T": 0', r"mine.safetensors: \[process\]: T=0 must be"),
        (preset, "seed = -1", r"mine.toml: \[run\]: .* seed be at least 0"),
        (declaration, "", r"mine.toml: \[\[methods\]\] is empty"),
    ],
)
def test_every_source_answers_a_mistake_in_the_same_words(tmp_path, read, line, words):
    with pytest.raises(CasarbiError, match=words) as caught:
        read(tmp_path, line)
    assert "\n" not in str(caught.value)


def test_tables_become_dataclasses_of_the_annotated_types():
    table = {"name": "a", "inner": {"steps": 1e1, "gamma": [1]}, "parts": [{"width": 2}], "named": {"x": {"cut": 1}}}
    with pytest.raises(CasarbiError, match=r"here: \[named.x\] has no setting 'cut'"):
        build(Outer, table, "here")
    made = build(Outer, table | {"named": {"x": {"steps": None}}}, "here")
    assert made == Outer("a", Inner(10, gamma=(1.0,)), parts=(Inner(width=2),), named={"x": Inner()})
    assert repr(made.inner.gamma) == "(1.0,)"


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({}, "here lacks the setting 'name'"),
        ({"name": 3}, "here: name = 3 is not a text"),
        ({"name": "a", "eager": 1}, "here: eager = 1 is not true or false"),
        ({"name": "a", "inner": {"steps": True}}, r"here: \[inner\] steps = True is not a whole number"),
        ({"name": "a", "inner": {"clamp": "lst"}}, r"here: \[inner\] clamp = 'lst' is unknown: did you mean last"),
        ({"name": "a", "parts": [{}, {"width": 0}]}, r"here: \[parts.2\]: width=0 must be at least 1"),
        ({"name": "a", "named": {"n" * 999: {"width": 0}}}, r"here: \[named.n{80}\]: width=0"),
        ({"name": "a", "named": {"\x1b": 3}}, r"here: \[named\] \\x1b = 3 is not a table"),
    ],
)
def test_mistakes_in_tables_are_named_with_their_place(table, words):
    with pytest.raises(CasarbiError, match=words):
        build(Outer, table, "here")


def test_a_retired_setting_is_read_with_the_one_value_that_is_left():
    assert build(Inner, {"norm": "channel", "attention": [], "width": 2}, "old file") == Inner(width=2)
    with pytest.raises(CasarbiError, match=r"norm = 'group' is no longer supported: only 'channel' is left"):
        build(Inner, {"norm": "group"}, "old file")


def test_options_reach_the_dataclass_that_declares_them():
    made = call("m:big?steps=1e1&gamma=1,0.5&cut=LAST&eager=yes&scale=2")
    assert made == Outer("big 2.0", Inner(10, "last", (1.0, 0.5)), eager=True)
    assert make(steps=4, gamma=(2.0,)) == Outer("small None", Inner(4, gamma=(2.0,)))
    assert call("m") == Outer("small None")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("m?stepz=4", "'m.stepz=4' has no option 'stepz': did you mean steps"),
        ("m?width=4", "has no option 'width'"),  # a field, but no option
        ("m?clamp=all", "has no option 'clamp'"),  # the option is called cut
        ("m?gamma=1,x", "gamma = 'x' is not a number"),
        ("m?cut=FIRST", "cut = 'FIRST' is unknown: known: all, last, none"),
        ("m?eager=perhaps", "eager = 'perhaps' is not true or false"),
        ("m?scale=", "scale = '' is not a number"),
    ],
)
def test_mistakes_in_options_are_named(text, words):
    with pytest.raises(CasarbiError, match=words):
        call(text)


def test_calls_from_python_are_checked_like_references():
    with pytest.raises(CasarbiError, match="no option 'stepz': did you mean steps"):
        make(stepz=4)
    with pytest.raises(CasarbiError, match="steps = 4.5 is not a whole number"):
        make(steps=4.5)


def test_options_say_what_they_are_for():
    found = options_of_factory(make)
    assert list(found) == ["scale", "steps", "cut", "gamma", "eager"] and list(options_of(Inner)) == list(found)[1:4]
    assert found["steps"].option == Option("steps of the chain") and found["steps"].nullable
    assert found["gamma"].default == (0.5,) and found["cut"].choices == ("all", "last", "none")


def test_words_are_checked_however_a_dataclass_is_made():
    with pytest.raises(CasarbiError, match="clamp = 'lst' is unknown: did you mean last"):
        Inner(clamp="lst")
    with pytest.raises(CasarbiError, match="clamp = 'lst' is unknown"):
        dataclasses.replace(Inner(), clamp="lst")
