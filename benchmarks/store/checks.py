"""Files of a store, and the plain values in them, checked before anything is done with them."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

ROWS_BYTES = 2**23
"""Size that no part reaches: a row takes about 500 bytes of JSON."""

LARGEST = 1e12
"""Of any value of a metric, and of seconds."""


class DamagedPart(ValueError):
    """Says what is wrong with a file, as the end of a sentence."""


def read_object(path: Path, limit: int = ROWS_BYTES) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Raises:
        DamagedPart: if it does not, or is larger than `limit` bytes.
        OSError: if the system refuses.
    """
    return parse_object(read_bytes(path, limit))


def parse_object(content: bytes) -> dict[str, Any]:
    """The JSON object that a file's content is; raises DamagedPart if it is none."""
    try:
        plain = json.loads(content, parse_constant=_refuse_constant)
    except DamagedPart:
        raise
    except RecursionError:
        raise DamagedPart("it is nested too deeply") from None
    except ValueError:  # JSONDecodeError, UnicodeDecodeError, and whole numbers of thousands of digits
        raise DamagedPart("it is not valid JSON") from None
    return check_object(plain, "the file")


def read_bytes(path: Path, limit: int) -> bytes:
    """Content of a regular file of at most `limit` bytes; raises as `read_object` does."""
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):  # reading a pipe would wait for ever
        raise DamagedPart("it is a folder" if stat.S_ISDIR(facts.st_mode) else "it is no regular file")
    if facts.st_size > limit:
        raise DamagedPart(f"it has {facts.st_size:,} bytes, more than the {limit:,} a part may have")
    return path.read_bytes()


def _refuse_constant(name: str) -> None:
    raise DamagedPart(f"it holds {name}")


def check_kind(kind: type, plain: Any, what: str) -> Any:
    """The value, if it is of this kind; `what` names it in the DamagedPart that is raised otherwise."""
    if not isinstance(plain, kind):
        raise DamagedPart(f"{what} is not of the kind {kind.__name__}")
    return plain


def check_object(plain: Any, what: str) -> dict[str, Any]:
    """The value, if it is a JSON object."""
    return check_kind(dict, plain, what)


def check_texts(plain: Any, what: str) -> dict[str, str]:
    """The value, if it is a JSON object of texts."""
    return {name: check_kind(str, text, what) for name, text in check_object(plain, what).items()}


def check_number(plain: Any, what: str) -> float:
    """The value, if it is a number that a measurement can give."""
    if isinstance(plain, bool) or not isinstance(plain, (int, float)) or not abs(plain) <= LARGEST:
        raise DamagedPart(f"{what} is no number that a measurement gives")
    return float(plain)


def check_count(plain: Any, what: str) -> int:
    """The value, if it is a whole number from 0 that 64 bits hold."""
    if isinstance(plain, bool) or not isinstance(plain, int) or not 0 <= plain < 2**63:
        raise DamagedPart(f"{what} is no count")
    return plain
