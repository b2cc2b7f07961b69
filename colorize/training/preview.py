"""Color the same few pictures again and again while a model learns. Knows nothing of how it learns."""

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
from colorize.coloring.options import SIZES, Job, Named, SampleOptions
from colorize.coloring.paint import paint_all
from colorize.errors import ColorizeError
from colorize.images import augment, files, lines, simulated_hints
from colorize.images.color import luminance
from colorize.images.dataset_folder import Row, read_folder, splits
from colorize.images.image import from_tensor
from colorize.model import Colorizer
from colorize.recipes.recipe import Recipe
from colorize.training.picture_store import square

ROWS = 4  # pictures shown
GAP = 4  # white pixels between them
PATIENCE = 20.0  # seconds after which no further picture is begun, for slow machines
WARP, SHARE = 0.05, 0.005  # of references and hints, as in evaluation


@dataclass(frozen=True)
class Shown:
    """One row: the answer (1, 3, S, S), the drawing (1, 1, S, S), and what is given beside it."""

    truth: Tensor
    drawing: Tensor
    gray: bool
    reference: Tensor | None
    hints: Tensor | None


@dataclass(frozen=True)
class Preview:
    """Writes a grid of drawing, reference, hints, result and truth, painted as users would.

    data: the training folder; rows come from its validation split if it has one, spread evenly.
    size: pixels of a cell, if the painter can work at it. folder: where the PNG files go.
    """

    data: Path
    recipe: Recipe
    size: int
    folder: Path

    def __call__(self, model: Colorizer, step: int) -> None:
        """Paint all rows, or as many as patience allows, and write `step-00001000.png`."""
        begun = time.monotonic()
        strips = []
        for row in self.rows:
            strips.append(_strip(row, self._painted(model, row)))
            if time.monotonic() - begun > PATIENCE:
                break
        if not strips:
            return
        grid = from_tensor(torch.cat(strips, 2))
        files.write(grid, self.folder / f"step-{step:08d}.png")

    def _painted(self, model: Colorizer, row: Shown) -> Tensor | None:
        """What `sample` would give, (1, 3, S, S); None if it would refuse."""
        options = SampleOptions(kind="gray" if row.gray else "line", size=self.side, force=True, precision="fp32")
        (outcome,) = paint_all(Loaded(self.recipe, model, "", {}), [_job(row)], options)
        return outcome.painted[0].picture.tensor() if outcome.painted else None

    @property
    def side(self) -> int:
        """Pixels of a cell."""
        return min(max(self.size, SIZES[0]), SIZES[1])

    @cached_property
    def rows(self) -> list[Shown]:
        """The pictures, read once; those that cannot be read are left out."""
        found = []
        for index, row in enumerate(_pick(self.data)):
            with suppress(ColorizeError):
                found.append(self._row(index, row))
        return found

    def _row(self, index: int, row: Row) -> Shown:
        """Row by row: own reference, another picture's or hints, and a gray one at the end."""
        takes = self.recipe.hints
        truth = _tensor(row.file, self.side, False)
        gray = "gray" in takes and index % ROWS == ROWS - 1
        stored = None if row.line is None else _tensor(row.line, self.side, True)
        drawing = luminance(truth) if gray else lines.xdog(truth) if stored is None else stored
        reference = hints = None
        if "hints" in takes and index % 2:
            hints = simulated_hints.scatter(truth, SHARE, index)
        elif "reference" in takes and index % 2 and row.references:
            reference = _tensor(row.references[0], self.side, False)
        elif "reference" in takes:
            reference = augment.warp(truth, WARP, Generator().manual_seed(index))
        return Shown(truth, drawing, gray, reference, hints)


def _pick(data: Path) -> list[Row]:
    """Return a few rows, spread evenly."""
    there = splits(data)
    rows = read_folder(data, "validation" if "validation" in there else "train")
    count = min(ROWS, len(rows))
    return [rows[index * len(rows) // count] for index in range(count)]


def _tensor(path: Path, side: int, gray: bool) -> Tensor:
    return torch.from_numpy(square(path, side, gray))[None].float() / 127.5 - 1


def _job(row: Shown) -> Job:
    given = row.reference
    references = () if given is None else (Named("the reference", from_tensor(given)),)
    return Job("the drawing", from_tensor(row.drawing), references, row.hints)


def _strip(row: Shown, result: Tensor | None) -> Tensor:
    """One line of the grid, (1, 3, S + GAP, 5 (S + GAP)); white where there is nothing."""
    hints = None if row.hints is None else torch.where(row.hints[:, 3:] > 0, row.hints[:, :3], 1.0)
    cells = (row.drawing.expand_as(row.truth), row.reference, hints, result, row.truth)
    white = torch.ones_like(row.truth)
    padded = [F.pad(white if c is None else c, (0, GAP, 0, GAP), value=1.0) for c in cells]
    return torch.cat(padded, 3)
