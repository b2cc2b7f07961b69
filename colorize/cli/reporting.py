"""What `eval` tells: tables, JSON, a sheet of pictures, a page. Imported when it runs; knows nothing of coloring."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import typer
from rich.console import Console
from torch import Tensor

from colorize import __version__
from colorize.cli import common
from colorize.errors import ColorizeError
from colorize.evaluation import curve, report
from colorize.evaluation.evaluate import Metric
from colorize.evaluation.page import Chapter, page
from colorize.evaluation.report import Entry
from colorize.evaluation.samples import Protocol
from colorize.evaluation.sheet import contact_sheet
from colorize.painter.options import Options, sampling
from colorize.pictures import files
from colorize.recipes import Recipe

PAGES = (".html", ".htm")
QUALITY = 88  # of a sheet in JPEG or WebP, where it is for looking at and not for measuring


def check_place(option: str, path: Path | None, suffixes: Sequence[str]) -> None:
    """Refuse a file that could not be written, before hours are spent on what stands in it.

    Raises ColorizeError (wrong usage) for a missing folder, a folder, or another suffix.
    """
    if path is None:
        return
    shown = files.shown(path)
    if path.suffix.lower() not in suffixes:
        hint = "use one of " + ", ".join(suffixes)
        raise ColorizeError(f"{option} cannot be written as `{shown}`", hint, code=2)
    if not path.parent.is_dir():
        raise ColorizeError(
            f"{option} `{shown}`: there is no folder `{files.shown(path.parent)}`",
            "make the folder first, or name another place",
            code=2,
        )
    if path.is_dir():
        raise ColorizeError(f"{option} `{shown}` is a folder", "name a file in it", code=2)


def write_sheet(rows: Sequence[Sequence[Tensor]], name: str, path: Path) -> None:
    """Write drawing, what was given, result and truth of samples nobody selected."""
    titles = ("drawing", "given", name, "truth")
    files.write(contact_sheet(rows, titles), path, quality=QUALITY)
    common.say(f"the sheet is `{path}`")


def write_page(
    name: str,
    facts: Mapping[str, str],
    chapters: Sequence[Chapter],
    scores: Mapping[str, Metric],
    path: Path,
) -> None:
    """Write the page of `evaluation.page`, whole or not at all."""
    text = page(name, facts, chapters, scores)
    with files.atomic(path) as temporary:  # names may hold bytes that are no Unicode
        temporary.write_bytes(text.encode("utf-8", "replace"))
    common.say(f"the page is `{path}`")


def facts(recipe: Recipe, options: Options, protocol: Protocol) -> dict[str, str]:
    """Return what a page says of a model and its protocol, beside the scores."""
    walk = sampling(recipe, options)
    hinted = {"hints": f"taken in the mode {options.hint_mode}"} if protocol.hint_share else {}
    return {
        "recipe": recipe.name,
        "drawings": "line art" if protocol.kind == "line" else "gray pictures",
        "pictures": f"fitted into {protocol.size} x {protocol.size} pixels",
        "walk": f"{walk.sampler}, {common.counted(walk.steps, 'step')}",
        **hinted,
        "seed": str(protocol.seed),
        "program": f"colorize {__version__}",
    }


def documents(tables: Sequence[Sequence[Entry]]) -> str:
    """Return a JSON list of `report.to_json`, one object per table."""
    return json.dumps([json.loads(report.to_json(table)) for table in tables], indent=2)


def show(tables: Sequence[Sequence[Entry]], scores: Mapping[str, Metric]) -> None:
    """Print the tables to stdout, and the model's scores by set where there are several."""
    console = Console()
    for entries in tables:
        console.print(report.table(entries, scores))
        if len({row.set for row in entries[0].rows}) > 1:
            console.print(report.sets_table(entries[0], scores))
    by_share = curve.curve_table(tables, scores)
    if by_share is not None:
        console.print(by_share)


def tell(
    tables: Sequence[Sequence[Entry]], scores: Mapping[str, Metric], as_json: bool, markdown: bool
) -> None:
    """Print the scores to stdout: as JSON, as Markdown, or as tables for the terminal."""
    if as_json:
        typer.echo(documents(tables))
    elif markdown:
        typer.echo("\n".join(report.markdown(table, scores) for table in tables), nl=False)
    else:
        show(tables, scores)
