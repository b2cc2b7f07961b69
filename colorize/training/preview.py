"""Color the same few pictures again and again while a model learns."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from torch import Generator, Tensor
from torchvision.utils import make_grid

from colorize.checkpoints.model_files import Loaded
from colorize.coloring.options import Job, Named, SampleOptions
from colorize.coloring.paint import paint_all
from colorize.errors import ColorizeError
from colorize.images import augment, color_hints, files, lines
from colorize.images.color import luminance
from colorize.images.dataset_folder import Row, read_folder, splits
from colorize.images.image import from_tensor
from colorize.model import Colorizer
from colorize.recipes.recipe import Recipe
from colorize.training.batches import square

ROWS, CELLS = 4, 5  # of the grid
GAP = 4  # white pixels between them
PATIENCE = 20.0  # seconds after which no further picture is begun, for slow machines
WARP, SHARE = 0.05, 0.005  # of references and hints, as in evaluation


# The drawing and its hints; a gray one or lines; what is shown of drawing, reference and hints; the truth.
Example = tuple[Job, Literal["gray", "line"], tuple[Tensor, ...], Tensor]


@dataclass(frozen=True)
class Preview:
    """Writes a grid of drawing, reference, hints, result and truth, colored as users would.

    data: the training folder; rows come from its validation split if it has one, spread evenly.
    size: pixels of a cell. folder: where the PNG files go.
    """

    data: Path
    recipe: Recipe
    size: int
    folder: Path

    def __call__(self, model: Colorizer, step: int) -> None:
        """Color all rows, or as many as patience allows, and write `step-00001000.png`."""
        begun = time.monotonic()
        cells: list[Tensor] = []
        for job, kind, before, truth in self.rows:
            options = SampleOptions(kind=kind, size=self.size, force=True, precision="fp32")
            (outcome,) = paint_all(Loaded(self.recipe, model, "", {}), [job], options)
            result = outcome.painted[0].picture.tensor() if outcome.painted else torch.ones_like(truth)
            cells += [*before, result, truth]
            if time.monotonic() - begun > PATIENCE:
                break
        if cells:
            grid = make_grid(torch.cat(cells), CELLS, padding=GAP, pad_value=1.0)[None, :, GAP:, GAP:]
            files.write(from_tensor(grid), self.folder / f"step-{step:08d}.png")

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
            hints = color_hints.scatter(truth, SHARE, index)
        elif "reference" in takes and index % 2 and row.references:
            reference = self._read(row.references[0])
        elif "reference" in takes:
            reference = augment.warp(truth, WARP, Generator().manual_seed(index))
        white = torch.ones_like(truth)
        dots = white if hints is None else torch.where(hints[:, 3:] > 0, hints[:, :3], 1.0)
        before = drawing.expand_as(truth), white if reference is None else reference, dots
        references = () if reference is None else (Named("the reference", from_tensor(reference)),)
        job = Job("the drawing", from_tensor(drawing), references, hints)
        return job, "gray" if gray else "line", before, truth

    def _read(self, path: Path, gray: bool = False) -> Tensor:
        return torch.from_numpy(square(path, self.size, gray))[None].float() / 127.5 - 1
