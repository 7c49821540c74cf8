"""The report of a figure: what it says as plain data, its files, and the page, Markdown and LaTeX that show them."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tabulate

from casarbi.files import write_file
from casarbi.plain import PLAIN_SIGNS, visible
from reports.document import Facts
from reports.html import page
from reports.latex import latex_text
from reports.markdown import markdown_text
from reports.templating import fill

ENDINGS = (".png", ".svg", ".pdf")


@dataclass(frozen=True)
class Picture:
    """One picture of a figure: pixels, or a chart.

    Attributes:
        name: unique in the figure; its files are named EXPERIMENT-NAME.
        caption: what it shows, which is also what is said to who cannot see it.
        png: of a picture of pixels, else empty.
        svg, pdf: of a chart, each a file of its own.
        inline: the chart as a part of a page, whose style sheet sets its colours.
    """

    name: str
    caption: str
    png: bytes = b""
    svg: str = ""
    pdf: bytes = b""
    inline: str = ""

    @property
    def source(self) -> str:
        """The PNG as a data URI."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode()


@dataclass(frozen=True)
class Table:
    """A small table of texts under a figure; `note` is a sentence under it."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Section:
    """The pictures of one data set.

    Attributes:
        name: short name, unique in the figure.
        caption: what they show together.
        pictures, tables: in order.
        warnings: sentences a reader must see before the pictures.
        facts: data, protocol, weights, seeds.
    """

    name: str
    caption: str
    pictures: Sequence[Picture]
    tables: Sequence[Table] = ()
    warnings: Sequence[str] = ()
    facts: Facts = ()


@dataclass(frozen=True)
class FigureReport:
    """A figure.

    Attributes:
        title, experiment, preset, date, command, summary, facts: as in a `Document`.
        limits: the sentence that says what the figure does not show.
        sections: in order.
    """

    title: str
    experiment: str
    preset: str
    sections: Sequence[Section]
    date: str
    limits: str
    summary: str = ""
    command: str = ""
    facts: Facts = ()

    def stem(self, picture: Picture) -> str:
        """Name of a picture's files without ending; whatever could be no name of a file is a dash."""
        return re.sub(r"[^A-Za-z0-9.]+", "-", f"{self.experiment}-{picture.name}").strip("-")


def write_figure(report: FigureReport, folder: Path) -> list[Path]:
    """Write EXPERIMENT.html, .md and .tex and the files of its pictures; returns their paths.

    The page needs no other file; the other two name those of the pictures. Everything is drawn before the first file is
    touched, equal reports give equal bytes, and pictures that only an earlier report of this name had are removed.
    """
    contents: dict[str, bytes] = {}
    for picture in (picture for section in report.sections for picture in section.pictures):
        files = dict(zip(ENDINGS, (picture.png, picture.svg.encode(), picture.pdf), strict=True))
        contents |= {report.stem(picture) + ending: content for ending, content in files.items() if content}
    pages = {".html": figure_html(report), ".md": figure_markdown(report), ".tex": figure_latex(report)}
    for ending, text in pages.items():
        contents[report.experiment + ending] = text.encode(errors="backslashreplace")
    for name, content in contents.items():
        write_file(folder / name, content)
    for path in folder.glob(f"{report.experiment}-*"):
        if path.suffix in ENDINGS and path.name not in contents:
            path.unlink()
    return [folder / name for name in contents]


def figure_html(report: FigureReport) -> str:
    """One page that needs nothing else."""
    return page("figure.html.j2", report=report)


def figure_markdown(report: FigureReport) -> str:
    """Markdown that shows the files beside it."""
    return fill("figure.md.j2", markdown_text, "<code>{}</code>", report=report, draw_table=_markdown_table)


def figure_latex(report: FigureReport) -> str:
    r"""Figures to be read with `\\input`; needs the packages graphicx and booktabs."""
    return fill("figure.tex.j2", latex_text, r"\texttt{{{}}}", report=report, draw_table=_latex_table)


def figure_text(report: FigureReport, encoding: str | None = "utf-8") -> str:
    """What a terminal prints: everything but the pictures, with only characters that its encoding has."""
    text = fill("figure.txt.j2", visible, report=report, draw_table=_text_table)
    return text.encode(encoding or "ascii", PLAIN_SIGNS).decode(encoding or "ascii")


def _markdown_table(table: Table) -> str:
    lines = [list(map(markdown_text, table.header)), [":--"] * len(table.header)]
    lines += [list(map(markdown_text, row)) for row in table.rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _latex_table(table: Table) -> str:
    lines = [rf"\begin{{tabular}}{{@{{}}{'l' * len(table.header)}@{{}}}}", r"\toprule"]
    lines += [" & ".join(map(latex_text, table.header)) + r" \\", r"\midrule"]
    lines += [" & ".join(map(latex_text, row)) + r" \\" for row in table.rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def _text_table(table: Table) -> str:
    rows = [list(map(visible, row)) for row in table.rows]
    return tabulate.tabulate(rows, list(table.header), tablefmt="simple", disable_numparse=True)
