"""TOML tables to frozen dataclasses, with every mistake named."""

from __future__ import annotations

import dataclasses
import itertools
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from casarbi.errors import CasarbiError
from casarbi.plain import quote
from casarbi.references import near_names, whole

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; raises CasarbiError where it is missing or no TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CasarbiError(f"The file {path} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, a number of 5,000 digits, 1,000 lists in lists
        raise CasarbiError(f"The file {path} is no valid TOML: {error}.") from None


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
    """Build a frozen dataclass from a table.

    Args:
        cls: a dataclass whose fields are bool, int, float, str, dataclasses, tuples or mappings of these, or one of
            them or None.
        table: its values by field name; fields with a default may be left out, and 0 stands for no None.
        where: what the table is called in messages, such as "[run]" or a file.
        inside: names of the tables around it, which messages give as "FILE: [presets.mini]".

    Raises:
        CasarbiError: naming an unknown or missing setting, or a value of another kind than expected.
    """
    place = f"{where}: [{'.'.join(inside)}]" if inside else where
    if not isinstance(table, Mapping):
        raise CasarbiError(f"{place} = {quote(table)} is not a table.")
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for name in table:
        if name not in fields:
            raise CasarbiError(f"{place} has no setting {quote(name)}: {near_names(name, fields)}")
    hints = get_type_hints(cls)
    missing = [
        name
        for name, field in fields.items()
        if name not in table and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise CasarbiError(f"{place} lacks the setting '{missing[0]}'.")
    return cls(**{name: _convert(value, hints[name], where, inside, name) for name, value in table.items()})


def _convert(value: Any, kind: Any, where: str, inside: tuple[str, ...], name: str) -> Any:
    if get_origin(kind) in (Union, types.UnionType):
        kind = next(choice for choice in get_args(kind) if choice is not type(None))
    place = f"{where}: [{'.'.join(inside)}] {name}" if inside else f"{where} {name}"
    if (dataclasses.is_dataclass(kind) or get_origin(kind) is Mapping) and not isinstance(value, Mapping):
        raise CasarbiError(f"{place} = {quote(value)} is not a table.")
    if dataclasses.is_dataclass(kind):
        return build(kind, value, where, (*inside, name))  # type: ignore[arg-type]
    if get_origin(kind) is tuple:
        if not isinstance(value, list | tuple):
            raise CasarbiError(f"{place} = {quote(value)} is not a list.")
        part = get_args(kind)[0]
        names = (f"{name}.{place}" if dataclasses.is_dataclass(part) else name for place in itertools.count(1))
        return tuple(_convert(item, part, where, inside, called) for item, called in zip(value, names, strict=False))
    if get_origin(kind) is Mapping:
        part = get_args(kind)[1]
        # The names of a table's own making may be of any length; a message gives their beginning.
        return {key: _convert(item, part, where, (*inside, name), key[:80]) for key, item in value.items()}
    return value if kind is Any else _plain(value, kind, place)


def _plain(value: Any, kind: type, place: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is int:
        value = whole(value)
    if type(value) is not kind:
        words = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
        raise CasarbiError(f"{place} = {quote(value)} is not {words[kind]}.")
    return value
