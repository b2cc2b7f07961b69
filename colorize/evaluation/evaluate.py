"""Score a way of coloring, one picture after the other, and sum the scores up.

Knows nothing of models, folders or tables: what colors a picture is any function.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from colorize.errors import ColorizeError
from colorize.evaluation import layout, metrics
from colorize.evaluation.samples import Sample

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
    title: str,
    higher: bool,
    digits: int,
    formula: Callable[[Tensor, Tensor], Tensor],
    help: str,
    wide: bool = False,
) -> Metric:
    """Return the metric of a formula on result and truth, (1, 3, S, S) each, that gives (1,)."""
    return Metric(title, higher, digits, lambda r, s: formula(r, s.truth).item(), help, wide)


def _ink(result: Tensor, sample: Sample) -> float | None:
    return metrics.ink_kept(result, sample.drawing).item() if sample.kind == "line" else None


def _leak(result: Tensor, sample: Sample) -> float | None:
    line = sample.kind == "line"
    return layout.leak(result, sample.truth, sample.drawing) if line else None


def _copying(result: Tensor, sample: Sample) -> float | None:
    """Only a reference of another layout can be copied; the warped truth has the right one."""
    if sample.reference is None or sample.mode not in ("cross", "shuffled"):
        return None
    return layout.copying(result, sample.truth, sample.reference).item()


def _line(sample: Sample) -> Tensor | None:
    return sample.drawing if sample.kind == "line" else None


def _used(result: Tensor, sample: Sample) -> float | None:
    return None if sample.reference is None else metrics.colors_used(result, sample.reference)


METRICS: dict[str, Metric] = {
    "psnr": against_truth(
        "PSNR", True, 2, metrics.psnr, "nearness to the truth, pixel by pixel, in dB"
    ),
    "ssim": against_truth("SSIM", True, 3, metrics.ssim, "likeness of structure, at most 1", True),
    "ms_ssim": against_truth(
        "MS-SSIM", True, 3, metrics.ms_ssim, "the same at several scales", True
    ),
    "delta_e": against_truth(
        "ΔE",
        False,
        2,
        metrics.delta_e,
        "visible difference of colors, CIEDE2000; 1 is just visible",
    ),
    "colorfulness_gap": against_truth(
        "Vivid",
        False,
        1,
        metrics.colorfulness_gap,
        "how far colorfulness is off, dull or gaudy",
        True,
    ),
    "palette": against_truth(
        "Palette",
        False,
        3,
        metrics.palette_distance,
        "how far the palette is off, wherever it lies",
        True,
    ),
    "area_right": Metric(
        "Right",
        True,
        3,
        lambda r, s: metrics.area_right(r, s.truth, _line(s)),
        "share of the colored area whose color is right, within CIE76 14",
    ),
    "stain": Metric(
        "Stain",
        False,
        3,
        lambda r, s: metrics.stain(r, s.truth, _line(s)),
        "share of the white paper that took color",
    ),
    "colors_used": Metric(
        "Used", True, 2, _used, "share of the given main colors that the picture has"
    ),
    "hues": Metric(
        "Hues",
        True,
        2,
        lambda r, s: metrics.hues(r, s.truth),
        "number of main colors beside the truth's; 1 is ideal",
    ),
    "ink_kept": Metric("Ink", True, 3, _ink, "share of the dark ink that stayed as dark"),
    "leak": Metric(
        "Leak", False, 3, _leak, "share of paper beside lines that took color from across the line"
    ),
    "copying": Metric(
        "Copy", False, 3, _copying, "how far colors lie where the reference has them; 0 is ideal"
    ),
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
    colorize: Callable[[Sample], Tensor],
    samples: Iterable[Sample],
    scores: Mapping[str, Metric] = METRICS,
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
