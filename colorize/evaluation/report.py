"""Tables of scores, for the terminal and as JSON, Markdown and one HTML page."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, NamedTuple

import rich.table
from rich import box
from rich.text import Text

from colorize.errors import ColorizeError, printable
from colorize.evaluation import budget
from colorize.evaluation.metrics import METRICS, Metric
from colorize.evaluation.samples import MODES, Protocol
from colorize.evaluation.score import Entry, Mean, one_protocol
from colorize.evaluation.sheets import ORDER, Example

if TYPE_CHECKING:
    import jinja2

SCHEMA = "colorize-eval/1"  # raised when a key changes its name or meaning
STYLES = 7  # colors and marks in the style sheet; further models share them
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


def dot_chart(name: str, values: Mapping[str, Mean], styles: Mapping[str, int]) -> Chart:
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


def curve_chart(name: str, models: Mapping[str, Mapping[float, Mean]], styles: Mapping[str, int]) -> Chart:
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


class Cell(NamedTuple):
    """A mean, whether it is the best as printed, and its 95 % interval: half its width, and its ends."""

    text: str = "-"
    best: bool = False
    half: str = ""
    ends: str = ""

    def styled(self) -> Text:
        """The text, bold if best, and below it half the width of the interval."""
        half = f"\n±{self.half}" if self.half else ""
        return Text(self.text, style="bold" if self.best else "").append(half, "not bold dim")


@dataclass(frozen=True)
class Table:
    """The scores of a model and of baselines under one protocol, the model first, and pictures of the model.

    budget: the causes of the model's wrong area, see `budget.table`. Raises ColorizeError for entries of different
    protocols.
    """

    entries: tuple[Entry, ...]
    examples: tuple[Example, ...] = ()
    budget: tuple[budget.Line, ...] = ()

    def __post_init__(self) -> None:
        one_protocol(self.entries)

    @property
    def protocol(self) -> Protocol:
        """The protocol of all entries."""
        return self.entries[0].protocol

    @property
    def title(self) -> tuple[str, str]:
        """Two lines: what was given and how it was drawn, and which pictures."""
        one = self.protocol
        drawing = "line art" if one.kind == "line" else "gray pictures"
        share = f", {one.hint_share * 100:g} % of the pixels" if one.hint_share else ""
        alike = f", where it has {one.alike * 100:g} % of the colors" if one.alike else ""
        return f"{drawing} with {MODES[one.mode].help}{share}{alike}; {one.size} px, seed {one.seed}", one.data

    @property
    def columns(self) -> dict[str, Metric]:
        """The metrics that at least one entry has."""
        return {name: one for name, one in METRICS.items() if any(name in entry.means for entry in self.entries)}

    @property
    def headings(self) -> list[str]:
        """The heads of the columns."""
        return [metric.heading for metric in self.columns.values()]

    def lines(self) -> list[tuple[Entry, list[Cell]]]:
        """Return every entry with a cell per column."""
        rows: list[list[Cell]] = [[] for _ in self.entries]
        for name, metric in self.columns.items():
            means = [entry.means.get(name) for entry in self.entries]
            rounded = [round(mean.mean, metric.digits) for mean in means if mean]
            top = max(rounded) if metric.higher else min(rounded)
            for row, mean in zip(rows, means, strict=True):
                if mean is None:
                    row.append(Cell())
                    continue
                best = len(means) > 1 and round(mean.mean, metric.digits) == top
                half, ends = (mean.high - mean.low) / 2, f"{metric.shown(mean.low)} to {metric.shown(mean.high)}"
                interval = (metric.shown(half), ends) if metric.score else ()  # a whole folder has none
                row.append(Cell(metric.shown(mean.mean), best, *interval))
        return list(zip(self.entries, rows, strict=True))

    def sets(self) -> list[tuple[str, int, list[str]]]:
        """Return the first entry's means by set of pictures: its name, number of pictures, and scores."""
        metrics = {name: metric for name, metric in self.columns.items() if metric.score}  # FID is last
        found = []
        for name, part in self.entries[0].summary.sets.items():
            texts = [m.shown(part.scores[key]) if key in part.scores else "-" for key, m in metrics.items()]
            found.append((name, part.pictures, texts))
        return found

    def terminal(self) -> list[rich.table.Table]:
        """Return the table for eighty columns, one of perceptual scores, and one of the model's sets if it has several.

        Arrows say which way is better, the best of each column is bold, and below each value stands
        half the width of its 95 % interval.
        """
        metrics = list(self.columns.values())
        shown = [at for at, metric in enumerate(metrics) if metric.terminal]
        heads = [heading.replace(" ", "\n") for heading in self.headings]  # leaves room for the names
        plain, learned = ([at for at in shown if metrics[at].perceptual == one] for one in (False, True))
        grids = [_grid(_text(*self.title), ["", *(heads[at] for at in plain), "s"])]
        grids += [_grid(_text("perceptual"), ["", *(heads[at] for at in learned)])] if learned else []
        for entry, cells in self.lines():
            grids[0].add_row(_text(entry.name), *(cells[at].styled() for at in plain), f"{entry.summary.seconds:.2f}")
            if learned:
                grids[1].add_row(_text(entry.name), *(cells[at].styled() for at in learned))
        if self.budget:
            first, *lines = self.budget_rows()
            grids.append(_grid(_text("colored area by cause, in %"), first))
            for line in lines:
                grids[-1].add_row(*map(_text, line))
        if len(self.sets()) < 2:
            return grids
        shown = [at for at in shown if at < len(self.sets()[0][2])]
        by_set = _grid(_text(self.entries[0].name), ["set", "n", *(heads[at] for at in shown)])
        for name, pictures, texts in self.sets():
            by_set.add_row(_text(name or "-"), str(pictures), *(texts[at] for at in shown))
        return [*grids, by_set]

    def markdown(self) -> str:
        """Return the table for a Markdown page, the best of each column in bold."""
        rows = [["", *self.headings, "s per picture"], ["---", *["---:"] * (len(self.columns) + 1)]]
        for entry, cells in self.lines():
            texts = [f"**{cell.text}**" if cell.best else cell.text for cell in cells]
            rows.append([_escaped(entry.name), *texts, f"{entry.summary.seconds:.2f}"])
        text = "\n".join([*map(_escaped, self.title), "", *_markdown(rows)]) + "\n"
        if self.budget:
            heads, *lines = ([_escaped(name), *texts] for name, *texts in self.budget_rows())
            text += "\n".join(["", *_markdown([heads, ["---", *["---:"] * (len(heads) - 1)], *lines])]) + "\n"
        return text

    def budget_rows(self) -> list[list[str]]:
        """Return the causes as rows of texts, heads first: percent, with half the interval's width for all pictures."""
        rows = [["causes", "n", "area", *budget.CAUSES]]
        for line in self.budget:
            texts = [f"{100 * one.mean:.1f}" for one in line.shares.values()]
            if line.name == "all":
                halves = (50 * (one.high - one.low) for one in line.shares.values())
                texts = [f"{text} ±{half:.1f}" for text, half in zip(texts, halves, strict=True)]
            rows.append([line.name, str(line.pictures), f"{100 * line.part:.0f}", *texts])
        return rows

    def document(self) -> dict[str, object]:
        """Return all scores for JSON: protocol, and per entry its means, sets and pictures."""
        results = []
        for entry in self.entries:
            rows = [asdict(row) for row in entry.rows]
            results.append({**asdict(entry.summary), "name": entry.name, "extra": dict(entry.extra), "rows": rows})
        found: dict[str, object] = {"schema": SCHEMA, "protocol": asdict(self.protocol), "results": results}
        return {**found, "budget": [asdict(line) for line in self.budget]} if self.budget else found


def _markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in rows]


def to_json(tables: Sequence[Table]) -> str:
    """Return a JSON list with one object per table."""
    return json.dumps([table.document() for table in tables], indent=2, sort_keys=True)


def to_terminal(tables: Sequence[Table]) -> list[rich.table.Table]:
    """Return the tables for the terminal, and one by share of hints where several shares were scored."""
    found = [grid for table in tables for grid in table.terminal()]
    curves = {name: by_share([table.entries for table in tables], name) for name in CURVES}
    shares = sorted({share for models in curves.values() for points in models.values() for share in points})
    if shares:
        columns = [(METRICS[name], *of_model) for name, models in curves.items() for of_model in models.items()]
        grid = _grid(_text("by share of hints"), ["%"])
        grid.columns[0].justify = "right"
        for metric, model, _ in columns:
            grid.add_column(_text(metric.heading, model), justify="right", overflow="fold", max_width=14)
        for share in shares:
            texts = [metric.shown(points[share].mean) if share in points else "-" for metric, _, points in columns]
            grid.add_row(f"{share * 100:g}", *texts)
        found.append(grid)
    return found


def _text(*lines: str) -> Text:
    """Lines in which Rich takes nothing for markup, and a terminal nothing for a command."""
    return Text("\n".join(map(printable, lines)))


def _escaped(text: str) -> str:
    """A text in which Markdown takes nothing for markup."""
    return re.sub(r"([\\`*|<>\[\]])", r"\\\1", printable(text))


def _grid(title: Text, heads: Sequence[str]) -> rich.table.Table:
    """Return an empty table whose first column holds names."""
    title.stylize("table.title")
    grid = rich.table.Table(box=box.SIMPLE_HEAD, padding=0, title=title, title_justify="left")
    grid.add_column(heads[0], overflow="fold", max_width=20)
    for head in heads[1:]:
        grid.add_column(head, justify="right", no_wrap=True)
    return grid


def page_template() -> jinja2.Template:
    """Return the template of `page`; raises ColorizeError if Jinja2, which torch needs too, is missing."""
    try:
        import jinja2
    except ImportError as error:
        raise ColorizeError("the HTML page needs the package `jinja2`", "install it with pip install jinja2") from error
    text = resources.files("colorize.evaluation").joinpath("report.html.jinja").read_text("utf-8")
    return jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(text)


def page(name: str, facts: Mapping[str, str], tables: Sequence[Table]) -> str:
    """Return one HTML page on one model: facts, a table with charts per mode, curves over shares, pictures.

    name: of the model. facts: what stands at the top, by name. The page has neither scripts nor links to
    other files; every name is escaped. Raises ColorizeError as `page_template` does.
    """
    models = dict.fromkeys(entry.name for table in tables for entry in table.entries)
    styles = {model: at % STYLES for at, model in enumerate(models)}
    curves = {key: by_share([table.entries for table in tables], key) for key in CURVES}
    hinted = {model for points in curves.values() for model in points}
    charts = [
        [
            dot_chart(key, {entry.name: entry.means[key] for entry in table.entries if key in entry.means}, styles)
            for key, metric in table.columns.items()
            if metric.score and table.examples
        ]
        for table in tables
    ]
    return page_template().render(
        name=name,
        facts=facts,
        tables=tables,
        metrics=[one for key, one in METRICS.items() if any(key in table.columns for table in tables)],
        charts=charts,
        curves=[curve_chart(key, points, styles) for key, points in curves.items() if points],
        curve_styles={model: style for model, style in styles.items() if model in hinted},
        order=METRICS[ORDER],
    )
