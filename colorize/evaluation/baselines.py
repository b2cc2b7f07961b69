"""Color pictures without having learned anything: what every model must beat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from colorize.errors import ColorizeError, nearest
from colorize.evaluation.metrics import SAME_COLOR
from colorize.evaluation.regions import Labels, connected, enclosed, frame, open_to_border, white_around
from colorize.evaluation.samples import MODES, Sample
from colorize.images import color, flat_regions, under_ink
from colorize.images.color import lab_of
from colorize.images.flat_regions import nearest_region
from colorize.region_diffusion.pieces import geometry, main_colors, parts

INK = -0.7  # in [-1, 1]; luma below which a reference's pixel is ink, which has no color of its own
BINS = 16  # luma steps of the gray statistics
NEARNESS = 4  # power of the distance by which a hint loses weight; 2 is Shepard's, more is sharper
MOST_REGIONS = 400  # of a drawing
DARK = 22.0  # L*; darker parts of a reference are ink, and no color of a region
DRAWN = 0.5  # in [-1, 1]; something darker belongs to the figure of a drawing
FIGURE = 0.9  # the same for references
GEOMETRY_WEIGHTS = ((2, 1.0), (3, 0.35), (6, 0.75), (8, 1.0))  # column of `geometry`, and its weight
PICTURES = ("same", "flip", "cross", "shuffled")  # modes with a picture as reference
REFERENCES = (*PICTURES, "palette")


def gray(sample: Sample) -> Tensor:
    """Leave the drawing as it is: (1, 3, S, S)."""
    return sample.drawing.expand(-1, 3, -1, -1)


def reference_statistics(sample: Sample) -> Tensor:
    """Use the reference's colors, but not where they are: (1, 3, S, S).

    Line art: the mean color of the reference's figure fills the drawn figure, and paper around it stays white if the
    reference has white around its own, or is a palette, which has no paper. Gray: every gray takes the mean chroma that
    grays of its luma have in the reference (Welsh 2002 without texture) and keeps its luma.
    """
    reference = _required(sample.reference, "reference")
    if sample.kind == "gray":
        luma = color.luminance(reference)
        chroma, steps = (reference - luma)[0].flatten(1), torch.linspace(-1, 1, BINS)  # (3, N), (BINS,)
        weight = torch.exp(-(((luma.flatten()[None] - steps[:, None]) / (2 / (BINS - 1))) ** 2) / 2)
        overall = chroma.mean(dim=1)  # as one more pixel in every bin, so that empty ones have a value
        table = (weight @ chroma.T + overall) / (weight.sum(dim=1, keepdim=True) + 1)  # (BINS, 3)
        found = np.stack([np.interp(sample.drawing[0, 0].numpy(), steps.numpy(), one) for one in table.T.numpy()])
        return _with_luma(sample.drawing, torch.from_numpy(found).float()[None])
    around = white_around(reference)
    figure = ~around & (color.luminance(reference)[0, 0].numpy() >= INK)
    pixels = reference[0][:, torch.from_numpy(figure)]  # (3, N)
    flat = pixels.mean(dim=1) if figure.any() else torch.ones(3)
    under = flat.view(1, 3, 1, 1).repeat(1, 1, *sample.drawing.shape[-2:])
    if sample.mode == "palette" or frame(around).mean() > 0.5:
        under[..., torch.from_numpy(open_to_border(enclosed(sample.drawing)))] = 1.0
    return _under_ink(under, sample.drawing)


def reference_copy(sample: Sample) -> Tensor:
    """Lay the reference, blurred and without its ink, under the drawing: (1, 3, S, S)."""
    under = _required(sample.reference, "reference")
    if sample.kind == "line":
        under = under_ink.fill(under, torch.where(color.luminance(under) < INK, -1.0, 1.0))
    sigma = under.shape[-1] / 64
    window = 2 * max(1, round(3 * sigma)) + 1
    pixels = under[0].permute(1, 2, 0).contiguous().numpy()
    blurred = cv2.GaussianBlur(pixels, (window, window), sigma, borderType=cv2.BORDER_REPLICATE)
    under = torch.from_numpy(blurred).permute(2, 0, 1)[None]
    if sample.kind == "gray":
        return _with_luma(sample.drawing, under - color.luminance(under))
    return _under_ink(under, sample.drawing)


def nearest_hint(sample: Sample) -> Tensor:
    """Color everything by the hints near it: (1, 3, S, S).

    Line art: a region of paper enclosed by ink takes the colors of the hints inside, each pixel
    by their nearness; a region without hints takes the nearest one, but stays white if it is open
    to the border. Gray: nearness counts in place and in luma together, and luma is kept.
    """
    hints = _required(sample.hints, "hints")
    hinted = hints[0, 3].numpy() > 0
    dots = connected(hinted)
    if sample.kind == "gray":
        chroma = hints[:, :3] - color.luminance(hints[:, :3])
        return _with_luma(sample.drawing, _spread_over_grays(sample.drawing, chroma, dots))
    areas = enclosed(sample.drawing)
    on_paper = np.bincount(dots.ravel(), (areas > 0).ravel(), minlength=dots.max() + 1)
    sure = hinted & (on_paper / np.bincount(dots.ravel()) > 0.5)[dots] & (areas > 0)
    sure = sure if sure.any() else hinted
    if not sure.any():
        return gray(sample)
    under = _fill(areas, np.where(sure, dots, 0), hints[0, :3].permute(1, 2, 0).numpy())
    return _under_ink(torch.from_numpy(under).permute(2, 0, 1)[None], sample.drawing)


def region_matcher(sample: Sample) -> Tensor:
    """Give each region the color of the part of the reference that is nearest in place and size: (1, 3, S, S)."""
    if sample.kind == "gray":
        return reference_statistics(sample)
    drawing, reference = sample.drawing, _required(sample.reference, "reference")
    labels = flat_regions.cut(drawing, MOST_REGIONS)
    dark = -F.max_pool2d(-drawing, 2, ceil_mode=True)[:, 0] < DRAWN
    colors = main_colors(reference)
    pieces, owner = parts(colors)
    figure = F.interpolate(reference.amin(1, keepdim=True), pieces.shape[-2:])[:, 0] < FIGURE
    usable = (owner[0] >= 0) & (lab_of(colors.rgb)[0, :, 0] >= DARK)[owner[0].clamp(min=0)]
    if not bool(usable.any()):
        return gray(sample)
    here, there = (
        torch.stack([numbers[:, at] * weight for at, weight in GEOMETRY_WEIGHTS], 1)
        for numbers in (geometry(labels, int(labels.max()) + 1, dark)[0], geometry(pieces, owner.shape[1], figure)[0])
    )
    chosen = owner[0][torch.cdist(here, there).masked_fill(~usable[None], torch.inf).argmin(1)]
    return _under_ink(_upscaled(colors.rgb[0][chosen][labels[0]], drawing), drawing)


def oracle(sample: Sample, whole: bool) -> Tensor:
    """Give each region, or each cell, the reference's color that is most right: what choosing can reach, (1, 3, S, S).

    whole: one color for each region instead of each cell.
    """
    drawing, reference = sample.drawing, _required(sample.reference, "reference")
    if sample.kind == "gray":
        return gray(sample)
    labels, colors = flat_regions.cut(drawing, MOST_REGIONS)[0], main_colors(reference)
    truth = F.interpolate(under_ink.fill(sample.truth, drawing), labels.shape, mode="area")
    rgb = colors.rgb[0][colors.valid[0]]
    apart = torch.cdist(lab_of(truth[0].flatten(1).T), lab_of(rgb))
    if whole:
        rightness = (apart < SAME_COLOR).float() - apart / 1000
        total = torch.zeros(int(labels.max()) + 1, len(rgb)).index_add_(0, labels.flatten(), rightness)
        chosen = total.argmax(1)[labels]
    else:
        chosen = apart.argmin(1).view(labels.shape)
    return _under_ink(_upscaled(rgb[chosen], drawing), drawing)


@dataclass(frozen=True)
class Baseline:
    """A way of coloring, and the modes that give what it needs."""

    name: str
    modes: tuple[str, ...]
    paint: Callable[[Sample], Tensor]
    oracle: bool = False  # knows the truth, and is compared with only on demand


BASELINES: dict[str, Baseline] = {
    baseline.name: baseline
    for baseline in (
        Baseline("gray", tuple(MODES), gray),
        Baseline("reference-statistics", REFERENCES, reference_statistics),
        Baseline("reference-copy", PICTURES, reference_copy),
        Baseline("region-matcher", PICTURES, region_matcher),
        Baseline("oracle-regions", REFERENCES, partial(oracle, whole=True), oracle=True),
        Baseline("oracle-cells", REFERENCES, partial(oracle, whole=False), oracle=True),
        Baseline("nearest-hint", ("hints", "stored"), nearest_hint),
    )
}


def find(names: Sequence[str], modes: Sequence[str]) -> list[Baseline]:
    """Return the baselines of these names, `all` and `none` among them, that a mode can use.

    `all` leaves out those that know the truth. Raises ColorizeError (wrong usage) for an unknown name
    and for one that can color none of the modes.
    """
    if "none" in names:
        return []
    if "all" in names:
        return [one for one in BASELINES.values() if set(one.modes) & set(modes) and not one.oracle]
    for name in names:
        if name not in BASELINES:
            raise ColorizeError(f"unknown baseline `{name}`", nearest(name, BASELINES), code=2)
        if not set(BASELINES[name].modes) & set(modes):
            hint = "add --mode " + " or ".join(BASELINES[name].modes)
            raise ColorizeError(f"`{name}` works with none of these modes", hint, code=2)
    return [BASELINES[name] for name in names]


def _required(tensor: Tensor | None, name: str) -> Tensor:
    if tensor is None:
        hint = "compare with the baseline gray, or choose another mode"
        raise ColorizeError(f"this baseline needs `{name}`, which the mode does not give", hint, code=2)
    return tensor


def _under_ink(under: Tensor, drawing: Tensor) -> Tensor:
    """Multiply a gray drawing over color, so that ink can only get darker; all in [-1, 1]."""
    return (drawing + 1) / 2 * (under + 1) - 1


def _upscaled(field: Tensor, drawing: Tensor) -> Tensor:
    """Enlarge colors (h, w, 3) to the size of the drawing: (1, 3, S, S)."""
    return F.interpolate(field.permute(2, 0, 1)[None], drawing.shape[-2:], mode="nearest")


def _with_luma(luma: Tensor, chroma: Tensor) -> Tensor:
    """Add chroma (1, 3, S, S), whose own luma is 0, to a gray; drawn to gray until it fits sRGB."""
    room = torch.where(chroma > 0, 1 - luma, 1 + luma) / chroma.abs().clamp_min(1e-6)
    return luma + chroma * room.amin(dim=1, keepdim=True).clamp_max(1)


def _spread_over_grays(drawing: Tensor, values: Tensor, dots: Labels) -> Tensor:
    """Mix the values (1, 3, S, S) of numbered dots for every pixel by nearness in place and luma together."""
    numbers = torch.from_numpy(dots).flatten()
    count = torch.bincount(numbers)[1:, None]
    if len(count) == 0:
        return torch.zeros_like(values)
    height, width = drawing.shape[-2:]
    down, right = torch.meshgrid(torch.arange(height) / height, torch.arange(width) / width, indexing="ij")
    places = torch.stack((down, right, drawing[0, 0])).flatten(1).T  # luma counts twice the side
    both = torch.cat((places, values[0].flatten(1).T), 1)
    means = torch.zeros(len(count) + 1, 6).index_add_(0, numbers, both)[1:] / count
    weight = (torch.cdist(places, means[:, :3]) ** 2 + 1e-5) ** (-NEARNESS / 2)
    mixed = weight @ means[:, 3:] / weight.sum(dim=1, keepdim=True)
    return mixed.T.reshape(1, 3, height, width)


def _fill(areas: Labels, dots: Labels, rgb: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Spread the colors of the dots over the regions they lie in, (S, S, 3)."""
    under = rgb.reshape(-1, 3)[nearest_region(dots > 0)]
    under[open_to_border(areas)] = 1.0
    for area in np.unique(areas[dots > 0]):
        here = areas == area
        inside = [here & (dots == number) for number in np.unique(dots[here & (dots > 0)])]
        centers = np.stack([np.argwhere(dot).mean(0) for dot in inside])
        colors = np.stack([rgb[dot].mean(0) for dot in inside])
        apart = ((np.argwhere(here)[:, None] - centers) ** 2).sum(2) + 4.0  # 2 px: inside a dot
        weight = apart ** (-NEARNESS / 2)
        under[here] = (weight @ colors) / weight.sum(axis=1, keepdims=True)
    return under
