"""What stands under the tables of a panel: sentences that explain marks, and numbered reasons for missing values."""

from __future__ import annotations

from casarbi.scales import scale_label
from reports.document import Panel
from reports.table import FAILED, MISSING, Entry, Table


def legend(tables: tuple[Table, ...], panel: Panel, best: str, second: str, interval: str) -> list[str]:
    """Sentences that explain the marks which occur.

    Args:
        tables: the panel's tables.
        panel: the panel, for its note on the paper.
        best: how the format marks the best value, such as "bold".
        second: how it marks the second best.
        interval: how it writes an interval, such as "[low, high]".
    """
    entries = [entry for table in tables for entry in table.entries]
    split = scale_label(panel.split) if panel.split is not None else ""
    # Each sentence with whether its mark occurs: a legend explains nothing that is not there.
    sentences = {
        f"{interval}: {panel.interval}.": any(entry.interval for entry in entries),
        f"Best {best}, second best {second}, among the measured values of a column{_shared_words(panel)}; values equal "
        "as printed share the mark.": any(entry.mark for entry in entries),
        f"{_paper_words(entries)}: number of the paper{_in_brackets(panel.paper_note)}, not measured here, never "
        "ranked.": any(entry.state == "cited" or entry.paper for entry in entries),
        "† scale outside the range the method was trained on.": any(entry.outside for entry in entries),
        f"In distribution: scales up to {split}, the paper's training range.": any(
            heading.group for table in tables for heading in table.headings
        ),
        f"{FAILED}: measured, but no number came of it (the notes say why); it enters no mean.": any(
            entry.state == "failed" for entry in entries
        ),
        f"{MISSING} not measured.": any(entry.state == "missing" for entry in entries),
    }
    return [*(sentence for sentence, occurs in sentences.items() if occurs), *_flags(tables)]


def _flags(tables: tuple[Table, ...]) -> list[str]:
    """A sentence for each flag, with the values that bear it."""
    flagged: dict[str, dict[str, None]] = {}
    for table in tables:
        for row in table.rows:
            for heading, entry in zip(table.headings, row.entries, strict=True):
                for flag in entry.flags:
                    flagged.setdefault(flag, {})[f"{row.title} {heading.label}"] = None
    return [f"‡ {flag}: {', '.join(names)}." for flag, names in flagged.items()]


def footnotes(tables: tuple[Table, ...]) -> dict[int, str]:
    """Numbered reasons that occur in the tables, each with the methods it holds for."""
    titles: dict[int, dict[str, None]] = {}
    reasons: dict[int, str] = {}
    for row in (row for table in tables for row in table.rows if row.footnote):
        titles.setdefault(row.footnote, {})[row.title] = None
        reasons[row.footnote] = row.reason
    return {number: f"{', '.join(titles[number])}: {reasons[number]}" for number in sorted(reasons)}


def _shared_words(panel: Panel) -> str:
    return ", by the images that all its methods have in common" if panel.shared else ""


def _paper_words(entries: list[Entry]) -> str:
    words = {"cited": any(entry.state == "cited" for entry in entries), "paper": any(entry.paper for entry in entries)}
    return ", ".join(word for word, occurs in words.items() if occurs)


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""
