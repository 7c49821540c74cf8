"""A document in every format, and the one call that writes them all."""

from __future__ import annotations

from pathlib import Path

from casarbi.files import write_file
from reports.csv import images_to_csv, to_csv
from reports.document import Document
from reports.html import to_html
from reports.latex import to_latex
from reports.markdown import to_markdown
from reports.terminal import to_text

__all__ = ["images_to_csv", "to_csv", "to_html", "to_latex", "to_markdown", "to_text", "write_report"]


def write_report(document: Document, out_dir: str | Path, spreadsheet: str | None = None) -> list[Path]:
    """Write EXPERIMENT.html, .md, .tex and .csv, and EXPERIMENT-images.csv if there are values of single images.

    Everything is drawn before the first file is touched, and each file is moved into place whole; equal documents
    give equal bytes. With `spreadsheet`, "." or ",", there is EXPERIMENT-spreadsheet.csv with that decimal sign too.
    What an earlier report of that name had and this one has not is removed, so that all files are of one report.
    """
    # Names that are not UTF-8 hold lone surrogates, which no UTF-8 file can hold.
    contents = {
        ".html": to_html(document).encode(errors="backslashreplace"),
        ".md": to_markdown(document).encode(errors="backslashreplace"),
        ".tex": to_latex(document).encode(errors="backslashreplace"),
        ".csv": to_csv(document),
    }
    if len(document.images()):
        contents["-images.csv"] = images_to_csv(document)
    if spreadsheet:
        contents["-spreadsheet.csv"] = to_csv(document, decimal=spreadsheet)
    folder = Path(out_dir)
    paths = []
    for ending, content in contents.items():
        path = folder / f"{document.experiment}{ending}"
        write_file(path, content)
        paths.append(path)
    # What only an earlier report of this name had.
    for ending in ("-images.csv", "-spreadsheet.csv"):
        if ending not in contents:
            (folder / f"{document.experiment}{ending}").unlink(missing_ok=True)
    return paths
