"""Color the same few pictures again and again while a model learns."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from colorize.checkpoints.model_files import Loaded
from colorize.coloring.options import SIZES, Job, Named, Options
from colorize.coloring.paint import paint_all
from colorize.errors import ColorizeError
from colorize.images import augment, files, lines, simulated_hints
from colorize.images.color import luminance
from colorize.images.dataset_folder import Row, read_folder, splits
from colorize.images.image import from_tensor
from colorize.model import Colorizer
from colorize.recipes.recipe import Recipe
from colorize.training.batches import square

ROWS = 4  # pictures shown
GAP = 4  # white pixels between them
PATIENCE = 20.0  # seconds after which no further picture is begun, for slow machines
WARP, SHARE = 0.05, 0.005  # of references and hints, as in evaluation


@dataclass(frozen=True)
class Example:
    """One row: the answer (1, 3, S, S), the drawing (1, 1, S, S), whether that is gray, and its hints."""

    truth: Tensor
    drawing: Tensor
    gray: bool
    reference: Tensor | None
    hints: Tensor | None


@dataclass(frozen=True)
class Preview:
    """Writes a grid of drawing, reference, hints, result and truth, colored as users would.

    data: the training folder; rows come from its validation split if it has one, spread evenly.
    size: pixels of a cell, within SIZES. folder: where the PNG files go.
    """

    data: Path
    recipe: Recipe
    size: int
    folder: Path

    def __call__(self, model: Colorizer, step: int) -> None:
        """Color all rows, or as many as patience allows, and write `step-00001000.png`."""
        begun = time.monotonic()
        strips = []
        for row in self.rows:
            strips.append(_strip(row, self._colored(model, row)))
            if time.monotonic() - begun > PATIENCE:
                break
        if strips:
            files.write(from_tensor(torch.cat(strips, 2)), self.folder / f"step-{step:08d}.png")

    def _colored(self, model: Colorizer, row: Example) -> Tensor | None:
        """Return what `sample` would give, (1, 3, S, S); None if it would refuse."""
        references = () if row.reference is None else (Named("the reference", from_tensor(row.reference)),)
        job = Job("the drawing", from_tensor(row.drawing), references, row.hints)
        options = Options(kind="gray" if row.gray else "line", size=self.side, force=True, precision="fp32")
        (outcome,) = paint_all(Loaded(self.recipe, model, "", {}), [job], options)
        return outcome.painted[0].picture.tensor() if outcome.painted else None

    @property
    def side(self) -> int:
        """Pixels of a cell."""
        return min(max(self.size, SIZES[0]), SIZES[1])

    @cached_property
    def rows(self) -> list[Example]:
        """The pictures, read once; those that cannot be read are left out."""
        rows = read_folder(self.data, "validation" if "validation" in splits(self.data) else "train")
        count = min(ROWS, len(rows))
        found = []
        for index in range(count):
            with suppress(ColorizeError):
                found.append(self._row(index, rows[index * len(rows) // count]))
        return found

    def _row(self, index: int, row: Row) -> Example:
        """Return by turns: own reference, another picture's or hints, and a gray one at the end."""
        takes = self.recipe.hints
        truth = self._read(row.file)
        gray = "gray" in takes and index % ROWS == ROWS - 1
        stored = None if row.line is None else self._read(row.line, gray=True)
        drawing = luminance(truth) if gray else lines.xdog(truth) if stored is None else stored
        reference = hints = None
        if "hints" in takes and index % 2:
            hints = simulated_hints.scatter(truth, SHARE, index)
        elif "reference" in takes and index % 2 and row.references:
            reference = self._read(row.references[0])
        elif "reference" in takes:
            reference = augment.warp(truth, WARP, Generator().manual_seed(index))
        return Example(truth, drawing, gray, reference, hints)

    def _read(self, path: Path, gray: bool = False) -> Tensor:
        return torch.from_numpy(square(path, self.side, gray))[None].float() / 127.5 - 1


def _strip(row: Example, result: Tensor | None) -> Tensor:
    """One line of the grid, (1, 3, S + GAP, 5 (S + GAP)); white where there is nothing."""
    hints = None if row.hints is None else torch.where(row.hints[:, 3:] > 0, row.hints[:, :3], 1.0)
    cells = (row.drawing.expand_as(row.truth), row.reference, hints, result, row.truth)
    white = torch.ones_like(row.truth)
    padded = [F.pad(white if c is None else c, (0, GAP, 0, GAP), value=1.0) for c in cells]
    return torch.cat(padded, 3)
