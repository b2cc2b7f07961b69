"""Tables of scores, for the terminal and as JSON, Markdown and one HTML page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from typing import TYPE_CHECKING, NamedTuple

import rich.table
from rich import box
from rich.text import Text

from colorize.errors import ColorizeError
from colorize.evaluation import charts
from colorize.evaluation.metrics import METRICS, Metric
from colorize.evaluation.samples import MODES, Protocol
from colorize.evaluation.score import Entry, one_protocol
from colorize.evaluation.sheets import ORDER, Example

if TYPE_CHECKING:
    import jinja2

SCHEMA = "colorize-eval/1"  # raised when a key changes its name or meaning
STYLES = 7  # colors and marks in the style sheet; further models share them


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

    Raises ColorizeError for entries of different protocols.
    """

    entries: tuple[Entry, ...]
    examples: tuple[Example, ...] = ()

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
        columns = [self._column(name, metric) for name, metric in self.columns.items()]
        return [(entry, [column[at] for column in columns]) for at, entry in enumerate(self.entries)]

    def _column(self, name: str, metric: Metric) -> list[Cell]:
        means = [entry.means.get(name) for entry in self.entries]
        rounded = [round(mean.mean, metric.digits) for mean in means if mean]
        top = max(rounded) if metric.higher else min(rounded)
        cells = []
        for mean in means:
            if mean is None:
                cells.append(Cell())
                continue
            best = len(means) > 1 and round(mean.mean, metric.digits) == top
            interval = (
                metric.shown((mean.high - mean.low) / 2),
                f"{metric.shown(mean.low)} to {metric.shown(mean.high)}",
            )
            whole_folder = metric.score is None  # one value, without an interval
            cells.append(Cell(metric.shown(mean.mean), best, *(() if whole_folder else interval)))
        return cells

    def sets(self) -> list[tuple[str, int, list[str]]]:
        """Return the first entry's means by set of pictures: its name, number of pictures, and scores."""
        metrics = {name: metric for name, metric in self.columns.items() if metric.score}  # FID is last
        found = []
        for name, part in self.entries[0].summary.sets.items():
            texts = [m.shown(part.scores[key]) if key in part.scores else "-" for key, m in metrics.items()]
            found.append((name, part.pictures, texts))
        return found

    def terminal(self) -> list[rich.table.Table]:
        """Return the table for eighty columns, and one of the model's sets where there are several.

        Arrows say which way is better, the best of each column is bold, and below each value stands
        half the width of its 95 % interval.
        """
        shown = [at for at, metric in enumerate(self.columns.values()) if metric.terminal]
        heads = [self.headings[at].replace(" ", "\n") for at in shown]  # leaves room for the names
        grid = _grid("\n".join(self.title), ["", *heads, "s"])
        for entry, cells in self.lines():
            grid.add_row(entry.name, *(cells[at].styled() for at in shown), f"{entry.summary.seconds:.2f}")
        if len(self.sets()) < 2:
            return [grid]
        shown = [at for at in shown if at < len(self.sets()[0][2])]
        by_set = _grid(self.entries[0].name, ["set", "n", *heads[: len(shown)]])
        for name, pictures, texts in self.sets():
            by_set.add_row(name or "-", str(pictures), *(texts[at] for at in shown))
        return [grid, by_set]

    def markdown(self) -> str:
        """Return the table for a Markdown page, the best of each column in bold."""
        rows = [["", *self.headings, "s per picture"], ["---", *["---:"] * (len(self.columns) + 1)]]
        for entry, cells in self.lines():
            texts = [f"**{cell.text}**" if cell.best else cell.text for cell in cells]
            rows.append([entry.name.replace("|", "\\|"), *texts, f"{entry.summary.seconds:.2f}"])
        return "\n".join([*self.title, "", *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"

    def document(self) -> dict[str, object]:
        """Return all scores for JSON: protocol, and per entry its means, sets and pictures."""
        results = []
        for entry in self.entries:
            rows = [asdict(row) for row in entry.rows]
            results.append({**asdict(entry.summary), "name": entry.name, "extra": dict(entry.extra), "rows": rows})
        return {"schema": SCHEMA, "protocol": asdict(self.protocol), "results": results}


def to_json(tables: Sequence[Table]) -> str:
    """Return a JSON list with one object per table."""
    return json.dumps([table.document() for table in tables], indent=2, sort_keys=True)


def to_terminal(tables: Sequence[Table]) -> list[rich.table.Table]:
    """Return the tables for the terminal, and one by share of hints where several shares were scored."""
    found = [grid for table in tables for grid in table.terminal()]
    curves = {name: charts.by_share([table.entries for table in tables], name) for name in charts.CURVES}
    shares = sorted({share for models in curves.values() for points in models.values() for share in points})
    if shares:
        columns = [
            (METRICS[name], model, points) for name, models in curves.items() for model, points in models.items()
        ]
        grid = _grid("by share of hints", ["%"])
        grid.columns[0].justify = "right"
        for metric, model, _ in columns:
            grid.add_column(f"{metric.heading}\n{model}", justify="right", overflow="fold", max_width=14)
        for share in shares:
            texts = [metric.shown(points[share].mean) if share in points else "-" for metric, _, points in columns]
            grid.add_row(f"{share * 100:g}", *texts)
        found.append(grid)
    return found


def _grid(title: str, heads: Sequence[str]) -> rich.table.Table:
    """Return an empty table whose first column holds names."""
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
    curves = {key: charts.by_share([table.entries for table in tables], key) for key in charts.CURVES}
    hinted = {model for points in curves.values() for model in points}
    dots = [
        [
            charts.dots(key, {entry.name: entry.means[key] for entry in table.entries if key in entry.means}, styles)
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
        charts=dots,
        curves=[charts.curves(key, points, styles) for key, points in curves.items() if points],
        curve_styles={model: style for model, style in styles.items() if model in hinted},
        order=METRICS[ORDER],
    )
