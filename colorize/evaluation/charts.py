"""Lay out charts of scores in pixels; `report.html.jinja` draws them as SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from colorize.evaluation.metrics import METRICS, Metric
from colorize.evaluation.score import Entry, Mean, one_protocol

ROW = 22  # pixels per line of a dot chart
WIDTH, NAMES, VALUES = 340, 128, 46  # pixels: a dot chart, its names at the left, values at the right
LONGEST = 21  # letters of a name
CURVE_WIDTH, CURVE_HEIGHT = 560, 300  # pixels of a line chart
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 12, 40  # pixels around the plot of a line chart
SHARES = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05)  # of the pixels, about evenly on a log axis
CURVES = ("psnr", "delta_e")  # metrics that are worth a curve


@dataclass(frozen=True)
class Chart:
    """A picture of lines, texts and marks, all in pixels from the top left.

    label: for screen readers. lines: style, x1, y1, x2, y2. texts: style, x, y, anchor, text. marks:
    style number, x, y. polylines: style number, points.
    """

    kind: str
    metric: Metric
    label: str
    width: int
    height: int
    lines: list[tuple[str, float, float, float, float]] = field(default_factory=list)
    texts: list[tuple[str, float, float, str, str]] = field(default_factory=list)
    marks: list[tuple[int, float, float]] = field(default_factory=list)
    polylines: list[tuple[int, list[tuple[float, float]]]] = field(default_factory=list)


def dots(name: str, values: Mapping[str, Mean], styles: Mapping[str, int]) -> Chart:
    """Return a chart of one metric with one line per model: its mean as a mark, its 95 % interval as a bar.

    values: scores by model, from top to bottom. styles: a number per model, for color and mark.
    """
    metric = METRICS[name]
    marks = ticks(min(mean.low for mean in values.values()), max(mean.high for mean in values.values()), 3)
    left, right, bottom = NAMES + 8, WIDTH - VALUES - 12, ROW * len(values) + 4

    def x(value: float) -> float:
        return left + (right - left) * (value - marks[0]) / (marks[-1] - marks[0])

    label = f"{metric.title} of {len(values)} ways of coloring, with intervals"
    chart = Chart("dots", metric, label, WIDTH, bottom + 18)
    for tick in marks:
        chart.lines.append(("grid", x(tick), 2, x(tick), bottom))
        chart.texts.append(("tick", x(tick), bottom + 13, "middle", f"{tick:g}"))
    for at, (model, mean) in enumerate(values.items()):
        y = ROW * (at + 0.5) + 2
        short = model if len(model) <= LONGEST else model[: LONGEST - 1] + "…"
        chart.texts.append(("name", NAMES, y + 4, "end", short))
        chart.texts.append(("value", WIDTH, y + 4, "end", f"{mean.mean:.{metric.digits}f}"))
        chart.lines.append((f"w{styles[model]}", x(mean.low), y, x(mean.high), y))
        chart.marks.append((styles[model], x(mean.mean), y))
    return chart


def curves(name: str, models: Mapping[str, Mapping[float, Mean]], styles: Mapping[str, int]) -> Chart:
    """Return a chart of one metric against the share of hints, which is on a logarithmic axis.

    models: see `by_share`; bars are 95 % intervals. styles: see `dots`.
    """
    means = [mean for points in models.values() for mean in points.values()]
    shares = sorted({share for points in models.values() for share in points})
    marks = ticks(min(mean.low for mean in means), max(mean.high for mean in means), 5)

    def x(share: float) -> float:
        span = math.log(shares[-1] / shares[0]) or 1.0
        return LEFT + 16 + (CURVE_WIDTH - LEFT - RIGHT - 32) * math.log(share / shares[0]) / span

    def y(value: float) -> float:
        return CURVE_HEIGHT - BOTTOM - (CURVE_HEIGHT - TOP - BOTTOM) * (value - marks[0]) / (marks[-1] - marks[0])

    metric = METRICS[name]
    chart = Chart("curve", metric, f"{metric.title} by share of hints", CURVE_WIDTH, CURVE_HEIGHT)
    for tick in marks:
        chart.lines.append(("grid", LEFT, y(tick), CURVE_WIDTH - RIGHT, y(tick)))
        chart.texts.append(("tick", LEFT - 6, y(tick) + 4, "end", f"{tick:g}"))
    for share in shares:
        chart.texts.append(("tick", x(share), CURVE_HEIGHT - BOTTOM + 16, "middle", f"{share * 100:g}"))
    chart.texts.append(("name", (LEFT + CURVE_WIDTH - RIGHT) / 2, CURVE_HEIGHT - 6, "middle", "hinted pixels, %"))
    for at, (model, points) in enumerate(models.items()):
        aside = 5.0 * (at - (len(models) - 1) / 2)  # bars side by side
        places = [(x(share) + aside, y(mean.mean)) for share, mean in points.items()]
        chart.polylines.append((styles[model], places))
        for (across, height), mean in zip(places, points.values(), strict=True):
            chart.lines.append((f"w{styles[model]}", across, y(mean.low), across, y(mean.high)))
            chart.marks.append((styles[model], across, height))
    return chart


def ticks(low: float, high: float, count: int) -> list[float]:
    """Return about `count` round numbers, 1, 2 or 5 times a power of ten apart, around a range."""
    if high - low < 1e-9 * max(1.0, abs(high)):
        low, high = low - max(1e-3, abs(low) / 20), high + max(1e-3, abs(high) / 20)
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= rough * 0.999)
    first, last = math.floor(low / step + 1e-6), math.ceil(high / step - 1e-6)
    return [round(step * number, 10) for number in range(first, last + 1)]


def by_share(tables: Sequence[Sequence[Entry]], metric: str) -> dict[str, dict[float, Mean]]:
    """Return the scores of every model by rising share of hints, 0 to 1; nothing for fewer than two shares.

    tables: of any modes; only those of hints count. Raises ColorizeError if these differ in more
    than their share, since no curve goes through scores of different pictures.
    """
    hinted = [entry for entries in tables for entry in entries if entry.protocol.hint_share > 0]
    if len({entry.protocol.hint_share for entry in hinted}) < 2:
        return {}
    one_protocol(hinted, ignored="hint_share")
    found: dict[str, dict[float, Mean]] = {}
    for entry in sorted(hinted, key=lambda entry: entry.protocol.hint_share):
        if metric in entry.means:
            found.setdefault(entry.name, {})[entry.protocol.hint_share] = entry.means[metric]
    return found
