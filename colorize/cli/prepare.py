"""The command `colorize prepare-data`: options, a progress bar and the report."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from colorize import interrupts
from colorize.cli import complete, messages


def prepare(
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="Read this folder, .parquet or .zip file, or hub:OWNER/NAME[@REVISION]"),
    ],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Write the splits into this folder")] = Path("data"),
    size: Annotated[int, typer.Option(metavar="PIXELS", help="Scale the longer side to this")] = 256,
    layout: Annotated[
        Literal["auto", "pictures", "side-by-side", "pairs", "parquet", "zip", "celeba"],
        typer.Option(
            metavar="LAYOUT",
            help="Read the source as auto, pictures (color only), side-by-side (two halves), pairs (two folders),"
            " parquet, zip or celeba (with its splits)",
        ),
    ] = "auto",
    order: Annotated[
        Literal["auto", "color-line", "line-color"],
        typer.Option(metavar="ORDER", help="Take side-by-side halves as auto, color-line or line-color"),
    ] = "auto",
    styles: Annotated[
        str,
        typer.Option(
            metavar="STYLE,...",
            help="Line styles to take turns: mix, xdog, dog, pencil, canny",
            autocompletion=complete.of("styles"),
        ),
    ] = "mix",
    crop: Annotated[
        Literal["fit", "square", "subject"],
        typer.Option(metavar="CROP", help="Keep all (fit), the middle square (square) or a square on the subject"),
    ] = "fit",
    validation: Annotated[float, typer.Option(metavar="SHARE", help="Share of pictures for validation, 0 to 1")] = 0.05,
    test: Annotated[float, typer.Option(metavar="SHARE", help="Share of pictures for the test, 0 to 1")] = 0.05,
    seed: Annotated[int, typer.Option(metavar="NUMBER", help="Random seed of splits and line styles")] = 0,
    group: Annotated[
        Literal["folder", "name", "none"],
        typer.Option(metavar="GROUP", help="Split by whole folder, name (up to the number) or none (by picture)"),
    ] = "folder",
    workers: Annotated[int, typer.Option(min=0, metavar="NUMBER", help="Parallel workers; 0: one per core")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Remove an earlier result and start again")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report to stdout as JSON")] = False,
) -> None:
    """Prepare color pictures for training.

    Extract line art where there is none and drop duplicates across splits. Run the same command again to
    continue after a stop.

    Examples:
        colorize prepare-data scans/ data/ --size 512 --layout pairs --crop subject
        colorize prepare-data hub:OWNER/NAME data/
    """
    from colorize.datasets import prepare as pipeline

    interrupts.begin()
    names = tuple(style.strip() for style in styles.split(",") if style.strip())
    options = pipeline.PrepareOptions(
        size, layout, order, names, crop, validation, test, seed, workers, group, overwrite=overwrite
    )
    with messages.bar() as bar:
        task = bar.add_task("preparing", total=None)
        for event in pipeline.prepare(source, data, options):
            interrupts.check()
            bar.update(task, completed=event.done, total=event.total)
    summary = event.summary
    assert summary is not None
    if as_json:
        typer.echo(json.dumps(asdict(summary), indent=2))
        return
    counts = ", ".join(f"{count} {split}" for split, count in summary.counts.items())
    messages.say(
        f"`{data}` holds {counts} pictures of {summary.groups} groups; read as {summary.layout},"
        f" {messages.duration(summary.seconds)}"
    )
    repeats = [f"{file} repeats {other} of another split" for file, other in summary.duplicates]
    messages.listed("dropped", "duplicate", repeats)
    messages.listed("skipped", "picture", [f"{file}: {why}" for file, why in summary.skipped])
    for note in summary.notes:
        messages.say(f"note: {note}")
    messages.say(f"next: colorize train anime-diffusion {data}")
