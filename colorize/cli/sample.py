"""`colorize sample`: find drawings, color them, and write the results."""

from __future__ import annotations

import glob
import inspect
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from colorize import interrupts
from colorize.cli import dry_run, messages, outputs
from colorize.cli.messages import Reporter
from colorize.cli.outputs import Target
from colorize.cli.volumes import VolumeJob
from colorize.coloring.options import Job, SampleOptions, weights
from colorize.errors import ColorizeError

if TYPE_CHECKING:
    from colorize.checkpoints.model_files import Loaded
    from colorize.coloring.paint import Outcome

HINTS = (".json", ".png", ".webp", ".tif", ".tiff", ".jpg", ".jpeg")  # of the files of a folder of hints
USAGE = 2  # the exit code for wrong usage
PARSERS: dict[str, Callable[[list[str]], Any]] = {
    "guidance": lambda texts: weights("--guidance", texts),
    "strength": lambda texts: weights("--strength", texts),
    "lora": messages.adapters,
}


def with_options(command: Callable[[list[str], SampleOptions], None]) -> Callable[..., None]:
    """Give a command an option for every field of `SampleOptions`."""

    @wraps(command)
    def run(pictures: list[str], **values: Any) -> None:
        given = {name: value for name, value in values.items() if value is not None}
        for name, value in given.items():
            if isinstance(value, list):
                given[name] = PARSERS.get(name, tuple)(value)
        command(pictures, SampleOptions(**given))

    parameters = [*inspect.signature(command, eval_str=True).parameters.values()][:1]
    for one in (one for one in fields(SampleOptions) if one.metadata):
        kind: Any = one.type
        if isinstance(kind, str):  # of several types: texts, a text or a path
            kind = {str: str, type(None): Path}.get(type(one.default), list[str])
        default = one.default if isinstance(one.default, str | int) else None
        kind = kind if default is not None else kind | None
        kind = Annotated[kind, messages.sample_option(one.name)]
        parameters.append(inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind))
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return run


@with_options
def sample(
    pictures: Annotated[
        list[str],
        typer.Argument(metavar="PICTURE", help="Files, folders, volumes (CBZ, ZIP) or patterns to color; - is stdin"),
    ],
    options: SampleOptions,
) -> None:
    """Color line art, manga pages, volumes (CBZ) and gray pictures.

    Results have the size of the drawing and keep its lines. Existing results are skipped, so the same
    command continues an interrupted run.

    Examples:
        colorize sample sketch.png --ref ref.png
        colorize sample pages/ --ref hero.png --ref villain.png --out colored/
    """
    targets = outputs.targets(pictures, options)
    from colorize.coloring import paint  # now, while Ctrl-C may still end the program at once

    paint.check_model(options)
    interrupts.begin()
    plan = make_plan(targets, options)
    if options.dry_run:
        dry_run.estimate(plan, options, prepare)
        return
    report = Reporter(plan.total, options.quiet, options.as_json)
    try:
        _report_plan(plan, report)
        if plan.todo:
            _color(plan.todo, options, report)
    except KeyboardInterrupt:
        hint = "repeat the command to continue; finished results are skipped" if plan.total > 1 else ""
        raise ColorizeError("interrupted", hint, code=messages.INTERRUPTED) from None
    finally:
        for volume in plan.volumes:
            volume.close()
        report.summary()
    if report.counts["failed"]:
        raise typer.Exit(3)


@dataclass(frozen=True)
class Plan:
    """What to color, pages of volumes one by one, and what not to, with the reason."""

    todo: list[Target] = field(default_factory=list)
    done: list[tuple[Target, str]] = field(default_factory=list)
    refused: list[tuple[Target, ColorizeError]] = field(default_factory=list)
    volumes: list[VolumeJob] = field(default_factory=list)

    @property
    def total(self) -> int:
        """The number of pictures, pages included."""
        return len(self.todo) + len(self.done) + len(self.refused)


def make_plan(targets: Sequence[Target], options: SampleOptions) -> Plan:
    """Look at the results that exist, and into the volumes."""
    plan = Plan()
    for target in targets:
        try:
            if target.is_done(options):
                _check_same_drawing(target, target.files(options)[0])
                plan.done.append((target, "its result exists; --overwrite replaces it"))
            elif not target.is_volume:
                plan.todo.append(target)
            else:
                volume = VolumeJob(target, options, alone=len(targets) == 1)
                plan.volumes.append(volume)
                for page in volume.pages():
                    if page.page in volume.left:
                        plan.todo.append(page)
                    else:
                        plan.done.append((page, f"an earlier run has {volume.results[page.page].state} it"))
        except ColorizeError as error:
            plan.refused.append((target, error))
    return plan


def _check_same_drawing(target: Target, result: Path) -> None:
    """Refuse an existing result that was made of another drawing, as its metadata say."""
    from colorize.images import files
    from colorize.images.decode import read_texts
    from colorize.images.metadata import MARK

    if target.is_volume or target.path is None:
        return
    with suppress(OSError, ValueError):
        drawing = json.loads(read_texts(result.read_bytes()).get(MARK, "{}")).get("drawing")
        if drawing and drawing != files.fingerprint(target.path):
            message = f"`{result}` exists, but was made from another drawing than `{target.name}`, or before it changed"
            raise ColorizeError(message, "name another file or folder with --out, or replace it with --overwrite")


def _report_plan(plan: Plan, report: Reporter) -> None:
    """Report what is done already, and what cannot be; finish volumes whose last page was done."""
    for target, why in plan.done:
        report.skipped(target.name, target.volume.result if target.volume else target.result, why)
    if (existing := sum(target.volume is None for target, _ in plan.done)) > 1:
        report.note(f"{existing} results exist, with the options of their run; --overwrite replaces them")
    for target, error in plan.refused:
        report.failed(target.name, error)
    for volume in plan.volumes:
        if volume.dropped:
            pages = messages.counted(volume.dropped, "finished page")
            report.note(f"`{volume.target.name}` starts over: {pages} had other options")
        if not volume.left:
            volume.finish(report)


def prepare(targets: Sequence[Target], options: SampleOptions, report: Reporter) -> tuple[Loaded, Iterator[Job]]:
    """Load the model, and read what all drawings share; return the model and a job per drawing, read when needed."""
    from colorize.checkpoints import model_files
    from colorize.coloring import inputs, paint

    template = inputs.job_template(options)
    for one in template.references:
        for note in one.picture.notes:
            report.note(note)
    if options.visualize:
        outputs.check_region_map(options, template)
    loaded = paint.load_model(options)
    if ambiguous := model_files.ambiguous(str(options.model)):
        report.note(ambiguous)
    if not options.quiet:
        messages.fetched(loaded.notice)
    folder = _folder(options.hints)
    if folder and not any(_file_of(folder, target, HINTS) for target in targets):
        report.note(f"`{folder}` holds no hints named like the drawings")
    if options.visualize and not options.dry_run:
        outputs.write_region_map(loaded, options, template, report)
    return loaded, _jobs(targets, template, options)


def _jobs(targets: Sequence[Target], template: Job, options: SampleOptions) -> Iterator[Job]:
    from colorize.images import files

    for target in targets:
        drawing = target.path or target.read or messages.piped(sys.stdin, "input").read()
        job = replace(template, name=target.name, drawing=drawing)
        if folder := _folder(options.hints):
            job = replace(job, hints=_file_of(folder, target, HINTS))
        if folder := _folder(options.mask):
            if not (path := _file_of(folder, target, (".*",))):
                message = f"`{folder}` holds no mask for `{target.relative}`"
                raise ColorizeError(message, "name it like the drawing, or use auto")
            job = replace(job, mask=files.read(path))
        yield job


def _folder(given: object) -> Path | None:
    """An option that names a folder of one file per drawing."""
    return Path(given) if isinstance(given, str | Path) and given and Path(given).is_dir() else None


def _file_of(folder: Path, target: Target, suffixes: Sequence[str]) -> Path | None:
    """The file of a drawing in a folder: pages/p1.png has p1.png or p1.json there."""
    below = (folder / target.relative).parent
    found = (path for suffix in suffixes for path in sorted(below.glob(f"{glob.escape(target.relative.stem)}{suffix}")))
    return next((path for path in found if path.is_file()), None)


def _color(targets: Sequence[Target], options: SampleOptions, report: Reporter) -> None:
    from colorize.coloring import paint
    from colorize.coloring.batch import Step

    loaded, jobs = prepare(targets, options, report)
    waiting = iter(targets)
    with report.watched():
        for event in paint.work(loaded, jobs, options):
            interrupts.check()
            if isinstance(event, Step):
                report.step(event.share)
            else:
                _keep(next(waiting), event, options, report)


def _keep(target: Target, outcome: Outcome, options: SampleOptions, report: Reporter) -> None:
    """Write the results of one drawing, or report why there are none."""
    from colorize.coloring.inputs import AlreadyColored

    error, volume = outcome.error, target.volume
    try:
        if isinstance(error, AlreadyColored) and (volume or report.total > 1):
            _leave(target, error.message, options, report)
        elif error:
            raise error
        else:
            _write(target, outcome, options, report)
            if volume:
                volume.record(target, "colored")
            report.count("colored")
    except ColorizeError as found:
        if found.code == USAGE or isinstance(found, AlreadyColored):  # the same for every drawing, or alone
            raise
        if volume:
            volume.record(target, "failed", found.message)
        report.failed(target.name, found)
    if volume and not volume.left:
        volume.finish(report)


def _leave(target: Target, why: str, options: SampleOptions, report: Reporter) -> None:
    """Leave a drawing as it is, since it is in color or blank; copy it where results are to be complete."""
    from colorize.images import files

    if target.volume:
        target.volume.record(target, "kept", why)
    elif target.is_copied(options) and target.path and target.copy:
        files.copy(target.path, target.copy)
        report.copied(target.name, target.copy, why)
        return
    elif target.copy is None and not options.grid:
        report.note("skipped pictures were not copied; --out FOLDER copies them")
    report.skipped(target.name, None, why)


def _write(target: Target, outcome: Outcome, options: SampleOptions, report: Reporter) -> None:
    from colorize.coloring import album
    from colorize.images import files
    from colorize.images.encode import encode

    painted = outcome.painted
    outputs.write_extras(painted[0], options, report)
    if options.grid and outcome.drawing:
        references = [one.picture for one in outcome.job.references]
        whole = album.grid([outcome.drawing, *references, *(one.picture for one in painted)])
        painted = (replace(painted[0], picture=whole),)
    if target.result is None:
        messages.piped(sys.stdout, "output").write(encode(painted[0].picture, ".png"))
    for one, path in zip(painted, target.files(options), strict=False):
        notes = files.write(one.picture, path)
        result = target.volume.result if target.volume else path
        report.done(target.name, replace(one, notes=(*one.notes, *notes)), result, bool(target.volume))
