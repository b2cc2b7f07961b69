"""`sample --each-ref`: every drawing with each reference alone, and all of these as one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from colorize.cli import outputs, records
from colorize.cli.records import Source, Values
from colorize.coloring.options import SampleOptions
from colorize.errors import ColorizeError

if TYPE_CHECKING:
    from colorize.cli.messages import Reporter
    from colorize.cli.outputs import Target
    from colorize.cli.sample import Plan
    from colorize.coloring.options import Named
    from colorize.images.image import Picture

GRID = "grid.png"  # in the folder of results, where there are several drawings
SIDE = 8192  # pixels of a side of a grid, about


@dataclass(frozen=True)
class Pair:
    """The one reference of a target. name: what tells its result apart. values: see `records.options_of`."""

    name: str
    references: tuple[Named, ...]
    values: Values


@dataclass(frozen=True)
class Grid:
    """A picture of all pairs, a row for each drawing, and where it goes."""

    path: Path
    drawings: tuple[Target, ...]
    pairs: tuple[Pair, ...]
    options: SampleOptions


def of(targets: Sequence[Target], options: SampleOptions) -> tuple[list[Target], SampleOptions, Grid | None]:
    """Return a target for every drawing and reference, options for these, and the grid of all if one is wanted.

    Without --each-ref nothing is changed. Raises ColorizeError (wrong usage) for what cannot be written.
    """
    if not options.each_ref:
        return [*targets], options, None
    pairs = _pairs(options)
    _check(targets, len(pairs), options)
    single = replace(options, grid=False)
    found, taken = list[outputs.Target](), set[Path]()
    for pair in pairs:
        for target in targets:
            assert target.result is not None
            named = target.result.with_name(f"{target.result.stem}_{pair.name}{target.result.suffix}")
            result = next(name for name in records.names(named) if name not in taken)
            taken.add(result)
            found.append(replace(target, result=result, pair=pair))
    outputs.check_drawings_stay(found, single)
    if not options.grid:
        return found, single, None
    alone = len(targets) == 1 and targets[0].result
    path = alone or Path(options.out or outputs.FOLDER) / GRID
    return found, single, Grid(path, tuple(targets), tuple(pairs), options)


def _pairs(options: SampleOptions) -> list[Pair]:
    """The references one by one; those of the same name are numbered."""
    from colorize.coloring import inputs
    from colorize.images import listing

    given = options.reference
    texts = [str(one) for one in ([given] if isinstance(given, str | Path) else given)]  # type: ignore[union-attr]
    paths = [one.path for text in texts for one in listing.find([text]) if one.path]
    found: dict[str, Pair] = {}
    for path in paths:
        name = next(one.name for one in records.names(Path(path.stem)) if one.name not in found)
        own = replace(options, reference=(str(path),), grid=False)
        found[name] = Pair(name, inputs.job_template(own).references, records.options_of(own))
    return [*found.values()]


def _check(targets: Sequence[Target], references: int, options: SampleOptions) -> None:
    if not references:
        raise ColorizeError("--each-ref has no references", "give them with --ref", code=2)
    if any(target.result is None for target in targets):
        hint = "name a file or a folder with --out"
        raise ColorizeError(f"standard output takes one picture, and --each-ref makes {references}", hint, code=2)
    if options.grid and options.variations > 1:
        message = "--each-ref --grid shows one result of each pair, without variations"
        raise ColorizeError(message, "leave --grid or --variations out", code=2)
    outputs.check_extras(options, references * len(targets))


def write(grid: Grid, plan: Plan, report: Reporter) -> None:
    """Write a grid of all results that there are: the references above, the drawings on the left."""
    from colorize.images import files

    shown = [*plan.todo, *(target for target, _ in plan.done)]
    made = {(one.name, one.pair.name): one for one in shown if one.pair and one.settled[0].path.exists()}
    if not made:
        return
    results = files.sha256([one.settled[0].path for one in made.values()])[:12]
    source = Source(results, records.place(grid.path), records.options_of(grid.options))
    if path := records.write(grid.path, source, grid.options, partial(_drawn, grid, made), report):
        report.note(f"the grid of all pairs is `{path}`")


def _drawn(grid: Grid, made: Mapping[tuple[str, str], Target]) -> Picture:
    """Draw a grid. made: targets with results, by the names of drawing and pair."""
    import numpy as np

    from colorize.coloring import album, inputs
    from colorize.images import files
    from colorize.images.image import Picture

    cell = min(album.CELL, SIDE // (1 + max(len(grid.drawings), len(grid.pairs))))
    references = [inputs.shrink(pair.references[0].picture, cell) for pair in grid.pairs]
    rows = list[Picture]()
    for drawing in grid.drawings:
        cells = [made.get((drawing.name, pair.name)) for pair in grid.pairs]
        if given := next((one.path or (one.read and one.read()) for one in cells if one), None):
            first = inputs.shrink(files.read(given), cell)
            blank = Picture(np.full((*first.size, 1), 255, np.uint8))
            rows += [] if rows else [blank, *references]
            rows += [first, *(inputs.shrink(files.read(one.settled[0].path), cell) if one else blank for one in cells)]
    return album.grid(rows, 1 + len(references))
