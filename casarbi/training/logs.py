"""CSV and TensorBoard logs that a resumed run continues without doubled or missing rows."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from casarbi.files import write_file


class CsvLog:
    """Rows of numbers by step, the first column; a row is on disk when `add` returns.

    UTF-8, comma, dot decimals, all digits of a float, whatever the locale.
    """

    def __init__(self, path: Path, step: int) -> None:
        """Open a log to go on after `step`: rows of later steps, and a row cut short by a kill, are removed."""
        self.path, self.columns = path, self._rewind(path, step)

    @staticmethod
    def _rewind(path: Path, step: int) -> list[str]:
        if not path.is_file():
            return []
        text = path.read_text(encoding="utf-8")
        rows = list(csv.reader(io.StringIO(text[: text.rfind("\n") + 1])))
        if not rows:
            path.unlink()  # killed in its first line
            return []
        kept = [rows[0], *(row for row in rows[1:] if len(row) == len(rows[0]) and int(row[0]) <= step)]
        lines = io.StringIO()
        csv.writer(lines, lineterminator="\n").writerows(kept)
        write_file(path, lines.getvalue().encode())
        return rows[0]

    def add(self, row: Mapping[str, float]) -> None:
        """Append a row; the first one ever decides the columns, later values under other names are left out."""
        # Header and row in one write: a kill between them would leave a file that no row fits.
        lines = io.StringIO()
        writer = csv.writer(lines, lineterminator="\n")
        if not self.columns:
            self.columns = list(row)
            writer.writerow(self.columns)
        writer.writerow([row.get(name, "") for name in self.columns])
        with self.path.open("a", encoding="utf-8", newline="") as file:
            file.write(lines.getvalue())
            file.flush()
            os.fsync(file.fileno())


def read_log(path: Path) -> list[dict[str, float]]:
    """Rows of a log; an empty list if there is no file."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


class TensorBoardLog:
    """Scalars and pictures for TensorBoard; does nothing if it is not installed."""

    def __init__(self, folder: Path, step: int, enabled: bool) -> None:
        """Open a log to go on after `step`; later values of an earlier session are hidden."""
        self.writer: Any = None
        if not enabled:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return
        self.writer = SummaryWriter(str(folder), purge_step=step + 1 if step else None)

    def scalars(self, group: str, row: Mapping[str, float], step: int) -> None:
        """Add numbers as GROUP/NAME."""
        if self.writer:
            for name, value in row.items():
                self.writer.add_scalar(f"{group}/{name}", value, step)

    def picture(self, name: str, picture: Tensor, step: int) -> None:
        """Add a picture, (3, H, W) in [0, 1] or uint8."""
        if self.writer:
            self.writer.add_image(name, picture, step)

    def close(self) -> None:
        """Write out what is waiting."""
        if self.writer:
            self.writer.close()
