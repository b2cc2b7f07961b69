"""A user's color hints as the regions of a drawing see them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from colorize.hints import Hints
from colorize.images import color_hints
from colorize.region_diffusion.pieces import lab_of

SAME = 6.0  # CIE76; hints that differ by less are one color
MOST = 48  # colors of hints; of more the nearest one counts
COVER = 0.2  # of a cell of the field, from which a hint counts there
SPOT = 16  # cells of a stroke, up to which it is a dot and meant for one region
GRAZED = 0.25  # of a stroke; a region that holds less of it, and not the most, is not meant


@dataclass(frozen=True)
class HintCells:
    """Hints on one drawing.

    at: (n,) cells of the field; which: (n,), the color of each; stroke: (n,), the stroke that each is part of.
    colors: (m, 3) in [-1, 1].
    """

    at: Tensor
    which: Tensor
    stroke: Tensor
    colors: Tensor

    def meant(self, cells: Tensor, paper: Tensor) -> Tensor:
        """Which cells (n,) lie in a region that their stroke is meant for: where most of it lies, ink counting little.

        A long stroke may be meant for several. cells, paper: (h * w,), the region of each cell, and how light it is.
        """
        keep = torch.zeros(len(self.at), dtype=torch.bool)
        for stroke in torch.unique(self.stroke):
            mine = self.stroke == stroke
            at = self.at[mine]
            numbers, place = torch.unique(cells[at], return_inverse=True)
            weight = torch.zeros(len(numbers)).index_add_(0, place, paper[at])
            share = weight / weight.sum()
            least = GRAZED if len(at) > SPOT else 1.0
            meant = numbers[(share >= least) | (weight == weight.max())]
            keep |= mine & torch.isin(cells[self.at], meant)
        return keep


def hint_cells(hints: Hints) -> HintCells | None:
    """Return the color hints of one row on a field of half the drawing's size, or None where there are none.

    Gray hints that lie on ink say nothing of color, and are left out.
    """
    layer = hints.get("hints")
    if layer is None:
        return None
    layer = color_hints.off_ink(layer, hints["line"])
    mask = (layer[:, 3:] > 0).to(layer)
    half = F.avg_pool2d(torch.cat([layer[:, :3] * mask, mask], 1), 2, ceil_mode=True)[0]
    cover = half[3]
    at = (cover.flatten() > COVER).nonzero()[:, 0]
    if not len(at):
        return None
    rgb = (half[:3] / cover.clamp(min=COVER)).flatten(1).T[at]
    colors, which = _grouped(rgb)
    there = (cover > COVER).numpy().astype(np.uint8)
    stroke = cv2.connectedComponents(there, connectivity=8)[1]
    return HintCells(at, which, torch.from_numpy(stroke).flatten()[at], colors)


def _grouped(rgb: Tensor) -> tuple[Tensor, Tensor]:
    """Colors (m, 3) that differ visibly, each the mean of its group, and the group of each of (n, 3)."""
    lab = lab_of(rgb)
    centers = lab[:1]
    while len(centers) < MOST:
        away = torch.cdist(lab, centers).amin(1)
        if float(away.max()) < SAME:
            break
        centers = torch.cat([centers, lab[away.argmax()][None]])
    which = torch.cdist(lab, centers).argmin(1)
    count = torch.bincount(which, minlength=len(centers)).clamp(min=1)
    total = torch.zeros(len(centers), 3).index_add_(0, which, rgb)
    return total / count[:, None], which
