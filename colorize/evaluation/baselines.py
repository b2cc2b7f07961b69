"""Color pictures without having learnt anything: what every model must beat.

Knows nothing of networks or scores; a baseline is a function from a sample to a picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from colorize.errors import ColorizeError, nearest
from colorize.evaluation.samples import MODES, Sample
from colorize.images import color, region_cutting, under_ink
from colorize.images.flat_regions import nearest_region
from colorize.images.under_ink import fill
from colorize.region_diffusion.pieces import geometry, lab_of, main_colors, parts

INK = -0.7  # in [-1, 1]; luma below which a reference's pixel is ink, which tells no color
BINS = 16  # luma steps of the gray statistics
NEARNESS = 4  # power of the distance by which a hint loses weight; 2 is Shepard's, more is sharper


@dataclass(frozen=True)
class Baseline:
    """A way of coloring: what it is called, what it does, and which part of a sample it needs."""

    name: str
    help: str
    modes: tuple[str, ...]
    paint: Callable[[Sample], Tensor]
    oracle: bool = False  # knows the truth, and is compared with only where it is asked for


def applying(mode: str) -> list[Baseline]:
    """Return the baselines that can color what a mode gives without the truth, simplest first."""
    return [one for one in BASELINES.values() if mode in one.modes and not one.oracle]


def find(name: str) -> Baseline:
    """Return a baseline by name. Raises ColorizeError for an unknown one."""
    if name not in BASELINES:
        raise ColorizeError(f"there is no baseline `{name}`", nearest(name, BASELINES), code=2)
    return BASELINES[name]


def gray(sample: Sample) -> Tensor:
    """Leave the drawing as it is: (1, 3, S, S)."""
    return sample.drawing.expand(-1, 3, -1, -1)


def reference_statistics(sample: Sample) -> Tensor:
    """Use the reference's colors, but not where they are: (1, 3, S, S).

    Line art: the mean color of the reference's figure fills the drawn figure, and paper around it
    stays white if the reference has white around its own, or is a palette, which has no paper.
    Gray: every gray takes the mean chroma that grays of its luma have in the reference (Welsh 2002
    without texture) and keeps its luma.
    """
    reference = _given(sample.reference, "reference")
    if sample.kind == "gray":
        return _with_luma(sample.drawing, _chroma_by_luma(sample.drawing, reference))
    around = white_around(reference)
    figure = ~around & (color.luminance(reference)[0, 0].numpy() >= INK)
    pixels = reference[0][:, torch.from_numpy(figure)]  # (3, N)
    flat = pixels.mean(dim=1) if figure.any() else torch.ones(3)
    under = flat.view(1, 3, 1, 1).repeat(1, 1, *sample.drawing.shape[-2:])
    if sample.mode == "palette" or frame(around).mean() > 0.5:
        areas = enclosed(sample.drawing)
        under[..., torch.from_numpy(reaching_border(areas)[areas])] = 1.0
    return _under_ink(under, sample.drawing)


def reference_copy(sample: Sample) -> Tensor:
    """Lay the reference, blurred and without its ink, under the drawing: (1, 3, S, S)."""
    reference = _given(sample.reference, "reference")
    ink = torch.where(color.luminance(reference) < INK, -1.0, 1.0)
    under = reference if sample.kind == "gray" else under_ink.fill(reference, ink)
    under = _blur(under, under.shape[-1] / 64)
    if sample.kind == "gray":
        return _with_luma(sample.drawing, under - color.luminance(under))
    return _under_ink(under, sample.drawing)


def nearest_hint(sample: Sample) -> Tensor:
    """Color everything by the hints near it: (1, 3, S, S).

    Line art: a region of paper enclosed by ink takes the colors of the hints inside, each pixel
    by their nearness; a region without hints takes the nearest one, but stays white if it is open
    to the border. Gray: nearness counts in place and in luma together, and luma is kept.
    """
    hints = _given(sample.hints, "hints")
    if sample.kind == "gray":
        chroma = hints[:, :3] - color.luminance(hints[:, :3])
        return _with_luma(sample.drawing, _spread_over_grays(sample.drawing, chroma, hints))
    areas = enclosed(sample.drawing)
    dots = hint_labels(hints)
    held = hints[0, 3].numpy() > 0
    on_paper = np.bincount(dots.ravel(), (areas > 0).ravel(), minlength=dots.max() + 1)
    sure = held & (on_paper / np.bincount(dots.ravel()) > 0.5)[dots] & (areas > 0)
    sure = sure if sure.any() else held
    if not sure.any():
        return gray(sample)
    under = _fill(areas, np.where(sure, dots, 0), hints[0, :3].permute(1, 2, 0).numpy())
    return _under_ink(torch.from_numpy(under).permute(2, 0, 1)[None], sample.drawing)


def region_matcher(sample: Sample) -> Tensor:
    """Give each region the color of the part of the reference that is nearest in place and size: (1, 3, S, S)."""
    if sample.kind == "gray":
        return reference_statistics(sample)
    under = matched(sample.drawing, _given(sample.reference, "reference"))
    return _under_ink(under, sample.drawing)


def oracle_regions(sample: Sample) -> Tensor:
    """Give each region the reference's color that is most right: what choosing by regions could reach at best."""
    return _oracle(sample, whole=True)


def oracle_cells(sample: Sample) -> Tensor:
    """Give each cell the reference's color that is most right: what the given colors allow at best."""
    return _oracle(sample, whole=False)


def _oracle(sample: Sample, whole: bool) -> Tensor:
    reference = _given(sample.reference, "reference")
    if sample.kind == "gray":
        return gray(sample)
    return _under_ink(best(sample.drawing, sample.truth, reference, whole), sample.drawing)


BASELINES: dict[str, Baseline] = {
    baseline.name: baseline
    for baseline in (
        Baseline("gray", "the drawing as it is", tuple(MODES), gray),
        Baseline(
            "reference-statistics",
            "the reference's mean colors",
            ("same", "flip", "cross", "shuffled", "palette"),
            reference_statistics,
        ),
        Baseline(
            "reference-copy", "the reference under the drawing", ("same", "flip", "cross", "shuffled"), reference_copy
        ),
        Baseline(
            "region-matcher",
            "each region in the color of the reference's part nearest in place and size",
            ("same", "flip", "cross", "shuffled"),
            region_matcher,
        ),
        Baseline(
            "oracle-regions",
            "each region in the given color that is most right; it knows the truth",
            ("same", "flip", "cross", "shuffled", "palette"),
            oracle_regions,
            oracle=True,
        ),
        Baseline(
            "oracle-cells",
            "each cell in the given color that is most right; it knows the truth",
            ("same", "flip", "cross", "shuffled", "palette"),
            oracle_cells,
            oracle=True,
        ),
        Baseline("nearest-hint", "regions filled from their hints", ("hints", "stored"), nearest_hint),
    )
}


def _given(tensor: Tensor | None, name: str) -> Tensor:
    if tensor is None:
        raise ColorizeError(
            f"this baseline needs `{name}`, which the mode does not give",
            "compare with the baseline gray, or choose another mode",
            code=2,
        )
    return tensor


def _under_ink(under: Tensor, drawing: Tensor) -> Tensor:
    """Multiply ink over color: out = O - min(O) (1 - U) on [0, 1], O the drawing, U the color.

    A drawing is gray, so min(O) = O and ink can only get darker. All in [-1, 1].
    """
    ink, below = (drawing + 1) / 2, (under + 1) / 2
    return (ink - ink * (1 - below)) * 2 - 1


def _with_luma(luma: Tensor, chroma: Tensor) -> Tensor:
    """Add chroma (1, 3, S, S), whose own luma is 0, to a gray; drawn to gray until it fits sRGB."""
    room = torch.where(chroma > 0, 1 - luma, 1 + luma) / chroma.abs().clamp_min(1e-6)
    return luma + chroma * room.amin(dim=1, keepdim=True).clamp_max(1)


def _blur(picture: Tensor, sigma: float) -> Tensor:
    radius = max(1, round(3 * sigma))
    taps = torch.exp(-(torch.arange(-radius, radius + 1.0) ** 2) / (2 * sigma**2))
    taps = (taps / taps.sum()).expand(3, 1, -1)
    padded = F.pad(picture, (radius, radius, radius, radius), "replicate")
    return F.conv2d(F.conv2d(padded, taps[:, :, None], groups=3), taps[..., None], groups=3)


def _chroma_by_luma(drawing: Tensor, reference: Tensor) -> Tensor:
    """Look up for every gray (1, 1, S, S) the mean chroma of the reference near that luma."""
    luma = color.luminance(reference)
    chroma = (reference - luma)[0].flatten(1)  # (3, N)
    steps = torch.linspace(-1, 1, BINS)
    width = 2 / (BINS - 1)
    weight = torch.exp(-(((luma.flatten()[None] - steps[:, None]) / width) ** 2) / 2)
    overall = chroma.mean(dim=1)  # as one more pixel in every bin, so that empty ones have a value
    table = (weight @ chroma.T + overall) / (weight.sum(dim=1, keepdim=True) + 1)  # (BINS, 3)
    place = (drawing.flatten().clamp(-1, 1) + 1) / width
    low = place.floor().clamp_max(BINS - 2).long()
    share = (place - low)[:, None]
    found = table[low] * (1 - share) + table[low + 1] * share
    return found.T.reshape(1, 3, *drawing.shape[-2:])


def _spread_over_grays(drawing: Tensor, values: Tensor, hints: Tensor) -> Tensor:
    """Mix the dots' values for every pixel by nearness in place and luma together."""
    dots = torch.from_numpy(hint_labels(hints)).flatten()
    count = torch.bincount(dots)[1:, None]
    if len(count) == 0:
        return torch.zeros_like(values)
    height, width = drawing.shape[-2:]
    down, right = torch.meshgrid(torch.arange(height) / height, torch.arange(width) / width, indexing="ij")
    places = torch.stack((down, right, drawing[0, 0])).flatten(1).T  # luma counts twice the side
    both = torch.cat((places, values[0].flatten(1).T), 1)
    means = torch.zeros(len(count) + 1, 6).index_add_(0, dots, both)[1:] / count
    weight = (torch.cdist(places, means[:, :3]) ** 2 + 1e-5) ** (-NEARNESS / 2)
    mixed = weight @ means[:, 3:] / weight.sum(dim=1, keepdim=True)
    return mixed.T.reshape(1, 3, height, width)


def _fill(areas: Labels, dots: Labels, rgb: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Spread the colors of the dots over the regions they lie in, (S, S, 3)."""
    under = rgb.reshape(-1, 3)[nearest_region(dots > 0)]
    under[reaching_border(areas)[areas]] = 1.0
    for area in np.unique(areas[dots > 0]):
        here, told = areas == area, (areas == area) & (dots > 0)
        names = np.unique(dots[told])
        centers = np.stack([np.argwhere(told & (dots == n)).mean(0) for n in names])
        colors = np.stack([rgb[told & (dots == n)].mean(0) for n in names])
        apart = ((np.argwhere(here)[:, None] - centers) ** 2).sum(2) + 4.0  # 2 px: inside a dot
        weight = apart ** (-NEARNESS / 2)
        under[here] = (weight @ colors) / weight.sum(axis=1, keepdims=True)
    return under


MOST = 400  # regions of a drawing
DARK = 22.0  # L*; darker parts of a reference are ink, and no color of a region
DRAWN = 0.5  # in [-1, 1]; where something darker lies there is a figure
FIGURE = 0.9  # the same for references
NEAR = ((2, 1.0), (3, 0.35), (6, 0.75), (8, 1.0))  # number of `geometry`, and its weight
RIGHT = 14.0  # CIE76


def matched(drawing: Tensor, reference: Tensor) -> Tensor:
    """Give each region the color of the reference's part that is nearest in place and size: (1, 3, S, S) in [-1, 1]."""
    labels = region_cutting.cut(drawing, MOST)
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
    labels, colors = region_cutting.cut(drawing, MOST), main_colors(reference)
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


Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int64]
Plane = TypeVar("Plane", Mask, Labels)

PAPER = 0.6  # in [-1, 1]; lighter pixels of line art are paper, so thin gray lines still separate
GAP = 6 / 256  # of the side; openings of a line up to this width are taken for closed
WHITE = 0.94  # in [-1, 1]; a color is white if no channel is darker


def hint_labels(hints: Tensor) -> Labels:
    """Number the separate hints 1, 2, ...; 0 where there is none. (S, S)."""
    held = (hints[0, 3].numpy() > 0).astype(np.uint8)
    return cv2.connectedComponents(held, connectivity=4)[1].astype(np.int64)


def enclosed(drawing: Tensor) -> Labels:
    """Number the regions of paper that ink encloses, small gaps taken for closed; 0 is ink."""
    paper = (drawing[0, 0].numpy() >= PAPER).astype(np.uint8)
    reach = max(1, round(GAP * max(paper.shape) / 2))
    ball = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    core = cv2.erode(paper, ball, borderType=cv2.BORDER_CONSTANT, borderValue=1)
    whole = cv2.connectedComponents(paper, connectivity=4)[1].astype(np.int64)
    count, label = cv2.connectedComponents(core, connectivity=4)
    lost = ~np.isin(whole, whole[core > 0]) & (paper > 0)  # too thin for the ball: own number
    numbers: Labels = np.where(lost, whole + count, label.astype(np.int64))
    if numbers.any():  # the rest of the paper belongs to the region nearest to it
        numbers = np.where(paper > 0, numbers.ravel()[nearest_region(numbers > 0)], 0)
    return numbers


def frame(values: Plane) -> Plane:
    """Return the pixels along the four sides, (4 S,)."""
    return np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])


def reaching_border(regions: Labels) -> Mask:
    """Tell for every number of region whether that region reaches the border; ink never does."""
    reaches = np.zeros(regions.max() + 1, bool)
    reaches[frame(regions)] = True
    reaches[0] = False
    return reaches


def white_around(picture: Tensor) -> Mask:
    """Return the white of a color picture that is connected to its border, (S, S)."""
    white = (picture[0].amin(dim=0) >= WHITE).numpy().astype(np.uint8)
    regions = cv2.connectedComponents(white, connectivity=4)[1].astype(np.int64)
    return reaching_border(regions)[regions]
