"""Show scores side by side: on the terminal, as JSON and as Markdown.

Knows nothing of how pictures were colored or scored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from rich import box
from rich.table import Table
from rich.text import Text

from colorize.errors import ColorizeError
from colorize.evaluation.samples import MODES, Protocol
from colorize.evaluation.score import METRICS, Metric, Row, Summary, summary

SCHEMA = "colorize-eval/1"  # raised when a key changes its name or meaning


@dataclass(frozen=True)
class Entry:
    """The scores of one model or baseline under one protocol. extra: scores of the whole folder."""

    name: str
    protocol: Protocol
    rows: tuple[Row, ...]
    extra: Mapping[str, float]  # such as {"fid": 31.2}, lower is better


def table(entries: Sequence[Entry], scores: Mapping[str, Metric] = METRICS) -> Table:
    """Return one line per entry, in the order given: the model first, then baselines.

    Arrows say which way is better, the best of each column is bold, and below each value stands
    half the width of its 95 % interval. Raises ColorizeError for entries of different protocols.
    """
    protocol = one_protocol(entries)
    summaries = [summary(entry.rows) for entry in entries]
    columns = _narrow(shown(summaries, scores))
    crowds = extras(entries)
    grid = Table(box=box.SIMPLE_HEAD, padding=0, title=title(protocol), expand=False)
    grid.title_justify = "left"
    grid.add_column("", overflow="fold", max_width=20)
    for metric in columns.values():
        grid.add_column(_stacked(metric.title, metric.higher), justify="right", no_wrap=True)
    for name in crowds:
        grid.add_column(_stacked(name.upper(), False), justify="right", no_wrap=True)
    grid.add_column("s", justify="right", no_wrap=True)
    for at, (entry, one) in enumerate(zip(entries, summaries, strict=True)):
        cells = [_cell(one, name, metric, at in best(summaries, name, metric)) for name, metric in columns.items()]
        cells += [_extra_cell(entry, name, entries) for name in crowds]
        grid.add_row(entry.name, *cells, f"{one.seconds:.2f}")
    return grid


def _narrow(columns: Mapping[str, Metric]) -> dict[str, Metric]:
    """The columns that a terminal has room for."""
    return {name: metric for name, metric in columns.items() if not metric.wide}


def sets_table(entry: Entry, scores: Mapping[str, Metric] = METRICS) -> Table:
    """Return one line per set of pictures for a single entry, the plain means."""
    one = summary(entry.rows)
    columns = _narrow(shown([one], scores))
    grid = Table(box=box.SIMPLE_HEAD, padding=0, title=entry.name)
    grid.title_justify = "left"
    grid.add_column("set", overflow="fold", max_width=20)
    grid.add_column("n", justify="right")
    for metric in columns.values():
        grid.add_column(_stacked(metric.title, metric.higher), justify="right", no_wrap=True)
    for name, part in one.sets.items():
        values = [
            f"{part.scores[key]:.{metric.digits}f}" if key in part.scores else "-" for key, metric in columns.items()
        ]
        grid.add_row(name or "-", str(part.pictures), *values)
    return grid


def markdown(entries: Sequence[Entry], scores: Mapping[str, Metric] = METRICS) -> str:
    """Return the table for a Markdown page, the best of each column in bold."""
    protocol = one_protocol(entries)
    summaries = [summary(entry.rows) for entry in entries]
    columns, crowds = shown(summaries, scores), extras(entries)
    heads = ["", *(heading(m.title, m.higher) for m in columns.values())]
    heads += [heading(name.upper(), False) for name in crowds] + ["s per picture"]
    lines = [title(protocol), "", _piped(heads), _piped(["---", *["---:"] * (len(heads) - 1)])]
    for at, (entry, one) in enumerate(zip(entries, summaries, strict=True)):
        cells = [entry.name.replace("|", "\\|")]
        for name, metric in columns.items():
            text = f"{one.scores[name].mean:.{metric.digits}f}" if name in one.scores else "-"
            cells.append(f"**{text}**" if at in best(summaries, name, metric) else text)
        cells += [_extra_cell(entry, name, entries, mark="**").plain for name in crowds]
        lines.append(_piped([*cells, f"{one.seconds:.2f}"]))
    return "\n".join(lines) + "\n"


def to_json(entries: Sequence[Entry]) -> str:
    """Return all scores as JSON: protocol, and per entry its means, sets and pictures."""
    protocol = one_protocol(entries)
    results = []
    for entry in entries:
        one = asdict(summary(entry.rows))
        one["name"], one["extra"] = entry.name, dict(entry.extra)
        one["rows"] = [asdict(row) for row in entry.rows]
        results.append(one)
    document = {"schema": SCHEMA, "protocol": asdict(protocol), "results": results}
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def one_protocol(entries: Sequence[Entry]) -> Protocol:
    """Return the protocol all entries share. Raises ColorizeError if there are several, or none."""
    if not entries:
        raise ColorizeError("there are no scores to show", "evaluate at least one model")
    first = entries[0]
    for other in entries[1:]:
        mine, theirs = asdict(first.protocol), asdict(other.protocol)
        apart = [key for key in mine if mine[key] != theirs[key]]
        if apart:
            raise ColorizeError(
                f"`{first.name}` and `{other.name}` were scored under different protocols: "
                + ", ".join(f"{key} {mine[key]} against {theirs[key]}" for key in apart),
                "evaluate both on the same folder with the same mode, size, kind and seed",
            )
    return first.protocol


def title(protocol: Protocol) -> str:
    """Return two lines: what was given and how it was drawn, and which pictures."""
    drawing = "line art" if protocol.kind == "line" else "gray pictures"
    share = f", {protocol.hint_share * 100:g} % of the pixels" if protocol.hint_share else ""
    alike = f", where it has {protocol.alike * 100:g} % of the colors" if protocol.alike else ""
    return (
        f"{drawing} with {MODES[protocol.mode]}{share}{alike}; {protocol.size} px, seed {protocol.seed}\n"
        f"{protocol.data}"
    )


def short(protocol: Protocol) -> str:
    """Return the mode, with its share where dots are scattered."""
    share = f" {protocol.hint_share * 100:g} %" if protocol.hint_share else ""
    return protocol.mode + share


def heading(title: str, higher: bool) -> str:
    """Return the head of a column: the metric's name, and an arrow to where better is."""
    return f"{title} {'↑' if higher else '↓'}"


def _stacked(title: str, higher: bool) -> str:
    """Return a heading with the arrow below, which leaves eighty columns room for the names."""
    return heading(title, higher).replace(" ", "\n")


def shown(summaries: Sequence[Summary], scores: Mapping[str, Metric]) -> dict[str, Metric]:
    """Return the metrics that at least one entry has."""
    return {n: m for n, m in scores.items() if any(n in one.scores for one in summaries)}


def extras(entries: Sequence[Entry]) -> list[str]:
    """Return the names of the scores of whole folders, such as fid."""
    return sorted({name for entry in entries for name in entry.extra})


def best(summaries: Sequence[Summary], name: str, metric: Metric) -> set[int]:
    """Return the entries whose value is best as printed; ties are all best. One alone is not."""
    values = {at: round(one.scores[name].mean, metric.digits) for at, one in enumerate(summaries) if name in one.scores}
    if len(summaries) < 2 or not values:
        return set()
    top = max(values.values()) if metric.higher else min(values.values())
    return {at for at, value in values.items() if value == top}


def _cell(one: Summary, name: str, metric: Metric, best: bool) -> Text:
    """Return the mean, and dim below it half the width of its interval."""
    if name not in one.scores:
        return Text("-")
    value = one.scores[name]
    half = (value.high - value.low) / 2
    text = Text(f"{value.mean:.{metric.digits}f}", style="bold" if best else "")
    return text.append(f"\n±{half:.{metric.digits}f}", style="not bold dim")


def _extra_cell(entry: Entry, name: str, entries: Sequence[Entry], mark: str = "") -> Text:
    """Return a score of the whole folder; `mark` surrounds the best one, which is bold."""
    if name not in entry.extra:
        return Text("-")
    least = min(other.extra[name] for other in entries if name in other.extra)
    best = len(entries) > 1 and entry.extra[name] == least
    around = mark if best else ""
    return Text(f"{around}{entry.extra[name]:.2f}{around}", style="bold" if best else "")


def _piped(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
