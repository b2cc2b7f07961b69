"""Divide the wrong area of results by cause: no right color given, cutting, wrong part, wrong tone, shade."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from colorize.evaluation.metrics import SAME_COLOR, areas
from colorize.evaluation.samples import Sample
from colorize.evaluation.score import RESAMPLES, Mean
from colorize.images import flat_regions
from colorize.images.color import lab_of, one_hue
from colorize.region_diffusion.pieces import main_colors

CAUSES = {
    "right": "within CIE76 14 of the true color",
    "absent": "no given color is right",
    "cutting": "a given color is right, but not the best one for the whole region",
    "shade": "the right given color, shaded too much",
    "tone": "the right hue in the wrong tone",
    "part": "the color of something else",
}
MOST_REGIONS = 400  # of a drawing
SIZES = ((0.002, "regions below 0.2 %"), (0.02, "regions of 0.2 to 2 %"), (1.01, "regions above 2 %"))
SAME_POSE = 0.75  # overlap of the figures of drawing and reference, from which they count as one pose
SAME_SCALE = 0.6  # ratio of their areas, below which one is a close-up of the other
PAPER = 0.84  # in [-1, 1]; lighter is not the figure
HUE = 0.5  # radians between two colors of one hue


@dataclass(frozen=True)
class Line:
    """The causes of one class of pictures or regions, as shares of its colored area, 0 to 1.

    part: of the colored area of all pictures that it holds.
    """

    name: str
    pictures: int
    part: float
    shares: Mapping[str, Mean]


@torch.inference_mode()
def causes(result: Tensor, sample: Sample) -> dict[str, Tensor]:
    """Return how many pixels of the colored area each cause has, (6,) in the order of `CAUSES`, by class.

    result: (1, 3, S, S) in [-1, 1]. The classes are `all`, one of the region's size for every pixel, and those that the
    whole picture is in: its kind of lines and the pose of its reference. The sample must have a reference.
    """
    assert sample.reference is not None, "a budget needs the colors that were given"
    _, colored, _ = areas(result, sample.truth, sample.drawing if sample.kind == "line" else None)
    colors = main_colors(sample.reference)
    given = lab_of(colors.rgb[0][colors.valid[0]])
    truth, answer = _cells(sample.truth, colored), _cells(result, colored)
    apart = torch.cdist(truth, given)
    walls = sample.drawing if sample.kind == "line" else flat_regions.walls(sample.drawing)
    labels = flat_regions.cut(walls, MOST_REGIONS)[0]
    size = torch.bincount(labels.flatten()).float() / labels.numel()
    region = F.interpolate(labels[None, None].float(), colored.shape, mode="nearest")[0, 0].long()[colored]
    rightness = (apart < SAME_COLOR).float() - apart / 1000
    total = torch.zeros(len(size), len(given)).index_add_(0, region, rightness)
    whole = apart.gather(1, total.argmax(1)[region][:, None])[:, 0]
    chosen = torch.cdist(answer, given).argmin(1)
    cause = torch.full((len(truth),), list(CAUSES).index("part"))
    right = (answer - truth).norm(dim=1) < SAME_COLOR
    for name, there in (
        ("tone", one_hue(given[chosen], truth, HUE)),
        ("shade", apart.gather(1, chosen[:, None])[:, 0] < SAME_COLOR),
        ("cutting", whole >= SAME_COLOR),
        ("absent", apart.amin(1) >= SAME_COLOR),
        ("right", right),
    ):  # the later ones count first
        cause[there] = list(CAUSES).index(name)
    counted = {"all": torch.bincount(cause, minlength=len(CAUSES)).double()}
    for name in _classes(sample):
        counted[name] = counted["all"]
    least = 0.0
    for most, name in SIZES:
        there = (size[region] >= least) & (size[region] < most)
        counted[name], least = torch.bincount(cause[there], minlength=len(CAUSES)).double(), most
    return counted


def _cells(picture: Tensor, where: Tensor) -> Tensor:
    """L*a*b* of the pixels `where`, (n, 3)."""
    return lab_of(picture[0][:, where].T)


def _classes(sample: Sample) -> Iterator[str]:
    """What kind of drawing it is, and how its reference shows the figure."""
    yield f"set {sample.set or '-'}"
    if sample.kind == "line":
        yield "drawn lines" if sample.drawn else "extracted lines"
    if sample.mode != "palette" and sample.reference is not None:
        size = sample.truth.shape[-2:]
        mine, theirs = (
            F.interpolate(one.amin(1, keepdim=True), size, mode="area")[0, 0] < PAPER
            for one in (sample.truth, sample.reference)
        )
        both, either = float((mine & theirs).sum()), float((mine | theirs).sum())
        small, large = sorted((float(mine.sum()), float(theirs.sum())))
        same = both >= SAME_POSE * either
        yield "same pose" if same else "other scale" if small < SAME_SCALE * large else "other pose"


def table(counted: Iterable[Mapping[str, Tensor]]) -> list[Line]:
    """Sum up what `causes` returned for every picture; each picture with a colored area counts the same.

    The intervals are bootstrapped over pictures (Efron 1979).
    """
    found: dict[str, list[Tensor]] = defaultdict(list)
    pictures = 0
    for one in counted:
        area = one["all"].sum()
        pictures += bool(area)
        for name, counts in one.items():
            if bool(counts.sum()):
                found[name].append(counts / area)
    lines = []
    for name in sorted(found, key=_order):
        rows = torch.stack(found[name])  # (n, causes), parts of the pictures' areas
        draws = torch.randint(len(rows), (RESAMPLES, len(rows)), generator=Generator().manual_seed(0))
        sums = rows[draws].sum(1)
        low, high = (sums / sums.sum(1, keepdim=True)).quantile(torch.tensor([0.025, 0.975]).double(), dim=0)
        mean = rows.sum(0) / rows.sum()
        numbers = zip(CAUSES, mean.tolist(), low.tolist(), high.tolist(), strict=True)
        shares = {cause: Mean(*three) for cause, *three in numbers}
        lines.append(Line(name, len(rows), float(rows.sum()) / pictures, shares))
    return lines


def _order(name: str) -> tuple[int, str]:
    """All first, then regions by size, lines and poses, and sets at the end."""
    sizes = [size for _, size in SIZES]
    if name in sizes:
        return 1, str(sizes.index(name))
    return (0, "") if name == "all" else (2 + name.startswith("set "), name)
