"""What `sample` does with its options: find drawings, color them, write results. Knows nothing of options' names."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colorize.cli import beside, common
from colorize.cli.places import STDIO, Place, guard, plan
from colorize.cli.show import Show
from colorize.errors import ColorizeError

if TYPE_CHECKING:
    from colorize.painter import Outcome
    from colorize.painter.options import Job, Named
    from colorize.pictures.marks import Mark

USAGE = 2  # the exit code for wrong usage
HINTS = (
    ".json",
    ".png",
    ".webp",
    ".tif",
    ".tiff",
    ".jpg",
    ".jpeg",
)  # what a folder may hold per drawing


@dataclass(frozen=True)
class Form:
    """What is made of every drawing, and where it goes."""

    out: str | None = None
    variations: int = 1
    grid: bool = False
    film: Path | None = None
    layers: Path | None = None
    overwrite: bool = False

    def files(self, place: Place) -> tuple[Path, ...]:
        """The result files of a drawing."""
        return place.results(1 if self.grid else self.variations)

    def is_done(self, place: Place) -> bool:
        """Whether nothing is left to be made."""
        files = (*self.files(place), *(one for one in (self.film, self.layers) if one))
        return not self.overwrite and place.result is not None and all(map(Path.exists, files))


@dataclass(frozen=True)
class Given:
    """What is given beside the drawings: references or their folders, a palette; hints or their folder, dots."""

    references: tuple[str, ...] = ()
    palette: str = ""
    hints: Path | None = None
    dots: tuple[str, ...] = ()


@dataclass(frozen=True)
class Model:
    """Which model, and where it computes."""

    name: str
    device: str
    offline: bool


@dataclass(frozen=True)
class Voice:
    """How results are told."""

    quiet: bool
    as_json: bool


def color(
    inputs: Sequence[str],
    form: Form,
    given: Given,
    model: Model,
    settings: Mapping[str, Any],
    voice: Voice,
) -> None:
    """Color all pictures; raises typer.Exit where some of several failed.

    Raises ColorizeError for wrong usage before anything is done, and for a single picture that fails.
    """
    import typer

    places = _places(inputs, form, voice)
    show = Show(len(places), voice.quiet, voice.as_json)
    todo = [place for place in places if not form.is_done(place)]
    for place in places:
        if form.is_done(place):
            show.skipped(
                place.name, place.result, "its result is there; --overwrite makes it again"
            )
    try:
        if todo:
            _work(todo, form, given, model, settings, show)
    except KeyboardInterrupt:
        hint = "give the same command again to go on; finished results are skipped"
        raise ColorizeError("interrupted", hint, code=common.INTERRUPTED) from None
    finally:
        show.summary()
    if show.counts["failed"]:
        raise typer.Exit(3)


def _places(inputs: Sequence[str], form: Form, voice: Voice) -> list[Place]:
    """Where results will go; refuses what cannot go there."""
    from colorize.pictures import listing

    sources = listing.find(inputs)
    places = plan(inputs, sources, form.out)
    if not places:
        raise ColorizeError("all these pictures are results of an earlier run", "name the drawings")
    if places[0].result is None and (voice.as_json or (form.variations > 1 and not form.grid)):
        what = "JSON" if voice.as_json else f"{form.variations} variations"
        raise ColorizeError(
            f"standard output holds one picture and no {what} beside it",
            "name a file or a folder with --out",
            code=2,
        )
    beside.check(form.film, form.layers, len(places), form.variations)
    guard([file for place in places for file in form.files(place)], places)
    return places


def _work(
    places: Sequence[Place],
    form: Form,
    given: Given,
    model: Model,
    settings: Mapping[str, Any],
    show: Show,
) -> None:
    from colorize import checkpoint, painter
    from colorize.networks import machine
    from colorize.painter.options import Options
    from colorize.pictures import marks

    options = Options(**settings)
    dots = tuple(marks.parse(text) for text in given.dots)
    references = _references(given.references, show)
    if given.palette:
        references += (painter.colors(given.palette),)
    loaded = checkpoint.load(model.name, offline=model.offline, device=machine.device(model.device))
    if not show.quiet:
        common.fetched(loaded.notice)
    jobs = _jobs(places, references, given.hints, dots)
    folder = given.hints if given.hints and given.hints.is_dir() else None
    if folder and not any(_hints_in(folder, place) for place in places):
        show.note(f"`{folder}` holds no hints of the drawings' names")
    waiting = iter(places)
    with show.watched():
        for event in painter.work(loaded, jobs, options):
            if isinstance(event, painter.Step):
                show.step(event.share)
            else:
                _keep(next(waiting), event, form, show)


def _references(given: Sequence[str], show: Show) -> tuple[Named, ...]:
    """Read all references; a folder stands for its pictures."""
    from colorize import painter
    from colorize.pictures import listing

    if STDIO in given:
        raise ColorizeError(
            "standard input may be a drawing, but no reference", "name a file with --ref", code=2
        )
    found = [painter.named(one.path) for one in listing.find(given) if one.path] if given else []
    for one in found:
        for note in one.picture.notes:
            show.note(note)
    return tuple(found)


def _jobs(
    places: Sequence[Place],
    references: tuple[Named, ...],
    hints: Path | None,
    dots: tuple[Mark, ...],
) -> Iterator[Job]:
    """One job per drawing, made when its turn comes."""
    from colorize.painter.hinting import read_hints
    from colorize.painter.options import Job

    folder = hints if hints and hints.is_dir() else None
    shared = read_hints(hints) if hints and not folder else None
    for place in places:
        drawing = place.path or common.piped(sys.stdin, "input").read()
        own = _hints_in(folder, place) if folder else shared
        yield Job(place.name, drawing, references, own, dots)


def _hints_in(folder: Path, place: Place) -> Path | None:
    """The hints of a drawing in a folder: pages/p1.png has p1.png or p1.json there."""
    paths = (folder / place.relative.with_suffix(suffix) for suffix in HINTS)
    return next((path for path in paths if path.is_file()), None)


def _keep(place: Place, outcome: Outcome, form: Form, show: Show) -> None:
    """Write the results of one drawing, or tell why there are none."""
    from colorize.painter.framing import Colored

    error = outcome.error
    try:
        if error:
            raise error
        _write(place, outcome, form, show)
        show.colored()
    except Colored as found:
        if show.total == 1:
            raise
        show.skipped(place.name, None, found.message)
    except ColorizeError as found:
        if found.code == USAGE:  # the same for every drawing
            raise
        show.failed(place.name, found)


def _write(place: Place, outcome: Outcome, form: Form, show: Show) -> None:
    from colorize.painter import album
    from colorize.pictures import files

    painted = outcome.painted
    beside.write(painted[0], form.film, form.layers, show)
    if form.grid and outcome.drawing:
        given = [one.picture for one in outcome.job.references]
        whole = album.grid([outcome.drawing, *given, *(one.picture for one in painted)])
        painted = (replace(painted[0], picture=whole),)
    if place.result is None:
        data = files.encode(painted[0].picture, ".png")
        common.piped(sys.stdout, "output").write(data)
    for one, path in zip(painted, form.files(place), strict=False):
        notes = files.write(one.picture, path)
        show.done(place.name, replace(one, notes=(*one.notes, *notes)), path)
