"""Keep a run's log, one JSON object a line, true to the state it resumes from.

Knows nothing of models.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING

from colorize.images.files import atomic

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class Log:
    """`log.jsonl` in a run folder, and TensorBoard beside it if that is installed.

    step: the step the run goes on from; later lines, and a line cut short by a crash, are removed.
    """

    def __init__(self, run: Path, step: int) -> None:
        self.path = run / "log.jsonl"
        rows = [row for row in read(run) if row["step"] <= step]
        with atomic(self.path) as path:
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        self.board = _board(run, step)

    def write(self, row: dict[str, float | None]) -> None:
        """Append a row; `step` is its key."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        if self.board is not None:
            for name, value in row.items():
                if name != "step" and value is not None:
                    self.board.add_scalar(name, value, row["step"])

    def close(self) -> None:
        """Finish writing."""
        if self.board is not None:
            self.board.close()


def read(run: Path) -> list[dict[str, float]]:
    """Read the rows of a run's log, leaving out a last one that was cut short."""
    path = run / "log.jsonl"
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:  # the process was killed while it wrote
            break
    return rows


def _board(run: Path, step: int) -> SummaryWriter | None:
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(run / "tensorboard"), purge_step=step + 1)
