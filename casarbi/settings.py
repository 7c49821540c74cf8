"""The one reader of settings: tables to frozen dataclasses, with every mistake named.

Headers of weights files, presets, declarations of experiments and the options of references are all read here, by the
annotated types of a dataclass's fields or of a factory's keyword-only parameters. `Annotated` says what a type cannot:

    @dataclass(frozen=True)
    class SamplingConfig:
        steps: Annotated[int, Option("steps of the chain")] = 20
        clamp: Annotated[str, Choices("steps", "last"), Option("which steps are clamped")] = "steps"
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from casarbi.errors import CasarbiError, near_names
from casarbi.plain import quote, visible

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")

WORDS: dict[Any, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
"""What a plain type is called in messages."""
SWITCH = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(("0", "false", "no", "off"), False)
"""How true and false are typed in a reference."""


@dataclass(frozen=True)
class Option:
    """Marks a field that a reference may set, as in `casarbi:mini-face?steps=4`.

    Attributes:
        help: what it does, for `casarbi info`.
        name: how it is called in references; by default as the field is.
        read: turns what was given into what the field holds, if they differ.
    """

    help: str
    name: str = ""
    read: Callable[[Any], Any] | None = None


class Choices(tuple[str, ...]):
    """Marks a text that must be one of a few words.

    Example:
        >>> Choices("nominal", "achieved")
        ('nominal', 'achieved')
    """

    def __new__(cls, *words: str) -> Choices:
        """Take the words."""
        return super().__new__(cls, words)


@dataclass(frozen=True)
class Kind:
    """What a setting may hold: its annotation, taken apart.

    Attributes:
        type: without the alternative None.
        nullable: whether None is allowed.
        choices: words that it must be one of; empty for any.
        option: how references set it, if they may.
        required: whether it has no default.
        default: what it holds if it is not given.
    """

    type: Any
    nullable: bool = False
    choices: tuple[str, ...] = ()
    option: Option | None = None
    required: bool = False
    default: Any = None

    @classmethod
    def of(cls, hint: Any, **default: Any) -> Kind:
        """Take an annotation apart; `required` and `default` are kept as given."""
        hint, *notes = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        choices = next((tuple(note) for note in notes if isinstance(note, Choices)), ())
        option = next((note for note in notes if isinstance(note, Option)), None)
        alternatives = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
        plain = [alternative for alternative in alternatives if alternative is not types.NoneType]
        # `int | float` takes what float takes.
        kind = float if float in plain else plain[0]
        return cls(kind, types.NoneType in alternatives, choices, option, **default)


@dataclass(frozen=True)
class Place:
    """Where a table stands, for messages: `mine.toml: [presets.mini]`.

    Attributes:
        source: the file or reference.
        inside: names of the tables around it.
    """

    source: str
    inside: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.source}: [{'.'.join(self.inside)}]" if self.inside else self.source

    def setting(self, name: str) -> str:
        """One setting of the table."""
        return f"{self}{'' if self.inside else ':'} {visible(name)}"

    def within(self, name: str) -> Place:
        """A table of the table. A file may give it a name of any length; a message gives the beginning."""
        return Place(self.source, (*self.inside, visible(name[:80])))


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; raises CasarbiError if it is missing or no TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CasarbiError(f"The file {path} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, a number of 5,000 digits, 1,000 lists in lists
        raise CasarbiError(f"The file {path} is no valid TOML: {error}.") from None


def as_json(config: Any) -> dict[str, Any]:
    """A dataclass of settings as plain JSON, every value stated: what a header holds and `build` reads back."""
    # Through text, so that tuples become the lists that a header read back holds.
    return json.loads(json.dumps(dataclasses.asdict(config)))


def parse_value(text: str) -> Any:
    """Read a value as TOML writes it; what TOML does not know is a string.

    Example:
        >>> parse_value("1e-4"), parse_value("[0.5, 0.8]"), parse_value("portraits?split=val")
        (0.0001, [0.5, 0.8], 'portraits?split=val')
    """
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def build(cls: type[T], table: Any, where: str, inside: tuple[str, ...] = ()) -> T:
    """Build a frozen dataclass from a table of a file.

    A class may hold a mapping `RETIRED` of settings that older files have: each is accepted only with the one value
    that is still supported.

    Args:
        cls: a dataclass whose fields are bool, int, float, str, dataclasses, tuples or mappings of these, or one of
            them or None.
        table: its values by field name; fields with a default may be left out.
        where: the file, for messages.
        inside: names of the tables around it, which messages give as "FILE: [presets.mini]".

    Raises:
        CasarbiError: naming an unknown, missing or retired setting, a value of another kind than expected, or what the
            class itself refuses.
    """
    place = Place(where, inside)
    kinds = fields_of(cls)
    values = read_values(_without_retired(cls, table, place), kinds, place)
    missing = [name for name, kind in kinds.items() if kind.required and name not in values]
    if missing:
        raise CasarbiError(f"{place} lacks the setting '{missing[0]}'.")
    try:
        return cls(**values)
    except CasarbiError as error:
        raise CasarbiError(f"{place}: {error}", error.lines) from None


def _without_retired(cls: type, table: Any, place: Place) -> Any:
    retired: Mapping[str, Any] = getattr(cls, "RETIRED", {})
    if not isinstance(table, Mapping):
        return table
    for name in retired.keys() & table.keys():
        # JSON and TOML distinguish 0 from false, Python does not.
        if (type(table[name]), table[name]) != (type(retired[name]), retired[name]):
            raise CasarbiError(
                f"{place.setting(name)} = {quote(table[name])} is no longer supported: only "
                f"{quote(retired[name])} is left."
            )
    return {name: value for name, value in table.items() if name not in retired}


def fields_of(cls: type) -> dict[str, Kind]:
    """What each field of a dataclass may hold."""
    hints = get_type_hints(cls, include_extras=True)
    kinds = {}
    for field in dataclasses.fields(cls):
        made, required = field.default_factory is not dataclasses.MISSING, field.default is dataclasses.MISSING
        default = None if made or required else field.default
        kinds[field.name] = Kind.of(hints[field.name], required=required and not made, default=default)
    return kinds


def read_values(
    table: Any, kinds: Mapping[str, Kind], place: Place, *, as_text: bool = False, noun: str = "setting"
) -> dict[str, Any]:
    """Check and convert the values of a table.

    Args:
        table: values by name.
        kinds: what each may hold.
        place: for messages.
        as_text: values are typed in a reference: "4" is a number, "1,0.5" a list, "yes" true.
        noun: what a value is called in messages.

    Raises:
        CasarbiError: naming what is unknown, or of another kind than expected.
    """
    if not isinstance(table, Mapping):
        raise CasarbiError(f"{place} = {quote(table)} is not a table.")
    for name in table:
        if name not in kinds:
            raise CasarbiError(f"{place} has no {noun} {quote(name)}: {near_names(name, kinds)}")
    return {name: _read(value, kinds[name], place, name, as_text) for name, value in table.items()}


def _read(value: Any, kind: Kind, place: Place, name: str, as_text: bool) -> Any:
    if value is None and kind.nullable:
        return None
    # Tables first: a dataclass, a mapping or a tuple is read part by part.
    origin, parts = get_origin(kind.type), get_args(kind.type)
    if (dataclasses.is_dataclass(kind.type) or origin is Mapping) and not isinstance(value, Mapping):
        raise CasarbiError(f"{place.setting(name)} = {quote(value)} is not a table.")
    if dataclasses.is_dataclass(kind.type):
        return build(kind.type, value, place.source, place.within(name).inside)  # type: ignore[arg-type]
    if origin is Mapping:
        inner = Kind.of(parts[1])
        return {key: _read(item, inner, place.within(name), key[:80], as_text) for key, item in value.items()}
    if origin is tuple:
        return _read_list(value, Kind.of(parts[0]), place, name, as_text)
    value = _read_plain(value, kind.type, place.setting(name), as_text)
    read = kind.option.read if kind.option else None
    if kind.choices and (read(value) if read else value) not in kind.choices:
        raise CasarbiError(f"{place.setting(name)} = {_unknown(value, kind.choices)}")
    return value


def _read_list(value: Any, inner: Kind, place: Place, name: str, as_text: bool) -> tuple[Any, ...]:
    if as_text and isinstance(value, str):
        # A reference separates the items of a list by commas: 1,0.5.
        value = value.split(",")
    if not isinstance(value, list | tuple):
        raise CasarbiError(f"{place.setting(name)} = {quote(value)} is not a list.")
    # Tables of a list have no names; messages count them from 1.
    names = (f"{name}.{i}" if dataclasses.is_dataclass(inner.type) else name for i in itertools.count(1))
    return tuple(_read(item, inner, place, called, as_text) for item, called in zip(value, names, strict=False))


def _read_plain(value: Any, kind: Any, setting: str, as_text: bool) -> Any:
    if kind not in WORDS:  # Any, or a type of a plug-in's that only its own code knows
        return value
    read = _from_text(value, kind) if as_text and isinstance(value, str) else value
    # 1 is a number where 1.0 is expected, and 1e1 a whole number; true is neither.
    if kind is float and type(read) is int:
        read = float(read)
    if kind is int:
        read = whole(read)
    if type(read) is not kind:
        raise CasarbiError(f"{setting} = {quote(value)} is not {WORDS[kind]}.")
    return read


def _from_text(text: str, kind: Any) -> Any:
    """What a text in a reference stands for; the text itself if it stands for nothing of the kind."""
    if kind is bool:
        return SWITCH.get(text.lower(), text)
    if kind is str:
        return text
    for number in (kind, float):  # 1e1 is a whole number too
        with contextlib.suppress(ValueError):
            return number(text)
    return text


def whole(value: Any) -> Any:
    """A whole number that was written as a decimal, such as 1e1, as an int; anything else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def check_choices(config: Any) -> None:
    """Refuse words that the fields of a dataclass do not know; for its `__post_init__`.

    Raises:
        CasarbiError: naming the field and the near words.
    """
    for name, kind in fields_of(type(config)).items():
        value = getattr(config, name)
        if kind.choices and value not in kind.choices:
            raise CasarbiError(f"{name} = {_unknown(value, kind.choices)}")


def _unknown(value: Any, choices: tuple[str, ...]) -> str:
    return f"{quote(value)} is unknown: {near_names(str(value), choices)}"


def options_of(cls: type) -> dict[str, Kind]:
    """The fields of a dataclass, and of the dataclasses inside it, that references may set, by their option's name."""
    found: dict[str, Kind] = {}
    for name, kind in fields_of(cls).items():
        if dataclasses.is_dataclass(kind.type):
            found |= options_of(kind.type)  # type: ignore[arg-type]
        elif kind.option:
            found[kind.option.name or name] = kind
    return found


def change(config: T, options: Mapping[str, Any], where: str = "the options") -> T:
    """The configuration with some of its options set, in the dataclasses inside it too.

    Args:
        config: a frozen dataclass.
        options: values by the names that `options_of` gives, as they are or as a reference writes them.
        where: for messages.

    Raises:
        CasarbiError: naming an option that is unknown, or whose value is refused.
    """
    return _change(config, read_values(options, options_of(type(config)), Place(where), as_text=True, noun="option"))


def _change(config: T, options: Mapping[str, Any]) -> T:
    values = {}
    for name, kind in fields_of(type(config)).items():
        if dataclasses.is_dataclass(kind.type):
            values[name] = _change(getattr(config, name), options)
        # Values were checked by `read_values`; `read` turns them into what the field holds.
        elif kind.option and (called := kind.option.name or name) in options:
            read, value = kind.option.read, options[called]
            values[name] = read(value) if read else value
    return dataclasses.replace(config, **values)  # type: ignore[type-var]
