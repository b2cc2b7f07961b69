"""`colorize sample`: find drawings, color them, and write the results."""

from __future__ import annotations

import inspect
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from colorize import interrupts
from colorize.cli import dry_run, messages, outputs, pairs, records, regions, watching
from colorize.cli.messages import Reporter
from colorize.cli.outputs import Target
from colorize.cli.records import Settled
from colorize.cli.volumes import VolumeJob, divided
from colorize.coloring.options import Job, SampleOptions, weights
from colorize.errors import ColorizeError, DiskFullError

if TYPE_CHECKING:
    from colorize.checkpoints.model_files import Loaded
    from colorize.coloring.paint import Outcome
    from colorize.images.image import Picture

USAGE = 2  # the exit code for wrong usage
PARSERS: dict[str, Callable[[list[str]], Any]] = {
    "guidance": lambda texts: weights("--guidance", texts),
    "strength": lambda texts: weights("--strength", texts),
    "lora": messages.adapters,
}


def with_options(command: Callable[[list[str], SampleOptions], None]) -> Callable[..., None]:
    """Give a command an option for every field of `SampleOptions`."""

    @wraps(command)
    def run(context: typer.Context, pictures: list[str], **values: Any) -> None:
        if values["regions"]:  # works without a model: what `colorize.toml` says of coloring is not for it
            values = {
                name: None if value == (context.default_map or {}).get(name) else value
                for name, value in values.items()
            }
        given = {name: value for name, value in values.items() if value is not None}
        for name, value in given.items():
            if value == "" or (isinstance(value, list) and "" in value):
                flag = messages.flag(name)
                raise ColorizeError(f"{flag} is empty", f"give it a value, or leave {flag} out", code=USAGE)
            if isinstance(value, list):
                given[name] = PARSERS.get(name, tuple)(value)
        command(pictures, SampleOptions(**given))

    context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    parameters = [context, *inspect.signature(command, eval_str=True).parameters.values()][:2]
    for one in (one for one in fields(SampleOptions) if one.metadata):
        kind: Any = one.type
        if isinstance(kind, str):  # of several types: texts, a text or a path
            kind = {str: str, type(None): Path}.get(type(one.default), list[str])
        default = one.default if isinstance(one.default, str | int) and one.default != "" else None
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

    Results have the size of the drawing and keep its lines. The same command skips what it has made, so it
    continues an interrupted run; another command replaces it, but nothing that was edited since.

    Examples:
        colorize sample sketch.png --ref ref.png
        colorize sample pages/ --ref hero.png --ref villain.png --out colored/
    """
    if options.regions:
        regions.recolor(pictures, options)
        return
    if options.watch:
        watching.check(pictures, options)
    targets = [] if options.watch else divided(outputs.targets(pictures, options), options)
    from colorize.coloring import inputs, paint  # now, while Ctrl-C may still end the program at once
    from colorize.networks import devices

    paint.check_model(options)
    devices.device(options.device)
    template, values = inputs.job_template(options), records.options_of(options)
    interrupts.begin()
    if options.watch:
        _watch(pictures, template, values, options)
        return
    targets, options, grid = pairs.of(targets, options)
    plan = make_plan(targets, values, options, alone=len(targets) == 1)
    if options.dry_run:
        dry_run.estimate(plan, options, partial(prepare, template))
        return
    report = Reporter(plan.total, options.quiet, options.as_json)
    try:
        _carry_out(plan, partial(load, template, options, report), template, options, report)
        if grid:
            pairs.write(grid, plan, report)
    except KeyboardInterrupt:
        hint = "" if report.alone else "repeat the command to continue; finished results are skipped"
        raise ColorizeError("interrupted", hint, code=messages.INTERRUPTED) from None
    finally:
        report.summary()
    if report.counts["failed"]:
        raise typer.Exit(3)


def _watch(folders: Sequence[str], template: Job, values: records.Values, options: SampleOptions) -> None:
    """Color what is in folders and what is saved into them, with one model, until Ctrl-C."""
    report = Reporter(0, options.quiet, options.as_json)
    where = ", ".join(f"`{one}`" for one in folders)
    try:
        loaded = load(template, options, report)
        if not options.quiet:
            messages.say(f"watching {where}; Ctrl-C ends it")

        def color(targets: Sequence[Target]) -> None:
            plan = make_plan(targets, values, options)
            report.total += plan.total
            _carry_out(plan, lambda: loaded, template, options, report)

        watching.watch(folders, options, color)
    except KeyboardInterrupt:
        if not options.quiet:
            messages.say(f"stopped watching {where}: {report.told() or 'nothing was saved there'}")


def _carry_out(
    plan: Plan, model: Callable[[], Loaded], template: Job, options: SampleOptions, report: Reporter
) -> None:
    """Report what is done, and color the rest."""
    try:
        _report_plan(plan, options, report)
        if plan.todo:
            _color(model(), plan, template, options, report)
    finally:
        for volume in plan.volumes:
            volume.close()


@dataclass(frozen=True)
class Plan:
    """What to color, pages of volumes one by one, and what not to, with the reason."""

    todo: list[Target] = field(default_factory=list)
    done: list[tuple[Target, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    refused: list[tuple[Target, ColorizeError]] = field(default_factory=list)
    volumes: list[VolumeJob] = field(default_factory=list)

    @property
    def total(self) -> int:
        """The number of pictures, pages included."""
        return len(self.todo) + len(self.done) + len(self.refused)


def make_plan(targets: Sequence[Target], values: records.Values, options: SampleOptions, alone: bool = False) -> Plan:
    """Look at the results that exist, and into the volumes.

    values: what `records.options_of` returns. alone: whether the only target is all that was named.
    """
    plan = Plan()
    taken = {path for target in targets for path in target.files(options)}
    again, kept = defaultdict[str, list[Settled]](list), defaultdict[str, list[Settled]](list)
    for target in targets:
        try:
            target = outputs.settle(target, options, target.pair.values if target.pair else values, taken)
            for one in target.settled:
                again[one.again].append(one)
                kept[one.kept].append(one)
            if target.is_done(options):
                copied = target.settled[0].copied
                why = "it was copied unchanged" if copied else "its result exists, made with the same options"
                plan.done.append((target, why))
            elif not target.is_volume:
                plan.todo.append(target)
            else:
                volume = VolumeJob(target, options, alone)
                plan.volumes.append(volume)
                for page in volume.pages():
                    if page.page in volume.left:
                        plan.todo.append(page)
                    else:
                        plan.done.append((page, f"an earlier run has {volume.results[page.page].state} it"))
        except Exception as error:  # whatever is wrong with this one, the others go on
            known = messages.explain(error)
            if isinstance(known, DiskFullError):
                raise
            plan.refused.append((target, known))
    plan.notes.extend(_notes(again, kept))
    return plan


def _notes(again: Mapping[str, Sequence[Settled]], kept: Mapping[str, Sequence[Settled]]) -> Iterator[str]:
    """Say which results are made again, and which stay, by the reason."""
    for why, some in again.items():
        if why and len(some) == 1:
            yield f"`{some[0].path}` was made {why}; it is replaced"
        elif why:
            yield f"{len(some)} results were made {why}; they are made again"
    for why, some in kept.items():
        if why:
            more = f", as do {len(some) - 1} others" if len(some) > 1 else ""
            yield f"`{some[0].stays}` {why} and stays{more}; the new picture is `{some[0].path}`"


def _report_plan(plan: Plan, options: SampleOptions, report: Reporter) -> None:
    """Report what is done already, and what cannot be; finish volumes whose last page was done."""
    for target, why in plan.done:
        results = (target.volume.result,) if target.volume else target.files(options)
        report.skipped(target.name, why, results, bool(target.volume))
    for target, error in plan.refused:
        report.failed(target.name, error)
    for volume in plan.volumes:
        if volume.dropped:
            pages = messages.counted(volume.dropped, "finished page")
            report.note(f"`{volume.target.name}` starts over: {pages} had other options")
        if not volume.left:
            volume.finish(report)


def prepare(
    template: Job, targets: Sequence[Target], options: SampleOptions, report: Reporter
) -> tuple[Loaded, Iterator[Job]]:
    """Load the model; return it and a job per drawing, read when needed. template: what all drawings share."""
    return load(template, options, report), _jobs(targets, template, options, report)


def load(template: Job, options: SampleOptions, report: Reporter) -> Loaded:
    """Load the model, and report on what all drawings share."""
    from colorize.checkpoints import model_files
    from colorize.coloring import paint

    for one in template.references:
        for note in one.picture.notes:
            report.note(note)
    if options.visualize:
        _check_region_map(options, template)
    loaded = paint.load_model(options)
    if ambiguous := model_files.ambiguous(str(options.model)):
        report.note(ambiguous)
    if not options.quiet:
        messages.fetched(loaded.notice)
    if options.visualize and not options.dry_run:
        _write_region_map(loaded, options, template, report)
    return loaded


def _check_region_map(options: SampleOptions, job: Job) -> None:
    """Refuse a map of edits without edits, or on other than one reference (ColorizeError, wrong usage)."""
    if not options.settings or not options.settings.reads_text:
        hint = 'add --text, such as --text "hair: blonde", or leave --visualize out'
        raise ColorizeError("--visualize has no edits by words to show", hint, code=2)
    if len(job.references) != 1:
        message = f"--visualize draws on one reference, and {len(job.references)} were given"
        raise ColorizeError(message, "give one --ref, or leave --visualize out", code=2)


def _write_region_map(loaded: Loaded, options: SampleOptions, job: Job, report: Reporter) -> None:
    """Write the map of what edits by words change on the reference."""
    assert options.settings is not None
    assert options.visualize is not None
    source = records.Source("", "", records.options_of(options))
    given = loaded.colorizer, job.references[0].picture, options.settings
    records.write(options.visualize, source, options, lambda: loaded.recipe.system.region_map(*given), report)


def _jobs(targets: Sequence[Target], template: Job, options: SampleOptions, report: Reporter) -> Iterator[Job]:
    if folder := outputs.folder_of(options.hints):
        bare = [target.name for target in targets if not outputs.file_of(folder, target, outputs.HINTS)]
        if bare:
            more = f" and {len(bare) - 1} more" if len(bare) > 1 else ""
            report.note(f"`{folder}` has no hints for `{bare[0]}`{more}; name them like the drawing")
    for target in targets:
        drawing = target.path or target.read or messages.piped_input()
        job = replace(template, references=target.pair.references) if target.pair else template
        job = replace(job, name=target.name, drawing=drawing, results=outputs.earlier(target, options))
        if folder := outputs.folder_of(options.hints):
            job = replace(job, hints=outputs.file_of(folder, target, outputs.HINTS))
        try:
            if folder := outputs.folder_of(options.mask):
                job = replace(job, mask=_mask(folder, target, "name it like the drawing, or use auto"))
            if folder := outputs.folder_of(options.only):
                job = replace(job, only=_mask(folder, target, "name it like the drawing"))
        except ColorizeError as error:
            job = replace(job, drawing=partial(_fail, error))  # it ends this job, not the others
        yield job


def _mask(folder: Path, target: Target, hint: str) -> Picture:
    """The mask of a drawing in a folder of one for each."""
    from colorize.images import files

    if path := outputs.file_of(folder, target, (".*",)):
        return files.read(path)
    raise ColorizeError(f"`{folder}` holds no mask for `{target.relative}`", hint)


def _fail(error: ColorizeError) -> NoReturn:
    raise error


def _color(loaded: Loaded, plan: Plan, template: Job, options: SampleOptions, report: Reporter) -> None:
    from colorize.coloring import paint
    from colorize.coloring.batch import Step

    jobs, waiting = _jobs(plan.todo, template, options, report), iter(plan.todo)
    with report.watched():
        for event in paint.work(loaded, jobs, options):
            interrupts.check()
            if isinstance(event, Step):
                report.step(event.share)
            else:
                for note in plan.notes if event.painted else ():
                    report.note(note)
                _keep(next(waiting), event, options, report)


def _keep(target: Target, outcome: Outcome, options: SampleOptions, report: Reporter) -> None:
    """Write the results of one drawing, or report why there are none."""
    from colorize.coloring.inputs import AlreadyColored

    error, volume = outcome.error, target.volume
    try:
        if isinstance(error, AlreadyColored) and (volume or not report.alone):
            _leave(target, error.message, options, report)
        elif error:
            raise error
        else:
            _write(target, outcome, options, report)
            if volume:
                volume.record(target, "colored")
            report.count("colored")
    except Exception as caught:
        found, ending = messages.explain(caught), (DiskFullError, AlreadyColored)  # OSError: of standard output
        if isinstance(caught, OSError) or isinstance(found, ending) or found.code in (USAGE, messages.INTERRUPTED):
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
    report.skipped(target.name, why)


def _write(target: Target, outcome: Outcome, options: SampleOptions, report: Reporter) -> None:
    from colorize.coloring import album
    from colorize.images import files
    from colorize.images.encode import encode

    pictures = [one.picture for one in outcome.painted]
    if options.grid and outcome.drawing:
        references = [one.picture for one in outcome.job.references]
        pictures = [album.grid([outcome.drawing, *references, *pictures])]
    if target.result is None:
        outputs.write_extras(outcome.painted[0], target, 0, outcome.drawing, options, report)
        messages.piped(sys.stdout, "output").write(encode(pictures[0], ".png"))
    for at, (one, picture, path) in enumerate(zip(outcome.painted, pictures, target.files(options), strict=False)):
        notes: tuple[str, ...] = ()
        if not target.settled or not target.settled[at].done:
            extras = outputs.write_extras(one, target, at, outcome.drawing, options, report)
            if target.source:
                picture = records.with_record(picture, one.meta, target.source, extras)
            notes = files.write(picture, path)
        result = target.volume.result if target.volume else path
        report.done(target.name, replace(one, notes=(*one.notes, *notes)), result, bool(target.volume))
