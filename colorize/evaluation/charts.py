"""Draw scores as small SVG pictures, in the colors of the page around them. Knows nothing of what is scored."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape

from rich import box
from rich.table import Table

from colorize.evaluation.report import Entry, heading, one_protocol
from colorize.evaluation.score import METRICS, Mean, Metric, summary

ROW = 22  # pixels per line of a dot chart
WIDTH, NAMES, VALUES = (340, 128, 46)  # pixels: a dot chart, its names at the left, values at the right
BROAD, HIGH = 560, 300  # pixels of a line chart
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 12, 40  # pixels around the plot of a line chart
LOOKS = 7  # colors and marks in the style sheet; further ways of coloring share them


def dots(values: Sequence[tuple[str, Mean]], looks: Mapping[str, int], label: str, digits: int) -> str:
    """Return a chart of one line per name: its mean as a mark, its 95 % interval as a bar.

    values: names and scores, from top to bottom. looks: a number per name, which gives color and
    mark. label: what a screen reader calls the chart. digits: after the point.
    """
    low = min(mean.low for _, mean in values)
    high = max(mean.high for _, mean in values)
    marks = ticks(low, high, 3)
    low, high = min(low, marks[0]), max(high, marks[-1])
    left, right, bottom = NAMES + 8, WIDTH - VALUES - 12, ROW * len(values) + 4

    def across(value: float) -> float:
        return left + (right - left) * (value - low) / (high - low)

    parts = [_line("grid", across(tick), 2, across(tick), bottom) for tick in marks]
    parts += [_text("tick", across(tick), bottom + 13, f"{tick:g}", "middle") for tick in marks]
    for at, (name, mean) in enumerate(values):
        y, look = ROW * (at + 0.5) + 2, f"w{looks[name] % LOOKS}"
        parts.append(_text("name", NAMES, y + 4, _cut(name, 21), "end"))
        parts.append(_line(look, across(mean.low), y, across(mean.high), y))
        parts.append(mark(looks[name], across(mean.mean), y))
        parts.append(_text("value", WIDTH, y + 4, f"{mean.mean:.{digits}f}", "end"))
    return _svg(WIDTH, bottom + 18, label, parts, "dots")


def curves(ways: Mapping[str, Sequence[Point]], looks: Mapping[str, int], label: str) -> str:
    """Return a chart of scores against the share of hints, which is on a logarithmic axis.

    ways: points by name, by rising share; bars are 95 % intervals. looks, label: see `dots`.
    """
    points = [point for some in ways.values() for point in some]
    shares = sorted({point.share for point in points})
    marks = ticks(min(p.score.low for p in points), max(p.score.high for p in points), 5)
    low, high = (min(marks[0], *(p.score.low for p in points)), max(marks[-1], *(p.score.high for p in points)))

    def x(share: float, aside: float = 0.0) -> float:
        whole = math.log(shares[-1] / shares[0]) or 1.0
        return LEFT + 16 + aside + (BROAD - LEFT - RIGHT - 32) * math.log(share / shares[0]) / whole

    def y(value: float) -> float:
        return HIGH - BOTTOM - (HIGH - TOP - BOTTOM) * (value - low) / (high - low)

    parts = [_line("grid", LEFT, y(tick), BROAD - RIGHT, y(tick)) for tick in marks]
    parts += [_text("tick", LEFT - 6, y(tick) + 4, f"{tick:g}", "end") for tick in marks]
    parts += [_text("tick", x(s), HIGH - BOTTOM + 16, f"{s * 100:g}", "middle") for s in shares]
    middle = (LEFT + BROAD - RIGHT) / 2
    parts.append(_text("name", middle, HIGH - 6, "hinted pixels, %", "middle"))
    for at, (name, some) in enumerate(ways.items()):
        look, aside = (f"w{looks[name] % LOOKS}", 5.0 * (at - (len(ways) - 1) / 2))  # bars side by side
        places = " ".join(f"{x(p.share, aside):.1f},{y(p.score.mean):.1f}" for p in some)
        parts.append(f'<polyline class="{look}" points="{places}"/>')
        for p in some:
            across = x(p.share, aside)
            parts.append(_line(look, across, y(p.score.low), across, y(p.score.high)))
            parts.append(mark(looks[name], across, y(p.score.mean)))
    return _svg(BROAD, HIGH, label, parts, "curve")


def legend(names: Sequence[str], looks: Mapping[str, int]) -> str:
    """Return the names with their marks, as a list in HTML."""
    items = []
    for name in names:
        picture = _svg(14, 14, "", [mark(looks[name], 7, 7)], "key")
        items.append(f"<li>{picture} {escape(name)}</li>")
    return f'<ul class="legend">{"".join(items)}</ul>'


def mark(look: int, x: float, y: float) -> str:
    """Return the mark of a way of coloring, its middle at (x, y): shapes tell what colors may not."""
    corners = (
        "",
        "-4,-4 4,-4 4,4 -4,4",
        "0,-5 5,4 -5,4",
        "0,-5.5 5.5,0 0,5.5 -5.5,0",
        "0,5 5,-4 -5,-4",
        "-5,-2 5,-2 5,2 -5,2",
        "-2,-5 2,-5 2,5 -2,5",
    )[look % LOOKS]
    where = f'class="w{look % LOOKS} mark" transform="translate({x:.1f} {y:.1f})"'
    return f'<polygon {where} points="{corners}"/>' if corners else f'<circle {where} r="4.5"/>'


def ticks(low: float, high: float, count: int) -> list[float]:
    """Return about `count` round numbers, 1, 2 or 5 times a power of ten apart, around a range."""
    if high - low < 1e-9 * max(1.0, abs(high)):
        low, high = low - max(1e-3, abs(low) / 20), high + max(1e-3, abs(high) / 20)
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= rough * 0.999)
    first, last = math.floor(low / step + 1e-6), math.ceil(high / step - 1e-6)
    return [round(step * number, 10) for number in range(first, last + 1)]


def _svg(width: float, height: float, label: str, parts: Sequence[str], kind: str) -> str:
    name = f'role="img" aria-label="{escape(label)}"' if label else 'aria-hidden="true"'
    head = f'<svg class="{kind}" viewBox="0 0 {width:g} {height:g}" {name}>'
    return head + "".join(parts) + "</svg>"


def _line(look: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{look}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(look: str, x: float, y: float, text: str, anchor: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{look}" {place}>{escape(text)}</text>'


def _cut(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


SHARES = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05)  # of the pixels, about evenly on a log axis
SHOWN = ("psnr", "delta_e")  # metrics that are worth a curve


@dataclass(frozen=True)
class Point:
    """A score at one share of hints, 0 to 1."""

    share: float
    score: Mean


def curve(tables: Sequence[Sequence[Entry]], metric: str) -> dict[str, list[Point]]:
    """Return the points of every model and baseline, by rising share; empty for fewer than two.

    tables: of any modes; only those of hints count. Raises ColorizeError if these differ in more
    than their share, since no curve goes through scores of different pictures.
    """
    hinted = [list(entries) for entries in tables if entries and entries[0].protocol.hint_share > 0]
    if len({one_protocol(entries).hint_share for entries in hinted}) < 2:
        return {}
    one_protocol([_anyhow(entry) for entries in hinted for entry in entries])
    found: dict[str, list[Point]] = {}
    for entries in sorted(hinted, key=lambda entries: entries[0].protocol.hint_share):
        for entry in entries:
            scores = summary(entry.rows).scores
            if metric in scores:
                point = Point(entry.protocol.hint_share, scores[metric])
                found.setdefault(entry.name, []).append(point)
    return found


def curve_table(tables: Sequence[Sequence[Entry]], scores: Mapping[str, Metric] = METRICS) -> Table | None:
    """Return one line per share of hints and one column per way of coloring, or None."""
    curves = {name: curve(tables, name) for name in SHOWN if name in scores}
    if not any(curves.values()):
        return None
    grid = Table(box=box.SIMPLE_HEAD, padding=0, title="by share of hints")
    grid.title_justify = "left"
    grid.add_column("%", justify="right")
    columns = [(scores[m], points) for m, ways in curves.items() for points in ways.values()]
    for name, ways in curves.items():
        for way in ways:
            head = f"{heading(scores[name].title, scores[name].higher)}\n{way}"
            grid.add_column(head, justify="right", overflow="fold", max_width=14)
    for share in sorted({point.share for _, points in columns for point in points}):
        cells = []
        for metric, points in columns:
            here = [point.score.mean for point in points if point.share == share]
            cells.append(f"{here[0]:.{metric.digits}f}" if here else "-")
        grid.add_row(f"{share * 100:g}", *cells)
    return grid


def _anyhow(entry: Entry) -> Entry:
    return replace(entry, protocol=replace(entry.protocol, hint_share=0.0))
