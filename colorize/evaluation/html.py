"""Write scores, charts and pictures as one HTML page that needs nothing else. Knows nothing of models or folders."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources

from colorize.evaluation import charts
from colorize.evaluation.charts import SHOWN, curve
from colorize.evaluation.report import Entry, best, extras, heading, one_protocol, short, shown, title
from colorize.evaluation.score import METRICS, Mean, Metric, Summary, summary
from colorize.evaluation.sheets import ORDER, Shot

Scores = Mapping[str, Metric]
Looks = Mapping[str, int]  # a number per model or baseline, the same all over the page


@dataclass(frozen=True)
class Chapter:
    """One table and the pictures behind it; without pictures it is shown as a table alone."""

    entries: tuple[Entry, ...]  # of one protocol, the model first
    shots: tuple[Shot, ...] = ()


def page(name: str, facts: Mapping[str, str], chapters: Sequence[Chapter], scores: Scores = METRICS) -> str:
    """Return a page on one model: facts, a table with charts per mode, curves over shares, pictures.

    name: of the model. facts: what stands at the top, by name. It has neither scripts nor links to
    other files; every name is escaped. Raises ColorizeError for a chapter of several protocols.
    """
    names = [entry.name for chapter in chapters for entry in chapter.entries]
    looks = {each: at for at, each in enumerate(dict.fromkeys(names))}
    parts = [_section(at, chapter, looks, scores) for at, chapter in enumerate(chapters)]
    links = [
        f'<a href="#part{at}">{escape(short(chapter.entries[0].protocol))}</a>' for at, chapter in enumerate(chapters)
    ]
    terms = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts.items())
    style = resources.files("colorize.evaluation").joinpath("page.css").read_text("utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Scores of {escape(name)}</title>\n<style>\n{style}</style></head>\n<body><main>\n"
        f"<h1>Scores of {escape(name)}</h1>\n<dl>{terms}</dl>\n<nav>{''.join(links)}</nav>\n"
        f"{_columns(chapters, scores)}\n{_curves(chapters, looks, scores)}\n"
        + "\n".join(parts)
        + "\n</main></body></html>\n"
    )


def _section(at: int, chapter: Chapter, looks: Looks, scores: Scores) -> str:
    """One mode: its table, and where there are pictures charts, sets and pictures."""
    first, second = title(one_protocol(chapter.entries)).split("\n")
    summaries = [summary(entry.rows) for entry in chapter.entries]
    columns = shown(summaries, scores)
    parts = [
        f'<section id="part{at}"><h2>{escape(first[:1].upper() + first[1:])}</h2>',
        f"<p>{escape(second)}; below each mean its 95 % interval; s: seconds per picture</p>",
        _table(chapter.entries, summaries, columns),
    ]
    if chapter.shots:
        parts += [_charts(chapter.entries, summaries, columns, looks)]
    parts += [_sets(chapter.entries[0].name, summaries[0], columns)]
    for place in dict.fromkeys(shot.place for shot in chapter.shots):
        parts.append(f"<h3>{place.capitalize()} by {escape(scores[ORDER].title)}</h3>")
        parts += [_shot(shot, scores[ORDER]) for shot in chapter.shots if shot.place == place]
    return "\n".join([*parts, "</section>"])


def _table(entries: Sequence[Entry], summaries: Sequence[Summary], columns: Mapping[str, Metric]) -> str:
    crowds = extras(entries)
    heads = [heading(metric.title, metric.higher) for metric in columns.values()]
    heads += [heading(name.upper(), False) for name in crowds] + ["s"]
    lines = []
    for at, (entry, one) in enumerate(zip(entries, summaries, strict=True)):
        cells = [
            _cell(one.scores.get(name), metric.digits, at in best(summaries, name, metric))
            for name, metric in columns.items()
        ]
        cells += [f"<td>{entry.extra[n]:.2f}</td>" if n in entry.extra else "<td>-</td>" for n in crowds]
        cells.append(f"<td>{one.seconds:.2f}</td>")
        lines.append(f'<tr><th scope="row">{escape(entry.name)}</th>{"".join(cells)}</tr>')
    return _grid(["", *heads], lines)


def _cell(value: Mean | None, digits: int, top: bool) -> str:
    if value is None:
        return "<td>-</td>"
    mark = ' class="best"' if top else ""
    reach = f"{value.low:.{digits}f} to {value.high:.{digits}f}"
    return f"<td{mark}>{value.mean:.{digits}f}<small>{reach}</small></td>"


def _grid(heads: Sequence[str], lines: Sequence[str]) -> str:
    top = "".join(f'<th scope="col">{escape(head)}</th>' for head in heads)
    body = "\n".join(lines)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _charts(entries: Sequence[Entry], summaries: Sequence[Summary], columns: Mapping[str, Metric], looks: Looks) -> str:
    """One small chart per metric, of all ways of coloring that have it."""
    figures = []
    for key, metric in columns.items():
        values = [
            (entry.name, one.scores[key]) for entry, one in zip(entries, summaries, strict=True) if key in one.scores
        ]
        head = heading(metric.title, metric.higher)
        label = f"{metric.title} of {len(values)} ways of coloring, with intervals"
        picture = charts.dots(values, looks, label, metric.digits)
        figures.append(f"<figure><figcaption><b>{escape(head)}</b></figcaption>{picture}</figure>")
    return f'<h3>With 95 % intervals</h3><div class="charts">{"".join(figures)}</div>'


def _sets(name: str, one: Summary, columns: Mapping[str, Metric]) -> str:
    """The plain means of each set, folded away; nothing if there is only one set."""
    if len(one.sets) < 2:
        return ""
    lines = []
    for key, part in one.sets.items():
        cells = [
            f"<td>{part.scores[m]:.{metric.digits}f}</td>" if m in part.scores else "<td>-</td>"
            for m, metric in columns.items()
        ]
        head = f'<th scope="row">{escape(key or "-")}</th><td>{part.pictures}</td>'
        lines.append(f"<tr>{head}{''.join(cells)}</tr>")
    heads = ["set", "pictures", *(heading(m.title, m.higher) for m in columns.values())]
    told = f"{escape(name)} by set, {len(one.sets)} sets"
    return f"<details><summary>{told}</summary>{_grid(heads, lines)}</details>"


def _curves(chapters: Sequence[Chapter], looks: Looks, scores: Scores) -> str:
    """Scores against the share of hinted pixels, where several shares were scored."""
    tables = [chapter.entries for chapter in chapters]
    figures, names = [], dict[str, None]()
    for key in SHOWN:
        ways = curve(tables, key) if key in scores else {}
        if not ways:
            continue
        names |= dict.fromkeys(ways)
        head = heading(scores[key].title, scores[key].higher)
        picture = charts.curves(ways, looks, f"{scores[key].title} by share of hints")
        figures.append(f"<figure><figcaption><b>{escape(head)}</b></figcaption>{picture}</figure>")
    if not figures:
        return ""
    return (
        '<section id="curve"><h2>By share of hints</h2><p>The dots of a smaller share are among '
        f"those of a larger one; bars are 95 % intervals</p>{charts.legend(list(names), looks)}"
        f'<div class="curves">{"".join(figures)}</div></section>'
    )


def _columns(chapters: Sequence[Chapter], scores: Scores) -> str:
    """What the columns mean, folded away."""
    found = {name for chapter in chapters for entry in chapter.entries for row in entry.rows for name in row.scores}
    terms = "".join(
        f"<dt>{escape(heading(metric.title, metric.higher))}</dt><dd>{escape(metric.help)}</dd>"
        for name, metric in scores.items()
        if name in found
    )
    return f"<details><summary>What the columns mean</summary><dl>{terms}</dl></details>"


def _shot(shot: Shot, metric: Metric) -> str:
    values = ", ".join(f"{n} {v:.{metric.digits}f}" for n, v in shot.scores.items())
    cells = []
    for caption, data in shot.pictures:
        source = f"data:image/webp;base64,{base64.b64encode(data).decode()}"
        alt = escape(f"{caption} of {shot.file}")
        cells.append(f'<div><img src="{source}" alt="{alt}"><span>{escape(caption)}</span></div>')
    told = f"<b>{escape(shot.file)}</b>, {escape(metric.title)} {escape(values)}"
    return f'<figure class="shot"><figcaption>{told}</figcaption><div class="row">{"".join(cells)}</div></figure>'
