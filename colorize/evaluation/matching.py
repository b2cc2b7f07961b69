"""Color regions by a reference without having learnt anything, and by the truth: the least and the most to expect."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from colorize.networks.regions.pieces import geometry, lab_of, main_colors, parts
from colorize.pictures import cutting
from colorize.pictures.field import fill

MOST = 400  # regions of a drawing
DARK = 22.0  # L*; darker parts of a reference are ink, and no color of a region
DRAWN = 0.5  # in [-1, 1]; where something darker lies there is a figure
FIGURE = 0.9  # the same for references
NEAR = ((2, 1.0), (3, 0.35), (6, 0.75), (8, 1.0))  # number of `geometry`, and its weight
RIGHT = 14.0  # CIE76


def matched(drawing: Tensor, reference: Tensor) -> Tensor:
    """Give each region the color of the reference's part that is nearest in place and size: (1, 3, S, S) in [-1, 1]."""
    labels = cutting.cut(drawing, MOST)
    dark = -F.max_pool2d(-drawing, 2, ceil_mode=True)[:, 0] < DRAWN
    place = _weighted(geometry(labels, int(labels.max()) + 1, dark)[0])
    colors = main_colors(reference)
    pieces, owner = parts(colors)
    cells = (pieces.shape[-2], pieces.shape[-1])
    figure = F.interpolate(reference.amin(1, keepdim=True), cells)[:, 0] < FIGURE
    there = (owner[0] >= 0) & (lab_of(colors.rgb)[0, :, 0] >= DARK)[owner[0].clamp(min=0)]
    if not bool(there.any()):
        return torch.ones_like(drawing).expand(-1, 3, -1, -1)
    apart = torch.cdist(place, _weighted(geometry(pieces, owner.shape[1], figure)[0]))
    chosen = owner[0][apart.masked_fill(~there[None], torch.inf).argmin(1)]
    return _shown(colors.rgb[0][chosen], labels, drawing)


def best(drawing: Tensor, truth: Tensor, reference: Tensor, whole: bool) -> Tensor:
    """Give each region (whole), or each cell, the main color of the reference that is most right: (1, 3, S, S)."""
    labels, colors = cutting.cut(drawing, MOST), main_colors(reference)
    height, width = labels.shape[-2:]
    under = F.interpolate(fill(truth, drawing), (height, width), mode="area")
    rgb = colors.rgb[0][colors.valid[0]]
    apart = torch.cdist(lab_of(under[0].flatten(1).T), lab_of(rgb))
    if whole:
        cells = labels.flatten()
        score = (apart < RIGHT).float() - apart / 1000
        total = torch.zeros(int(cells.max()) + 1, len(rgb)).index_add_(0, cells, score)
        chosen = total.argmax(1)
        return _shown(rgb[chosen], labels, drawing)
    field = rgb[apart.argmin(1)].T.view(1, 3, height, width)
    return F.interpolate(field, (drawing.shape[-2], drawing.shape[-1]), mode="nearest")


def _weighted(numbers: Tensor) -> Tensor:
    return torch.stack([numbers[:, at] * weight for at, weight in NEAR], 1)


def _shown(table: Tensor, labels: Tensor, drawing: Tensor) -> Tensor:
    """Colors (N, 3) of regions as a picture of the drawing's size."""
    field = table[labels[0]].permute(2, 0, 1)[None]
    return F.interpolate(field, (drawing.shape[-2], drawing.shape[-1]), mode="nearest")
