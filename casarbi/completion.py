"""Shell completion: the scripts that switch it on, for both programs, and the names that it offers."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem, get_completion_class

SHELLS = ("bash", "zsh", "fish")

_COLONS = """
# A model such as liif:mini-face is one word: bash would otherwise begin a new one at the colon.
COMP_WORDBREAKS=${COMP_WORDBREAKS//:/}
"""


def completion_script(main: click.Command, program: str, shell: str) -> str:
    """What a user appends to the start file of their shell, one of `SHELLS`."""
    found = get_completion_class(shell)
    assert found is not None
    variable = f"_{program}_COMPLETE".upper().replace("-", "_")
    return found(main, {}, program, variable).source() + (_COLONS if shell == "bash" else "")


def complete_model(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What a shell offers for a model: methods, alone and with each of their weights."""
    from casarbi.known_models import known_references

    return [CompletionItem(name) for name in known_references() if name.startswith(incomplete)]
