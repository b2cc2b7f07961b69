"""Put scores of several shares of hints side by side. Knows nothing of how they are drawn or printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rich import box
from rich.table import Table

from colorize.evaluation.evaluate import METRICS, Mean, Metric, summary
from colorize.evaluation.report import Entry, heading, one_protocol

SHARES = (
    0.0005,
    0.001,
    0.002,
    0.005,
    0.01,
    0.02,
    0.05,
)  # of the pixels, about evenly on a log axis
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


def curve_table(
    tables: Sequence[Sequence[Entry]], scores: Mapping[str, Metric] = METRICS
) -> Table | None:
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
