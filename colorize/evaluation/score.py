"""Score pictures one by one, and sum the scores of a model or baseline up."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

import torch
from torch import Generator, Tensor

from colorize.errors import ColorizeError
from colorize.evaluation.metrics import METRICS
from colorize.evaluation.samples import Protocol, Sample

RESAMPLES = 1000  # bootstrap draws behind an interval; 25 of them lie beyond each end


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


@dataclass(frozen=True)
class Entry:
    """The scores of one model or baseline under one protocol. extra: scores of the whole folder, such as FID."""

    name: str
    protocol: Protocol
    rows: tuple[Row, ...]
    extra: Mapping[str, float]

    @cached_property
    def summary(self) -> Summary:
        """The means, see `summary`."""
        return summary(self.rows)

    @cached_property
    def means(self) -> dict[str, Mean]:
        """The mean of every metric in the order of `METRICS`; a score of the whole folder has no interval."""
        found = {**self.summary.scores, **{name: Mean(value, value, value) for name, value in self.extra.items()}}
        return {name: found[name] for name in METRICS if name in found}


def score(paint: Callable[[Sample], Tensor], sample: Sample, perceptual: bool = False) -> tuple[Row, Tensor]:
    """Color one picture, and return its scores and the result, (1, 3, S, S) in [-1, 1] on the CPU.

    paint: returns (1, 3, S, S) in [-1, 1] on any device; only its time counts. perceptual: score by
    pretrained networks, too. Raises ColorizeError if the result has values that are not numbers.
    """
    start = time.perf_counter()
    with torch.inference_mode():
        result = paint(sample).float().cpu().clamp(-1, 1)
    seconds = time.perf_counter() - start
    assert result.shape == sample.truth.shape, f"{result.shape} for {sample.truth.shape}"
    if not bool(result.isfinite().all()):
        hint = "the weights may be damaged, or half precision too coarse for this model"
        raise ColorizeError(f"the result for `{sample.file}` has values that are not numbers", hint)
    found = {
        name: metric.score(result, sample)
        for name, metric in METRICS.items()
        if metric.score and (perceptual or not metric.perceptual)
    }
    return Row(sample.file, sample.set, {n: value for n, value in found.items() if value is not None}, seconds), result


def summary(rows: Iterable[Row]) -> Summary:
    """Return means over pictures, with 95 % intervals from 1000 bootstrap draws, and per set.

    Raises ColorizeError if there is no row.
    """
    rows = list(rows)
    if not rows:
        raise ColorizeError("no picture was scored", "choose a folder with at least one picture")
    sets: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.set):
        sets[row.set].append(row)
    parts = {
        name: Part(len(some), {metric: values.mean().item() for metric, values in _columns(some).items()})
        for name, some in sets.items()
    }
    means = {}
    for name, values in _columns(rows).items():  # quantiles of resampled means, Efron 1979
        draws = torch.randint(len(values), (RESAMPLES, len(values)), generator=Generator().manual_seed(0))
        ends = torch.tensor([0.025, 0.975], dtype=torch.float64)
        low, high = values[draws].mean(dim=1).quantile(ends).tolist()
        means[name] = Mean(values.mean().item(), low, high)
    return Summary(len(rows), sum(row.seconds for row in rows) / len(rows), means, parts)


def _columns(rows: list[Row]) -> dict[str, Tensor]:
    """Collect the values of every metric, in float64, from the rows that have it."""
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        for name, value in row.scores.items():
            found[name].append(value)
    return {name: torch.tensor(values, dtype=torch.float64) for name, values in found.items()}


def one_protocol(entries: Sequence[Entry], ignored: str = "") -> Protocol:
    """Return the protocol all entries share, except for the `ignored` field of it.

    Raises ColorizeError if there are several, or none.
    """
    if not entries:
        raise ColorizeError("there are no scores to show", "evaluate at least one model")
    first = entries[0]
    for other in entries[1:]:
        mine, theirs = asdict(first.protocol), asdict(other.protocol)
        apart = [key for key in mine if mine[key] != theirs[key] and key != ignored]
        if apart:
            raise ColorizeError(
                f"`{first.name}` and `{other.name}` were scored under different protocols: "
                + ", ".join(f"{key} {mine[key]} against {theirs[key]}" for key in apart),
                "evaluate both on the same folder with the same mode, size, kind and seed",
            )
    return first.protocol
