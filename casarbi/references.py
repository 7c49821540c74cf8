"""References such as `liif:edsr-baseline-div2k?chunk=10000`, and the registries they are looked up in."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl

from casarbi.errors import CasarbiError, near_names
from casarbi.plain import quote
from casarbi.settings import Kind, Place, options_of, read_values


@dataclass(frozen=True)
class Reference:
    """`NAME[:TARGET][?option=value&…]`, taken apart.

    Example:
        >>> ref = Reference.parse("portraits?split=test&n=32")
        >>> ref.name, ref.target, ref.options
        ('portraits', None, {'split': 'test', 'n': '32'})
        >>> Reference.parse("folder:/my photos").target
        '/my photos'
    """

    text: str
    name: str
    target: str | None = None
    options: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Take a reference apart; raises CasarbiError if it is empty or an option lacks its value."""
        head, _, query = text.strip().partition("?")
        name, colon, target = head.partition(":")
        if not name:
            raise CasarbiError(f"{quote(text)} is no reference: expected NAME[:TARGET][?option=value&…].")
        try:
            pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
        except ValueError:
            raise CasarbiError(f"The options of {quote(text)} must read option=value, joined by '&'.") from None
        return cls(text.strip(), name, target if colon else None, dict(pairs))


def describe(error: BaseException) -> str:
    """An exception of other people's code as one line: its type and the beginning of what it says."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300].rstrip('.')}" if text else type(error).__name__


@cache
def _entries(group: str) -> dict[str, EntryPoint]:
    """Entry points of a group by name; the first package on the path wins, as in imports."""
    return {entry.name: entry for entry in reversed(tuple(entry_points(group=group)))}


class Registry:
    """Factories of one kind, found through an entry-point group or, if a person typed it, as `module:factory`.

    A factory's first positional parameter takes the reference's target, its keyword-only parameters the options,
    converted to their annotated type (int, float, bool or str).

    A reference that stands in a file goes through `check_from_file` when the file is read: text in a file never
    decides which code runs. What a person typed may name any code, so `factory` and `build` ask nothing.
    """

    def __init__(self, kind: str, group: str) -> None:
        self.kind, self.group = kind, group

    def names(self) -> list[str]:
        """Names that installed packages registered."""
        return sorted(_entries(self.group))

    def check_from_file(self, text: object, path: Path) -> None:
        """Refuse what a file gives as a reference unless it begins with a registered name; imports nothing.

        Raises:
            CasarbiError: naming the file, and what to do for code of one's own.
        """
        if not isinstance(text, str):
            raise CasarbiError(f"{path} has {quote(text)}, expected the name of a {self.kind} as a text.")
        name = Reference.parse(text).name
        if name not in self.names():
            raise CasarbiError(
                f"{path} names the {self.kind} {quote(text)}, and a file may only name registered ones "
                f"({near_names(name, self.names())}): a module:factory has to be typed on the command line, or "
                f"registered in the entry-point group {self.group}."
            )

    def factory(self, ref: Reference) -> tuple[Callable[..., Any], Reference]:
        """Find the factory; for `module:factory` the reference comes back without the part that named it."""
        if entry := _entries(self.group).get(ref.name):
            return entry.load(), ref
        # module:factory, typed by a person; what follows a second colon is the target.
        if ref.target and _is_importable(ref.name):
            attribute, colon, target = ref.target.partition(":")
            module = importlib.import_module(ref.name)
            if not hasattr(module, attribute):
                raise CasarbiError(f"Module {ref.name} has no '{attribute}', which '{ref.text}' names.")
            rest = Reference(ref.text, f"{ref.name}:{attribute}", target if colon else None, ref.options)
            return getattr(module, attribute), rest
        raise CasarbiError(f"There is no {self.kind} '{ref.name}': {near_names(ref.name, self.names())}")

    def build(self, text: str) -> Any:
        """Build what a reference names.

        Raises:
            CasarbiError: on an unknown name, option or value, and if a plug-in breaks while it is opened, in
                whatever way; the exception it raised is the cause.
        """
        try:
            factory, ref = self.factory(Reference.parse(text))
            return call_factory(factory, ref)
        except CasarbiError:
            raise
        except Exception as error:
            raise CasarbiError(
                f"The {self.kind} '{text}' could not be opened: {describe(error)} (CASARBI_TRACEBACK=1 shows where)."
            ) from error


MODELS = Registry("model", "casarbi.models")
DATASETS = Registry("data set", "casarbi.datasets")
TASKS = Registry("training task", "casarbi.training_tasks")


def options_of_factory(factory: Callable[..., Any]) -> dict[str, Kind]:
    """The options of a factory by name: its keyword-only parameters, and what `**options` takes.

    `**options: Annotated[Any, SamplingConfig]` stands for the options that a dataclass declares.
    """
    hints = get_type_hints(factory, include_extras=True)
    known: dict[str, Kind] = {}
    for name, parameter in inspect.signature(factory).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            required = parameter.default is parameter.empty
            default = None if required else parameter.default
            known[name] = Kind.of(hints.get(name, str), required=required, default=default)
        elif parameter.kind is parameter.VAR_KEYWORD and get_origin(hints.get(name)) is Annotated:
            known |= options_of(get_args(hints[name])[1])
    return known


def call_factory(factory: Callable[..., Any], ref: Reference) -> Any:
    """Call a factory with a reference's target and options, checked against its signature."""
    parameters = inspect.signature(factory).parameters.values()
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    # The target is the first positional parameter, needed if it has no default.
    if ref.target is not None and not positional:
        raise CasarbiError(f"'{ref.name}' takes nothing after a colon, but '{ref.text}' gives '{ref.target}'.")
    if not ref.target and positional and positional[0].default is inspect.Parameter.empty:
        raise CasarbiError(
            f"'{ref.text}' lacks its {positional[0].name}: write {ref.name}:{positional[0].name.upper()}."
        )
    place = Place(quote(ref.text, limit=200))
    options = read_values(ref.options, options_of_factory(factory), place, as_text=True, noun="option")
    return factory(*([ref.target] if ref.target else []), **options)


def _is_importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False
