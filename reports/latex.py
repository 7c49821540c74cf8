"""LaTeX tables with booktabs."""

from __future__ import annotations

import re
import unicodedata

from casarbi.plain import visible
from casarbi.scales import scale_label
from reports.document import Document, Matrix
from reports.table import Entry, Table, TableRow
from reports.templating import grouped, matrix_rows, render, runs_of_equals

TEX = {c: "\\" + c for c in "&%$#_{}"}
TEX |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}"}
TEX |= {">": r"\textgreater{}", "|": r"\textbar{}", "[": "{[}", "*": "{*}", '"': "''", "`": r"\textasciigrave{}"}
TEX |= {"±": r"$\pm$", "×": r"$\times$", "∞": r"$\infty$", "↑": r"$\uparrow$", "↓": r"$\downarrow$"}
TEX |= {"†": r"$\dagger$", "‡": r"$\ddagger$"}
TEX |= {
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "→": r"$\to$",
    "—": "---",
    "–": "--",
    "·": r"$\cdot$",
    "²": r"$^2$",
    "…": r"\dots{}",
    "−": "$-$",
    "≈": r"$\approx$",
    "µ": r"$\mu$",
    "∕": "/",
}
_SET = "[ -~¡-ª¬®-º¼-ÏÑ-Ýß-ïñ-ýÿ-ăĆ-ďĒ-ėĚ-ĥĨ-ĭİ-ķĹ-ľŁ-ňŌ-ťŨ-űŴ-ž‘’“”•]"
"""What every pdfLaTeX sets as it is, tried one by one with TeX Live 2022 and no package. Other signs go through
`\\othersign`, which the file defines: XeLaTeX and LuaLaTeX set them, pdfLaTeX, which would stop, prints U+2215."""


def to_latex(document: Document) -> str:
    r"""LaTeX tables to be read with `\input`; needs the packages booktabs and xcolor.

    Compiles with pdfLaTeX, XeLaTeX and LuaLaTeX, whatever signs the names hold.
    """
    return render(
        "report.tex.j2", document, latex_text, _latex_table, _latex_matrix, ("bold", "underlined"), r"\texttt{{{}}}"
    )


def latex_text(text: str) -> str:
    r"""Escape LaTeX specials and let long hashes break.

    Example:
        >>> latex_text("edsr_baseline & 50 %")
        'edsr\\_baseline \\& 50 \\%'
    """
    words = []
    # Hashes and paths have no place to break: give them one every eight signs.
    for word in visible(unicodedata.normalize("NFC", text)).split(" "):
        pieces = re.findall(".{1,8}", word) if len(word) > 24 else [word]
        words.append(r"\allowbreak{}".join(re.sub(r"([-'])(?=\1)|.", _sign, piece) for piece in pieces))
    return " ".join(words)


def _sign(match: re.Match[str]) -> str:
    sign = match[0]
    if match[1]:
        return sign + "{}"  # TeX would join the two into a dash or a quotation mark
    # Ours first, then what every LaTeX sets, then the macro that the file defines.
    if sign in TEX:
        return TEX[sign]
    return sign if re.match(_SET, sign) else rf"\othersign{{{sign}}}{{{ord(sign):04X}}}"


def _latex_table(table: Table) -> str:
    wide = len(table.headings) + 1
    lines = [rf"\begin{{tabular}}{{@{{}}l{'r' * len(table.headings)}@{{}}}}", r"\toprule"]
    # Headings over several columns, with a rule under each.
    groups = runs_of_equals([heading.group for heading in table.headings])
    if any(name for name, _, _ in groups):
        heads = " & ".join(rf"\multicolumn{{{last - first + 1}}}{{c}}{{{name}}}" for name, first, last in groups)
        rules = "".join(rf"\cmidrule(lr){{{first + 2}-{last + 2}}}" for _, first, last in groups)
        lines += [rf"& {heads} \\", rules]
    headings = " & ".join(latex_text(f"{heading.label} {heading.arrow}".strip()) for heading in table.headings)
    lines += [rf"Method & {headings} \\", r"\midrule"]
    for group, row in grouped(table.rows):
        if group:
            lines.append(rf"\multicolumn{{{wide}}}{{@{{}}l}}{{\textbf{{{latex_text(group)}}}}} \\")
        lines += _latex_row(row)
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def _latex_row(row: TableRow) -> list[str]:
    note = rf"\textsuperscript{{{row.footnote}}}" if row.footnote else ""
    title = latex_text(row.title)
    title = (rf"\textit{{{title}}} (cited)" if row.cited else title) + note
    lines = [_latex_line(title, [_latex_entry(entry) for entry in row.entries])]
    if any(entry.interval for entry in row.entries):
        intervals = [rf"{{\scriptsize [{entry.interval}]}}" if entry.interval else "" for entry in row.entries]
        lines.append(_latex_line("", intervals))
    if row.has_paper:
        paper = [rf"\textcolor{{gray}}{{\textit{{{entry.paper}}}}}" if entry.paper else "" for entry in row.entries]
        lines.append(_latex_line(r"\quad\textcolor{gray}{\textit{paper}}", paper))
    return lines


def _latex_line(first: str, rest: list[str]) -> str:
    return " & ".join([first, *rest]) + r" \\"


def _latex_entry(entry: Entry) -> str:
    text = latex_text(entry.text)
    if entry.state == "cited":
        return rf"\textit{{{text}}}"
    text = {"best": rf"\textbf{{{text}}}", "second": rf"\underline{{{text}}}"}.get(entry.mark, text)
    n = rf"\textsubscript{{n={entry.n}}}" if entry.n else ""
    signs = rf"\textsuperscript{{{latex_text(entry.signs)}}}" if entry.signs else ""
    return text + signs + n


def _latex_matrix(matrix: Matrix) -> str:
    lines = [rf"\begin{{tabular}}{{@{{}}l{'r' * len(matrix.labels)}@{{}}}}", r"\toprule"]
    heads = [latex_text(f"×{scale_label(label)}") for label in matrix.labels]
    lines += [_latex_line(r"generated $\backslash$ reference", heads), r"\midrule"]
    for label, values, paper in matrix_rows(matrix):
        cited = matrix.values is None
        values = [rf"\textit{{{v}}}" if cited else v for v in map(latex_text, values)]
        lines.append(_latex_line(latex_text(f"×{label}"), values))
        if any(paper):
            entries = [rf"\textcolor{{gray}}{{\textit{{{v}}}}}" if v else "" for v in paper]
            lines.append(_latex_line(r"\quad\textcolor{gray}{\textit{paper}}", entries))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])
