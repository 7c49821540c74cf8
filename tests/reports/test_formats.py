"""Each format, and what no name, value, locale or stream may do to it."""

import csv
import html.parser
import io
import locale
import math
import os
import re
import shutil
import stat
import subprocess
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from casarbi.plain import visible
from reports.document import COLUMNS, Matrix, Method, Sheet
from reports.formats import to_csv, to_html, to_latex, to_markdown, to_text, write_report
from reports.latex import latex_text
from reports.markdown import markdown_text

NAN = math.nan
HOSTILE = ["a,b;c", 'say "hi"', "=SUM(A1)", "+1", "-cmd", "@x", "pipe|new\nline", r"\input{x} & 50 % #_^~", "é<b>"]
HOSTILE += [
    "$x$ a∕b",
    "\tt\rab",
    "\x1b]0;t\x07\u202e\u2028Error: fine",
    "图 👩‍🎨",
    "- x",
    "1. x",
    ":smile:",
    "``",
    "a\\",
    "--x''",
]
FORMATS = [to_markdown, to_latex, to_text, to_html]


def hostile_document(build):
    return build([(name, 5.3, "psnr", 1.5, NAN, NAN, 3, "measured", NAN) for name in HOSTILE])


def read(content, **options):
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), **options))


def test_csv_reads_back_with_every_bit(build):
    values = [0.1 + 0.2, 1e-300, 22.5, 123456789.123456789]
    rows = [("abcd"[k], 5.3, "psnr", v, v / 3, NAN, 7, "measured", NAN) for k, v in enumerate(values)]
    content = to_csv(build(rows))
    frame = pd.DataFrame(read(content)[1:], columns=read(content)[0])
    assert tuple(frame.columns) == COLUMNS
    assert [float(v) for v in frame["value"]] == values and [float(v) for v in frame["ci_low"]] == [
        v / 3 for v in values
    ]
    assert b"\r" not in content and not content.startswith(b"\xef\xbb\xbf")


def test_csv_tells_missing_failed_and_infinite_apart(build):
    states = [(NAN, "missing"), (NAN, "measured"), (math.inf, "measured"), (-1e-9, "measured")]
    rows = [("abcd"[k], 7.0, "psnr", v, NAN, NAN, 0, source, NAN) for k, (v, source) in enumerate(states)]
    body = read(to_csv(build(rows, scales=(7.0,))))[1:]
    assert [row[5] for row in body] == ["", "nan", "inf", "-1e-09"] and body[0][3] == "7"


def test_csv_keeps_its_columns_and_gives_every_name_back(build):
    body = read(to_csv(hostile_document(build)))
    assert {len(row) for row in body} == {len(COLUMNS)}
    assert [row[2] for row in body[1:]] == HOSTILE


def test_csv_holds_a_name_that_is_not_utf8(build):
    content = to_csv(build([("\udce9", 5.3, "psnr", 1.5, NAN, NAN, 3, "measured", NAN)]))
    assert read(content)[1][2] == r"\udce9"


@pytest.mark.parametrize("decimal", [".", ","])
def test_a_spreadsheet_gets_no_formula_and_no_control_character(build, decimal):
    body = read(to_csv(hostile_document(build), decimal=decimal), delimiter=";" if decimal == "," else ",")
    assert {len(row) for row in body} == {len(COLUMNS)}
    assert [row[2].removeprefix("'") for row in body[1:]] == [visible(name) for name in HOSTILE]
    assert not any(row[2][0] in "=+-@" for row in body)


def test_csv_for_a_spreadsheet_with_decimal_comma(document):
    content = to_csv(document, decimal=",")
    rows = read(content, delimiter=";")
    assert content.startswith(b"\xef\xbb\xbf") and content.count(b"\r\n") == len(rows)
    assert rows[1][3] == "5,3" and rows[1][5] == "24,1"


@pytest.mark.parametrize("name", ["C", "de_DE.UTF-8", "tr_TR.UTF-8"])
def test_csv_has_the_same_bytes_under_every_locale(document, name):
    plain, before = to_csv(document), locale.setlocale(locale.LC_ALL)
    try:
        locale.setlocale(locale.LC_ALL, name)
    except locale.Error:
        pytest.skip(f"locale {name} is not installed")
    try:
        assert to_csv(document) == plain
    finally:
        locale.setlocale(locale.LC_ALL, before)


def test_markdown_shows_marks_intervals_and_the_paper(document):
    text = to_markdown(document)
    assert "| LIIF | **25.30** [24.80, 25.70] | **21.70**† [21.30, 22.20] n=31 |" in text
    assert "| &emsp;_paper_ | _27.52_ | _22.97_ |" in text
    assert "| _SR3_ (cited) <sup>1</sup> | — | _20.25_ |" in text
    assert "Other data than the paper's." in text and "**Data**: portraits, N = 32" in text


def test_markdown_tables_keep_their_columns_whatever_the_names(build):
    lines = [line for line in to_markdown(hostile_document(build)).splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in lines} == {4}
    assert len(lines) == len(HOSTILE) + 2


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("$x$", "<span>$</span>x<span>$</span>"),
        ("a:smile:", "a<span>:</span>smile:"),
        ("- x", r"\- x"),
        ("12. x", r"12\. x"),
        ("12.5", "12.5"),
        ("a_b __c__", r"a_b \_\_c\_\_"),
        (r"C:\x|`y`", r"C:\\x\|\`y\`"),
    ],
)
def test_markdown_shows_names_as_text(text, escaped):
    assert markdown_text(text) == escaped


def test_latex_escapes_what_would_run_or_break(build):
    text = to_latex(hostile_document(build))
    assert r"\textbackslash{}input\{x\} \& 50 \% \#\_\textasciicircum{}\textasciitilde{}" in text
    assert r"\input" not in text
    body = re.search(r"\\midrule\n(.*?)\\bottomrule", text, re.S).group(1).splitlines()
    assert len(body) == len(HOSTILE)
    assert all(len(re.findall(r"(?<!\\)&", line)) == 2 and line.endswith(r"\\") for line in body)


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("$x$ a∕b", r"\$x\$ a/b"),
        ("图", r"\othersign{图}{56FE}"),
        ("cafe\u0301", "café"),
        ("«Ą»", r"\othersign{«}{00AB}\othersign{Ą}{0104}\othersign{»}{00BB}"),
        ("--model ''", "-{}-model '{}'"),
        ("a\n\x1b", r"a\textbackslash{}n\textbackslash{}x1b"),
    ],
)
def test_latex_shows_names_as_text(text, escaped):
    assert latex_text(text) == escaped


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex")
def test_latex_compiles_whatever_the_names(build, tmp_path):
    (tmp_path / "names.tex").write_text(to_latex(hostile_document(build)), encoding="utf-8")
    page = r"\documentclass{article}\usepackage{booktabs,xcolor}\begin{document}\input{names}\end{document}"
    command = ["pdflatex", "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "-draftmode", page]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=60)
    assert done.returncode == 0, done.stdout[-2000:]


def test_latex_rows_never_open_with_what_the_line_break_would_swallow(build):
    rows = [(name, 5.3, "psnr", 1.0, NAN, NAN, 1, "measured", NAN) for name in ("[a]", "*b")]
    text = to_latex(build(rows))
    assert "\n{[}a]" in text and "\n{*}b" in text


def test_text_lines_the_papers_digits_up_with_ours(document):
    lines = to_text(document).splitlines()
    liif = next(place for place, line in enumerate(lines) if line.startswith("LIIF"))
    assert lines[liif].index("25.30") == lines[liif + 1].index("27.52")
    assert lines[liif].index("21.70") == lines[liif + 1].index("22.97")
    assert "25.30 ±0.50*" in lines[liif] and "21.70 ±0.50*† n=31" in lines[liif]


def test_text_splits_a_table_that_is_wider_than_the_terminal(build):
    scales = tuple(float(k) for k in range(2, 14))
    document = build([("a", scale, "psnr", 30 - scale, 1, 40, 3, "measured", NAN) for scale in scales], scales=scales)
    whole, split = to_text(document), to_text(document, width=80)
    table = [line for line in split.splitlines() if line.startswith(("Method", "a "))]
    assert max(map(len, table)) <= 80 < max(map(len, whole.splitlines()))
    assert re.findall(r"×\d+", split) == re.findall(r"×\d+", whole)
    assert re.findall(r"\d+\.00 ±", split) == re.findall(r"\d+\.00 ±", whole)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8", None])
def test_text_has_only_signs_that_the_stream_has(document, encoding):
    text = to_text(document, encoding)
    text.encode(encoding or "ascii")
    assert ("±" in text) == (encoding not in ("ascii", None)) and "?" not in text
    assert "\ue000" not in text


class Checker(html.parser.HTMLParser):
    """Counts what a self-contained, well-nested page must get right."""

    VOID = {"meta", "img", "br", "link", "input"}

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.images, self.outside, self.scripts = [], [], [], [], 0

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.scripts += tag == "script"
        self.ids += [found["id"]] if "id" in found else []
        self.images += [found] if tag == "img" else []
        links = (found.get(name) or "" for name in ("src", "href", "xlink:href"))
        self.outside += [link for link in links if link and not link.startswith(("#", "data:"))]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def checked(page):
    checker = Checker()
    checker.feed(page)
    checker.close()
    return checker


def test_html_is_one_page_that_fetches_nothing(document):
    checker = checked(to_html(document))
    assert not checker.open and not checker.outside and not checker.scripts
    assert len(set(checker.ids)) == len(checker.ids) > 0
    assert [image["alt"] for image in checker.images] == ["LR alone"]


def test_html_shows_value_interval_paper_and_reason(document):
    page = re.sub(r"\s+", " ", to_html(document))
    assert '<b>25.30</b><small>[24.80, 25.70]</small><small class="paper">paper 27.52</small>' in page
    assert "<b>21.70</b><sup>†</sup>" in page and "<u>24.10</u>" in page
    assert "all outputs were NaN, see <code>status</code>" in page
    assert '<tr class="cited">' in page and "mean off the diagonal 0.850" in page


def test_html_shows_names_as_text(build):
    page = to_html(hostile_document(build))
    assert "é&lt;b&gt;" in page and "<b>5" not in page and "é<b>" not in page
    assert not checked(page).open


def test_report_files_are_the_same_bytes_each_time(document, tmp_path):
    first = {path.name: path.read_bytes() for path in write_report(document, tmp_path / "a")}
    again = {path.name: path.read_bytes() for path in write_report(document, tmp_path / "b")}
    assert first == again and sorted(first) == ["table1.csv", "table1.html", "table1.md", "table1.tex"]


def test_a_report_that_cannot_be_drawn_leaves_the_old_one(document, tmp_path, monkeypatch):
    paths = write_report(document, tmp_path)
    before = [path.read_bytes() for path in paths]
    monkeypatch.setattr("reports.formats.to_csv", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_report(document, tmp_path)
    assert [path.read_bytes() for path in paths] == before
    assert sorted(os.listdir(tmp_path)) == sorted(path.name for path in paths)
    assert stat.S_IMODE(paths[0].stat().st_mode) == 0o644


@pytest.mark.parametrize("draw", FORMATS)
def test_no_format_lets_a_control_character_through(build, draw):
    """Every text of a document, not names alone."""
    bad = "\x1b]0;t\x07\nError: fine\r\u202e\x9b\u2028"
    rows = [
        (f"a{bad}", 5.3, "psnr", 1.0, 0.5, 1.5, 3, "measured", 1.0),
        (f"b{bad}", 5.3, "psnr", NAN, NAN, NAN, 0, "missing", NAN),
    ]
    methods = (Method(f"a{bad}", bad, bad, (1, 2)), Method(f"b{bad}", reason=f"`{bad}` {bad}"))
    matrices = (Matrix(bad, (5.3,), np.ones((1, 1)), label=bad), Matrix(bad, (5.3,), paper=np.ones((1, 1)), reason=bad))
    document = build(
        rows, methods, paper_note=bad, warnings=(bad,), facts=((bad, f"{bad} `{bad}`"),), matrices=matrices,
        sheets=(Sheet(b"", bad, bad),),
    )  # fmt: skip
    panel = replace(document.panels[0], name=bad, caption=bad)
    texts = {name: f"{bad} {name}" for name in ("title", "preset", "date", "summary", "command")}
    text = draw(replace(document, **texts, panels=(panel,), warnings=(bad,), facts=((bad, bad),)))
    assert {c for c in text if not c.isprintable()} <= {"\n"}
    assert not any(line.startswith("Error: fine") for line in text.splitlines()) and r"\x1b" in text.replace(
        "textbackslash{}", ""
    )


@pytest.mark.parametrize("draw", FORMATS)
def test_every_format_says_failed_missing_and_why(build, draw):
    rows = [
        ("a", 5.3, "psnr", NAN, NAN, NAN, 0, "measured", NAN),
        ("a", 10.0, "psnr", NAN, NAN, NAN, 0, "missing", NAN),
        ("b", 5.3, "psnr", -1e-9, -1e-9, 0.5, 2, "measured", NAN),
    ]
    text = draw(build(rows, (Method("a", reason="no weights here"), Method("b"))))
    assert "failed" in text and "no weights here" in text and "0.00" in text
    assert "-0.00" not in text and ">nan" not in text and " nan" not in text


def test_a_flag_is_marked_in_every_format_and_told_in_ascii_too(build):
    rows = [("a", scale, "time", scale, NAN, NAN, 6, "measured", NAN) for scale in (5.3, 10.0)]
    document = build(rows, (Method("a", trained=(1, 8)),), flags={("a", 10.0, "time"): ("Noisy: <others> ran",)})
    assert "10.00†‡" in to_markdown(document) and "10.00†‡" in to_text(document).replace(" ", "")
    assert r"\textsuperscript{$\dagger$$\ddagger$}" in to_latex(document)
    assert '<sup title="Noisy: &lt;others&gt; ran">†‡</sup>' in to_html(document)
    assert "## Noisy: <others> ran: a x10." in to_text(document, "ascii")


def test_a_page_leads_to_each_of_its_panels(document):
    paper = replace(document.panels[0], name="paper", cited=True)
    page = to_html(replace(document, panels=(document.panels[0], paper)))
    for place, name in ((1, "portraits"), (2, "paper (cited only)")):
        assert f'<a href="#panel-{place}">{name}</a>' in page and f'<section id="panel-{place}"' in page
    assert "<nav" not in to_html(document)


def test_the_papers_lines_are_drawn_if_the_reader_asks(document):
    page = to_html(document)
    assert page.count("Draw the paper's lines") == page.count('<div class="both">') == 1  # ST-LPIPS has none
    plain, both = (page.index(f'<div class="{name}">') for name in ("plain", "both"))
    assert "LIIF, paper" not in page[plain:both] and "LIIF, paper" in page[both:]
    assert ".chart .both, .chart:has(:checked) .plain { display: none; }" in page


@pytest.mark.parametrize("draw", [to_markdown, to_text, to_latex])
def test_a_matrix_tells_its_mean_whose_it_is_or_why_it_is_not_there(document, draw):
    scales, values = (5.3, 10.0), np.array([[1.0, 0.9], [0.8, 1.0]])
    matrices = (
        Matrix("Ours", scales, values),
        Matrix("Paper's", scales, paper=values),
        Matrix("Late", scales, reason="not measured yet: run it"),
        Matrix("Lost", scales, reason="no weights"),
    )
    text = " ".join(draw(replace(document, panels=(replace(document.panels[0], matrices=matrices),))).split())
    for words in ("Ours (mean off the diagonal 0.850)", "(cited; mean off the diagonal 0.850)"):
        assert words in text
    assert "Late (not measured yet: run it)" in text and "Lost (not measured: no weights)" in text
