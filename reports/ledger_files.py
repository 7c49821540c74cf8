"""A ledger of claims in every format, and the one call that writes them all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from casarbi.files import write_file
from casarbi.plain import PLAIN_SIGNS, visible
from reports.html import page
from reports.latex import latex_text
from reports.ledger import Ledger, ledger_to_csv, p_text
from reports.markdown import markdown_text
from reports.templating import fill


def write_ledger(ledger: Ledger, out_dir: str | Path) -> list[Path]:
    """Write EXPERIMENT.html, .md, .tex and .csv; all are drawn before the first file is touched."""
    texts = {
        ".html": page("ledger.html.j2", ledger=ledger, p=p_text),
        ".md": _filled("ledger.md.j2", ledger, markdown_text, "<code>{}</code>"),
        ".tex": _filled("ledger.tex.j2", ledger, latex_text, r"\texttt{{{}}}"),
    }
    # Names that are not UTF-8 hold lone surrogates, which no UTF-8 file can hold.
    contents = {ending: text.encode(errors="backslashreplace") for ending, text in texts.items()}
    contents[".csv"] = ledger_to_csv(ledger)
    paths = [Path(out_dir) / f"{ledger.experiment}{ending}" for ending in contents]
    for path, content in zip(paths, contents.values(), strict=True):
        write_file(path, content)
    return paths


def ledger_to_text(ledger: Ledger, encoding: str | None = "utf-8") -> str:
    """Text for a terminal, with only characters that its encoding has; None means ASCII."""
    text = _filled("ledger.txt.j2", ledger, visible, "`{}`")
    return text.encode(encoding or "ascii", PLAIN_SIGNS).decode(encoding or "ascii")


def _filled(template: str, ledger: Ledger, escape: Callable[[str], str], code: str) -> str:
    return fill(template, escape, code, ledger=ledger, p=p_text)
