"""What `sample` does with its options: find drawings, color them, write results. Knows nothing of options' names."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from colorize import interrupts
from colorize.cli import dry_run, messages, outputs, sample_plan
from colorize.cli.dry_run import Ready
from colorize.cli.outputs import Place
from colorize.cli.progress import Show
from colorize.cli.sample_inputs import Given, hints_in, jobs, references
from colorize.cli.sample_plan import Form, Model, Voice
from colorize.errors import ColorizeError

if TYPE_CHECKING:
    from colorize.coloring.paint import Outcome

USAGE = 2  # the exit code for wrong usage


def color(
    inputs: Sequence[str], form: Form, given: Given, model: Model, settings: Mapping[str, Any], voice: Voice
) -> None:
    """Color all pictures; raises typer.Exit where some of several failed.

    Raises ColorizeError for wrong usage before anything is done, and for a single picture that fails.
    """
    import typer

    places = sample_plan.places(inputs, form, voice)
    _ready_to_begin(model)
    plan = sample_plan.planned(places, form, sample_plan.stamp(form, given, model, settings))
    if form.dry:
        dry_run.tell(plan, form, lambda some, show: _prepared(some, form, given, model, settings, show), voice)
        return
    show = Show(plan.total, voice.quiet, voice.as_json)
    try:
        _settled(plan, show)
        for book in plan.books:
            if book.dropped:
                show.note(
                    f"`{book.place.name}` begins anew, since {messages.counted(book.dropped, 'finished page')}"
                    " had other options"
                )
            if not book.left:  # stopped between the last page and the volume
                book.finish(show)
        if plan.todo:
            _work(plan.todo, form, given, model, settings, show)
    except KeyboardInterrupt:
        again = "give the same command again to go on; finished results are skipped"
        hint = again if plan.total > 1 else ""
        raise ColorizeError("interrupted", hint, code=messages.INTERRUPTED) from None
    finally:
        for book in plan.books:
            book.close()
        show.summary()
    if show.counts["failed"]:
        raise typer.Exit(3)


def _settled(plan: sample_plan.Plan, show: Show) -> None:
    """Tell what is done already, and what cannot be."""
    for place, why in plan.done:
        show.skipped(place.name, place.book.result if place.book else place.result, why)
    if (there := sum(place.book is None for place, _ in plan.done)) > 1:
        show.note(f"{there} results are there, with the options of then; --overwrite makes them anew")
    for place, error in plan.refused:
        show.failed(place.name, error)


def _ready_to_begin(model: Model) -> None:
    """Import what takes time while Ctrl-C may end the program at once, and refuse a model that is not there."""
    from colorize.checkpoints import find
    from colorize.coloring import paint  # noqa: F401

    find.check(model.name)
    interrupts.begin()


def _work(
    places: Sequence[Place], form: Form, given: Given, model: Model, settings: Mapping[str, Any], show: Show
) -> None:
    from colorize.coloring import paint
    from colorize.coloring.batch import Step

    ready = _prepared(places, form, given, model, settings, show)
    if form.map and ready.options.settings:
        outputs.draw_map(ready.loaded, ready.references[0], ready.options.settings, form.map, show)
    waiting = iter(places)
    with show.watched():
        for event in paint.work(ready.loaded, ready.jobs, ready.options):
            interrupts.check()
            if isinstance(event, Step):
                show.step(event.share)
            else:
                _keep(next(waiting), event, form, show)


def _prepared(
    places: Sequence[Place], form: Form, given: Given, model: Model, settings: Mapping[str, Any], show: Show
) -> Ready:
    """Read what all drawings share, and load the model."""
    from colorize.checkpoints import find, model_files
    from colorize.coloring import paint
    from colorize.coloring.options import Options
    from colorize.images import color_hints
    from colorize.networks import devices
    from colorize.system import LoadOptions

    options = Options(**settings)
    dots = tuple(color_hints.parse_dots(text) for text in given.dots)
    found = references(given.references, show)
    if given.palette:
        found += (paint.colors(given.palette),)
    if form.map:
        outputs.check_map(found, options.settings)
    words = bool(options.settings and options.settings.reads_text)
    device = devices.device(model.device)
    dtype = devices.precision(options.precision, device)
    wanted = LoadOptions(model.predicts, model.encoder, words, dtype)  # type: ignore[arg-type]
    loaded = model_files.load(model.name, offline=model.offline, device=device, options=wanted, lora=model.adapters)
    if told := find.ambiguous(model.name):
        show.note(told)
    if not show.quiet:
        messages.fetched(loaded.notice)
    folder = given.hints if given.hints and given.hints.is_dir() else None
    if folder and not any(hints_in(folder, place) for place in places):
        show.note(f"`{folder}` holds no hints of the drawings' names")
    return Ready(loaded, options, found, jobs(places, found, given, dots))


def _keep(place: Place, outcome: Outcome, form: Form, show: Show) -> None:
    """Write the results of one drawing, or tell why there are none."""
    from colorize.coloring.inputs import Colored

    error, book = outcome.error, place.book
    try:
        if isinstance(error, Colored) and (book or show.total > 1):
            _leave(place, error.message, form, show)
        elif error:
            raise error
        else:
            _write(place, outcome, form, show)
            if book:
                book.note(place, "colored")
            show.colored()
    except ColorizeError as found:
        if found.code == USAGE or isinstance(found, Colored):  # the same for every drawing, or alone
            raise
        if book:
            book.note(place, "failed", found.message)
        show.failed(place.name, found)
    if book and not book.left:
        book.finish(show)


def _leave(place: Place, why: str, form: Form, show: Show) -> None:
    """Let a drawing be that is in color already, or blank; where results are to be complete, copy it."""
    from colorize.images import files

    if place.book:
        place.book.note(place, "kept", why)
    elif form.keeps(place) and place.path and place.unchanged:
        files.copy(place.path, place.unchanged)
        show.copied(place.name, place.unchanged, why)
        return
    elif place.unchanged is None and not form.grid:
        show.note("pictures that stay as they are were left out; --out FOLDER copies them, too")
    show.skipped(place.name, None, why)


def _write(place: Place, outcome: Outcome, form: Form, show: Show) -> None:
    from colorize.coloring import album
    from colorize.images import files
    from colorize.images.encode import encode

    painted = outcome.painted
    outputs.write(painted[0], form.film, form.layers, show)
    if form.grid and outcome.drawing:
        given = [one.picture for one in outcome.job.references]
        whole = album.grid([outcome.drawing, *given, *(one.picture for one in painted)])
        painted = (replace(painted[0], picture=whole),)
    if place.result is None:
        data = encode(painted[0].picture, ".png")
        messages.piped(sys.stdout, "output").write(data)
    for one, path in zip(painted, form.files(place), strict=False):
        notes = files.write(one.picture, path)
        told = replace(one, notes=(*one.notes, *notes))
        show.done(place.name, told, place.book.result if place.book else path, bool(place.book))
