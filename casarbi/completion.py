"""Scripts that switch shell completion on, for both programs."""

from __future__ import annotations

import click

SHELLS = ("bash", "zsh", "fish")

_COLONS = """
# A model such as liif:mini-face is one word: bash would otherwise begin a new one at the colon.
COMP_WORDBREAKS=${COMP_WORDBREAKS//:/}
"""


def completion_script(main: click.Command, program: str, shell: str) -> str:
    """What a user appends to the start file of their shell, one of `SHELLS`."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    variable = f"_{program}_COMPLETE".upper().replace("-", "_")
    return found(main, {}, program, variable).source() + (_COLONS if shell == "bash" else "")
