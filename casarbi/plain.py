"""Text made safe to print: no text from outside controls a terminal, and every character has a form in ASCII."""

from __future__ import annotations

import codecs
import re
import reprlib
import unicodedata

_UNUSUAL = re.compile(r"[^ -~]")
_OBEYED = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
"""Categories that a terminal or a page obeys, hides or cannot encode: controls, format characters (such as those that
turn the direction of writing), lone surrogates, private use, line and paragraph separators."""
_JOINERS = "\u200c\u200d"
"""Format characters that ordinary names need: Persian words and composed emoji."""

_SHORT = reprlib.Repr()
_SHORT.maxlevel = 3  # with six items per level, at most a few hundred whatever a file nests
_SHORT.maxstring = _SHORT.maxother = 80


def visible(text: str) -> str:
    r"""Replace each character that would act on a terminal, hide, or begin a line by its escape.

    The result is one line. Letters, signs and emoji of every script stay as they are, so names remain readable.

    Example:
        >>> visible("a\x1b]0;b\nError: fine \u202egnp") == r"a\x1b]0;b\nError: fine \u202egnp"
        True
        >>> visible("café 图 👩‍🎨.png")
        'café 图 👩\u200d🎨.png'
    """
    return _UNUSUAL.sub(_escape, text)


def quote(value: object, limit: int = 80) -> str:
    """Write a value from a file or a person into a sentence: one visible line, at most about `limit` characters.

    Text stands in single quotes, so that a space at its end is seen; other values are written as Python does, and
    nested ones are cut before they are printed.

    Example:
        >>> quote("in "), quote([1, [2, [3, [4]]]]), quote("x" * 99, limit=8)
        ("'in '", '[1, [2, [3, [...]]]]', "'xxxxxxxx…'")
    """
    if isinstance(value, str):
        return f"'{visible(value[:limit])}{'…' * (len(value) > limit)}'"
    try:
        text = _SHORT.repr(value)
    except Exception:  # an int of a million digits, an object whose repr breaks
        text = f"a value of type {type(value).__name__}"
    return visible(text if len(text) <= limit else text[:limit] + "…")


def _escape(match: re.Match[str]) -> str:
    sign = match[0]
    if unicodedata.category(sign) not in _OBEYED or sign in _JOINERS:
        return sign
    return sign.encode("unicode_escape").decode("ascii")


PLAIN_SIGNS = "casarbi-plain"
"""Name of an error handler, as `str.encode` takes it, that writes what an encoding lacks in ASCII: no string fails.

Signs that we print become words. Everything else becomes an escape, so that two names never look alike.
"""

_ASCII = {
    **{"→": "->", "←": "<-", "↑": "(higher is better)", "↓": "(lower is better)"},
    **{"×": "x", "±": "+/-", "≤": "<=", "≥": ">=", "≈": "~", "∞": "inf", "²": "^2"},
    **{"µ": "u", "σ": "sigma", "η": "eta", "†": "#", "‡": "##", "✓": "ok", "✗": "no"},
    **{"·": "-", "•": "*", "–": "-", "—": "-", "−": "-", "…": "..."},
    **{"‘": "'", "’": "'", "“": '"', "”": '"'},
}


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_ascii_sign, error.object[error.start : error.end])), error.end


def _ascii_sign(sign: str) -> str:
    if "─" <= sign <= "╿":  # the lines of tables and bars
        return "|" if sign in "│┃║" else "-" if sign in "─━═╸╺" else "+"
    return _ASCII.get(sign) or sign.encode("ascii", "backslashreplace").decode("ascii")


codecs.register_error(PLAIN_SIGNS, _in_ascii)
