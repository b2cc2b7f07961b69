"""Score a way of coloring, one picture after the other, and sum the scores up.

Knows nothing of models, folders or tables: what colors a picture is any function.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from colorize.errors import ColorizeError
from colorize.evaluation import baselines, metrics
from colorize.evaluation.baselines import Labels, Mask
from colorize.evaluation.samples import Sample
from colorize.images import color
from colorize.images.flat_regions import nearest_region

RESAMPLES = 1000  # bootstrap draws behind an interval; 25 of them lie beyond each end


@dataclass(frozen=True)
class Metric:
    """One column of a table: `score(result, sample)` per picture, None where it does not apply."""

    title: str
    higher: bool  # whether more is better
    digits: int  # after the point, in tables
    score: Callable[[Tensor, Sample], float | None]
    help: str  # what it measures, in words for the reader of a report
    wide: bool = False  # shown on pages only: a terminal has room for the others


def against_truth(
    title: str, higher: bool, digits: int, formula: Callable[[Tensor, Tensor], Tensor], help: str, wide: bool = False
) -> Metric:
    """Return the metric of a formula on result and truth, (1, 3, S, S) each, that gives (1,)."""
    return Metric(title, higher, digits, lambda r, s: formula(r, s.truth).item(), help, wide)


def _ink(result: Tensor, sample: Sample) -> float | None:
    return metrics.ink_kept(result, sample.drawing).item() if sample.kind == "line" else None


def _leak(result: Tensor, sample: Sample) -> float | None:
    line = sample.kind == "line"
    return leak(result, sample.truth, sample.drawing) if line else None


def _copying(result: Tensor, sample: Sample) -> float | None:
    """Only a reference of another layout can be copied; the warped truth has the right one."""
    if sample.reference is None or sample.mode not in ("cross", "shuffled"):
        return None
    return copying(result, sample.truth, sample.reference).item()


def _line(sample: Sample) -> Tensor | None:
    return sample.drawing if sample.kind == "line" else None


def _used(result: Tensor, sample: Sample) -> float | None:
    return None if sample.reference is None else metrics.colors_used(result, sample.reference)


METRICS: dict[str, Metric] = {
    "psnr": against_truth("PSNR", True, 2, metrics.psnr, "nearness to the truth, pixel by pixel, in dB"),
    "ssim": against_truth("SSIM", True, 3, metrics.ssim, "likeness of structure, at most 1", True),
    "ms_ssim": against_truth("MS-SSIM", True, 3, metrics.ms_ssim, "the same at several scales", True),
    "delta_e": against_truth(
        "ΔE", False, 2, metrics.delta_e, "visible difference of colors, CIEDE2000; 1 is just visible"
    ),
    "colorfulness_gap": against_truth(
        "Vivid", False, 1, metrics.colorfulness_gap, "how far colorfulness is off, dull or gaudy", True
    ),
    "palette": against_truth(
        "Palette", False, 3, metrics.palette_distance, "how far the palette is off, wherever it lies", True
    ),
    "area_right": Metric(
        "Right",
        True,
        3,
        lambda r, s: metrics.area_right(r, s.truth, _line(s)),
        "share of the colored area whose color is right, within CIE76 14",
    ),
    "stain": Metric(
        "Stain", False, 3, lambda r, s: metrics.stain(r, s.truth, _line(s)), "share of the white paper that took color"
    ),
    "colors_used": Metric("Used", True, 2, _used, "share of the given main colors that the picture has"),
    "hues": Metric(
        "Hues", True, 2, lambda r, s: metrics.hues(r, s.truth), "number of main colors beside the truth's; 1 is ideal"
    ),
    "ink_kept": Metric("Ink", True, 3, _ink, "share of the dark ink that stayed as dark"),
    "leak": Metric("Leak", False, 3, _leak, "share of paper beside lines that took color from across the line"),
    "copying": Metric("Copy", False, 3, _copying, "how far colors lie where the reference has them; 0 is ideal"),
}


@dataclass(frozen=True)
class Row:
    """The scores of one picture, by metric, and the seconds it took to color."""

    file: str
    set: str
    scores: Mapping[str, float]
    seconds: float


@dataclass(frozen=True)
class Mean:
    """A mean over pictures, and the ends of its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Part:
    """The plain means of one set of pictures."""

    pictures: int
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Summary:
    """Means over all pictures with their intervals, and per set; seconds are per picture."""

    pictures: int
    seconds: float
    scores: Mapping[str, Mean]
    sets: Mapping[str, Part]


def evaluate(
    colorize: Callable[[Sample], Tensor], samples: Iterable[Sample], scores: Mapping[str, Metric] = METRICS
) -> Iterator[Row]:
    """Color one picture after the other and yield its scores; the time of scoring does not count.

    colorize: returns (1, 3, S, S) in [-1, 1] on any device. To keep the pictures, wrap it.

    Raises ColorizeError if a result holds values that are not numbers.
    """
    for sample in samples:
        start = time.perf_counter()
        with torch.inference_mode():
            result = colorize(sample).float().cpu().clamp(-1, 1)
        seconds = time.perf_counter() - start
        assert result.shape == sample.truth.shape, f"{result.shape} for {sample.truth.shape}"
        if not bool(result.isfinite().all()):
            raise ColorizeError(
                f"the result for `{sample.file}` holds values that are not numbers",
                "the weights may be damaged, or half precision too coarse for this model",
            )
        found = {name: metric.score(result, sample) for name, metric in scores.items()}
        values = {name: value for name, value in found.items() if value is not None}
        yield Row(sample.file, sample.set, values, seconds)


def summary(rows: Iterable[Row], seed: int = 0) -> Summary:
    """Return means over pictures, with 95 % intervals from 1000 bootstrap draws, and per set.

    Raises ColorizeError if there is no row.
    """
    rows = list(rows)
    if not rows:
        raise ColorizeError("no picture was scored", "give a folder with at least one picture")
    sets: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.set):
        sets[row.set].append(row)
    return Summary(
        pictures=len(rows),
        seconds=sum(row.seconds for row in rows) / len(rows),
        scores={name: _interval(values, seed) for name, values in _columns(rows).items()},
        sets={name: Part(len(some), _means(some)) for name, some in sets.items()},
    )


def _columns(rows: list[Row]) -> dict[str, Tensor]:
    """Collect the values of every metric, in float64, from the rows that have it."""
    names = dict.fromkeys(name for row in rows for name in row.scores)
    found = {name: [row.scores[name] for row in rows if name in row.scores] for name in names}
    return {name: torch.tensor(values, dtype=torch.float64) for name, values in found.items()}


def _means(rows: list[Row]) -> dict[str, float]:
    return {name: values.mean().item() for name, values in _columns(rows).items()}


def _interval(values: Tensor, seed: int) -> Mean:
    """Return the mean of (N,) and the 2.5 % and 97.5 % quantiles of resampled means. Efron 1979."""
    rng = Generator().manual_seed(seed)
    draws = torch.randint(len(values), (RESAMPLES, len(values)), generator=rng)
    ends = torch.tensor([0.025, 0.975], dtype=torch.float64)
    low, high = values[draws].mean(dim=1).quantile(ends).tolist()
    return Mean(values.mean().item(), low, high)


CELLS = 16  # places a side at which layouts are compared; finer is texture, not layout
FAINT = 1.0  # ab units; a map that varies less (root mean square) has no layout, it is gray
ROUNDING = 1e-6  # a score nearer to 0 is 0
NEAR = 4 / 256  # of the side; paper that far from a line still counts as beside it,
TOUCHING = 1.5  # as do the pixels next to it, of however small a picture
THICK = 12 / 256  # of the side; a line wider than this parts its regions too well to be judged
APART = 15.0  # ab units; regions whose colors are nearer than this cannot leak visibly
# Of the way from the own color to that across the line. Blur goes halfway at most, at a straight
# line, so the nearer of both colors would forgive it.
LEAKED = 1 / 3
SMALL = 32 / 256**2  # of the pixels; a smaller region has no color of its own
FEWEST = 64 / 256**2  # of the pixels; from fewer beside lines no share is worth telling


def copying(result: Tensor, truth: Tensor, reference: Tensor) -> Tensor:
    """Return how far colors lie where the reference has them, not where the lines want them.

    result, truth: (B, 3, H, W), reference: (B, 3, h, w), all in [-1, 1]. Returns (B,) in [-1, 1];
    lower is better, below 0 is chance. Let o, t, r be the pictures averaged over 16 x 16 places,
    means removed: ab of o and r, Lab of t. r' is r less its least-squares fit by t, so a layout
    that truth and reference share, such as a figure on paper, is gone. The score is
    <o, r'> / (|o| |r|): the correlation of result and reference less the part that the true layout
    explains, a semipartial correlation times |r'| / |r|. The truth scores 0, nearly so in other
    hues, and gray 0; the reference itself scores 1 - R^2 of that fit.
    """
    o, t, r = (_places(picture) for picture in (result, truth, reference))  # (B, N, 3)
    o, r = o[..., 1:], r[..., 1:]
    basis, sizes, _ = torch.linalg.svd(t, full_matrices=False)
    basis = basis * (sizes > 1e-3 * FAINT * CELLS)[:, None]  # rounding is no layout
    rest = r - basis @ (basis.mT @ r)
    floor = FAINT * CELLS  # the norm of a map with a root mean square of FAINT
    size_o, size_r = (part.flatten(1).norm(dim=1).clamp_min(floor) for part in (o, r))
    together: Tensor = (o * rest).sum(dim=(1, 2))
    score = together.div(size_o * size_r).float()
    return torch.where(score.abs() < ROUNDING, 0.0, score)


def leak(result: Tensor, truth: Tensor, drawing: Tensor) -> float | None:
    """Return the share of paper beside lines that has a color from the region across the line.

    result, truth: (1, 3, H, W), drawing: (1, 1, H, W), line art, all in [-1, 1]. Returns 0 to 1,
    lower is better; None if too few places can be judged. Let m and n be the median Lab chroma ab
    of a pixel's own region (`regions.enclosed`) and of the one across the nearest line, in the
    result. A pixel of chroma c leaks if <c - m, n - m> > |n - m|^2 / 3: it has gone a third of the
    way. Judged is paper that touches ink or lies within 4/256 of the side from it, where |n - m| is
    15 or more, unless the truth leaks there, too: lines that part no colors are no fault of the
    result. Chroma alone, since ink darkens the paper beside it. Flat regions score 0, and so does the truth.
    """
    beside = _beside_lines(drawing)
    wrong, judged = _strayed(result, beside)
    judged &= ~_strayed(truth, beside)[0]
    if judged.sum() < max(1, FEWEST * drawing[0, 0].numel()):
        return None
    return float((wrong & judged).sum() / judged.sum())


@dataclass(frozen=True)
class _Beside:
    """Paper beside lines between two regions: flat indices, own and other region, (N,) each."""

    areas: Labels  # (S, S), 0 is ink
    at: Labels
    own: Labels
    across: Labels


def _places(picture: Tensor) -> Tensor:
    """Return the Lab of 16 x 16 places, their mean removed, in float64: (B, 256, 3)."""
    small = F.adaptive_avg_pool2d(picture.detach().cpu().double().clamp(-1, 1), (CELLS, CELLS))
    maps = color.rgb_to_lab(small).flatten(2).mT
    return maps - maps.mean(dim=1, keepdim=True)


def _beside_lines(drawing: Tensor) -> _Beside:
    areas = baselines.enclosed(drawing)
    ink, none = areas == 0, np.zeros(0, np.int64)
    if ink.all() or not ink.any():
        return _Beside(areas, none, none, none)
    side = max(areas.shape)
    cells: Labels = areas.ravel()[nearest_region(~ink)]  # ink belongs to the nearest region
    border, beyond = _borders(cells, ink)
    if not border.any():
        return _Beside(areas, none, none, none)
    middle = nearest_region(border).ravel()  # where two regions meet inside the nearest line
    own, met = areas.ravel(), cells.ravel()[middle]
    across = np.where(met == own, beyond.ravel()[middle], met)
    near = max(TOUCHING, NEAR * side)
    beside = (_apart(nearest_region(ink)) <= near) & (own > 0) & (across != own)
    beside &= _apart(middle.reshape(areas.shape)) <= near + THICK / 2 * side
    at: Labels = np.flatnonzero(beside)
    return _Beside(areas, at, own[at], across[at])


def _borders(cells: Labels, ink: Mask) -> tuple[Mask, Labels]:
    """Find where cells meet inside the ink, and for each such pixel the number beyond, (S, S)."""
    border, beyond = np.zeros(cells.shape, bool), np.zeros_like(cells)
    low, high = slice(None, -1), slice(1, None)
    for here, there in ((low, high), (high, low)):
        for turn in (lambda part: (slice(None), part), lambda part: (part, slice(None))):
            one, other = turn(here), turn(there)
            meets = (cells[one] != cells[other]) & ink[one]
            border[one] |= meets
            beyond[one] = np.where(meets, cells[other], beyond[one])
    return border, beyond


def _apart(places: Labels) -> npt.NDArray[np.float64]:
    """Return how many pixels each pixel lies from the one of this flat index: (S, S) to (S * S,)."""
    own, there = np.arange(places.size), places.ravel()
    width = places.shape[1]
    down, right = own // width - there // width, own % width - there % width
    apart: npt.NDArray[np.float64] = np.sqrt(np.float64(down * down + right * right))
    return apart


def _strayed(picture: Tensor, beside: _Beside) -> tuple[Mask, Mask]:
    """Tell which places have the color across, and which have two colors to choose from, (N,)."""
    lab = color.rgb_to_lab(picture.detach().cpu().float().clamp(-1, 1))
    ab = lab[0, 1:].flatten(1).T.numpy()  # (S * S, 2)
    usual = _medians(ab, beside)
    own, across, here = usual[beside.own], usual[beside.across], ab[beside.at]
    apart = np.linalg.norm(own - across, axis=1)
    way = ((here - own) * (across - own)).sum(axis=1)
    # Regions too small for a color of their own are nan, and no comparison with nan is true.
    return way > LEAKED * apart**2, apart >= APART


def _medians(ab: npt.NDArray[np.float32], beside: _Beside) -> npt.NDArray[np.float32]:
    """Return the median chroma of every region beside a line by its number, nan if it is small."""
    labels = beside.areas.ravel()
    order = np.argsort(labels, kind="stable")
    counts = np.bincount(labels)
    ends = counts.cumsum()
    medians = np.full((len(counts), 2), np.nan, np.float32)
    for number in np.unique(np.concatenate([beside.own, beside.across])):
        if counts[number] >= SMALL * labels.size:
            inside = order[ends[number] - counts[number] : ends[number]]
            medians[number] = np.median(ab[inside], axis=0)
    return medians
