"""The log of a run, `log.jsonl`, which holds every step of its state once, and TensorBoard beside it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from colorize.images import json_lines

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FILE = "log.jsonl"


class Log:
    """The log of a run folder, and TensorBoard if that is installed.

    step: the step the run goes on from; rows of later steps are removed.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self.path = folder / FILE
        json_lines.replace(self.path, [row for row in json_lines.read(self.path) if row["step"] <= step])
        self.board: SummaryWriter | None = None
        if importlib.util.find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def write(self, row: dict[str, float | None]) -> None:
        """Append a row; `step` is its key."""
        json_lines.append(self.path, row)
        if self.board is not None:
            for name, value in row.items():
                if name != "step" and value is not None:
                    self.board.add_scalar(name, value, row["step"])

    def close(self) -> None:
        """Finish writing."""
        if self.board is not None:
            self.board.close()
