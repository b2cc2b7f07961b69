"""`colorize train` and `colorize finetune`: options, dry run and progress."""

from __future__ import annotations

import functools
import inspect
import json
import os
import time
from collections.abc import Callable
from dataclasses import Field, asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_type_hints

import typer

from colorize import interrupts
from colorize.cli import complete, messages
from colorize.errors import ColorizeError, nearest
from colorize.training.options import TrainOptions

if TYPE_CHECKING:
    from colorize.recipes.recipe import Recipe
    from colorize.training.loop import Progress
    from colorize.training.run import Training

RUNS = Path("runs")  # where `colorize sample --model NAME` looks, too
WEIGHTS = "model.safetensors"
PRETRAINED = str(RUNS / "anime-diffusion" / WEIGHTS)
EMBEDDED = "mini"  # the model of `sample`
EVERY = 30.0  # seconds between lines where nobody watches
SETTLED = 15.0  # seconds after which the pace of a run is known
LONG = 3600.0  # seconds; nobody expects longer of a first try
FEW = 2000  # pictures; a model that has seen fewer gives gray, or one color
Command = Callable[[str, TrainOptions], None]
SHARED: dict[str, Any] = {"device": messages.Device, "precision": messages.Precision}  # with other commands


def with_options(*without: str) -> Callable[[Command], Callable[..., None]]:
    """Give a command whose parameters are an argument and `options` the fields of TrainOptions as options.

    without: the names of fields that it does not have.
    """

    def decorate(command: Command) -> Callable[..., None]:
        argument = next(iter(inspect.signature(command, eval_str=True).parameters.values()))
        types = get_type_hints(TrainOptions)
        shown = [f for f in fields(TrainOptions) if f.name not in without and (f.metadata or f.name in SHARED)]
        parameters = [_parameter(field, types[field.name]) for field in shown]

        @functools.wraps(command)
        def run(**values: Any) -> None:
            command(values.pop(argument.name), TrainOptions(**values))

        run.__signature__ = inspect.Signature([argument, *parameters])  # type: ignore[attr-defined]
        return run

    return decorate


def _parameter(field: Field[Any], kind: Any) -> inspect.Parameter:
    """Declare a field as Typer wants it; one of seconds is written as a time, such as 2m."""
    about, default = dict(field.metadata), cast(Any, field.default)
    flags = about.pop("flags", ()) or (f"--{field.name.replace('_', '-')}",)
    if about.get("metavar") == "TIME":
        kind, default, about["callback"] = str | None, default and f"{default / 60:g}m", messages.seconds
    if field.name in SHARED:
        annotation = SHARED[field.name]
    elif field.name == "data":
        annotation = Annotated[kind, typer.Argument(**about)]
    else:
        annotation = Annotated[kind, typer.Option(*flags, autocompletion=complete.of(field.name), **about)]
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


@with_options("lora")
def train(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE", help="Train this system, NAME or NAME:VARIANT", autocompletion=complete.of("recipe")
        ),
    ] = "anime-diffusion",
    options: TrainOptions = TrainOptions(),
) -> None:
    """Train a system on a folder of color pictures.

    The same command again goes on where it stopped. The run folder holds the model, a log, and
    samples: drawing, reference, hints, result, truth.

    Examples:
        colorize train --phase pretrain
        colorize train mini pictures/ --budget 9m --set lr=2e-4
    """
    begun = time.monotonic()
    from colorize import recipes

    interrupts.begin()
    if recipe.partition(":")[0] not in recipes.names() and Path(recipe).is_dir():
        hint = f"the recipe comes first: `colorize train {recipes.names()[0]} {recipe}`"
        message = f"there is no recipe `{recipe}`, but a folder of that name"
        raise ColorizeError(message, f"{hint}; {nearest(recipe, recipes.names())}", code=2)
    found, run = recipes.find(recipe), RUNS / recipe.replace(":", "-")
    pretrained = str(run / WEIGHTS)
    tuning = options.phase == "finetune"
    options = replace(options, out=options.out or (_beside(run, "finetune") if tuning else run))
    goes_on = (options.folder / "state.safetensors").exists()
    if tuning and not options.start:
        options = replace(options, start=pretrained)
    if tuning and options.start == pretrained and not (Path(pretrained).exists() or goes_on):
        way_out = f"pretrain first: `colorize train {recipe}`, or give --from MODEL"
        raise ColorizeError(f"there is no `{pretrained}` to finetune", way_out)
    if options.start and (options.restart or not goes_on) and not options.dry_run:
        from colorize.checkpoints import model_files

        messages.fetched(model_files.find(options.start).notice)
    _start(found, options, begun)


@with_options("phase", "start")
def finetune(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            envvar="COLORIZE_MODEL",
            autocompletion=complete.of("model"),
            help="Begin with this model: a file, a folder, a recipe's name, or OWNER/NAME[/FILE]",
        ),
    ] = PRETRAINED,
    options: TrainOptions = TrainOptions(),
) -> None:
    """Finetune a model on a folder of color pictures.

    As `train --phase finetune`, with the recipe and all its values taken from the model.
    With --lora the run folder holds a small adapter.safetensors for `sample` in place of a model.

    Examples:
        colorize finetune mini series/ --lora 8 --budget 10m
        colorize finetune runs/anime-diffusion/model.safetensors pictures/ --budget 30m
    """
    begun = time.monotonic()
    if model == PRETRAINED and not Path(model).exists():
        way_out = "pretrain first: `colorize train`, or name a MODEL"
        raise ColorizeError(f"there is no `{model}` to finetune", way_out)
    from colorize.checkpoints import model_files

    interrupts.begin()
    loaded = model_files.load(model)
    messages.fetched(loaded.notice)
    file = Path(model)
    folder = file.parent if file.suffix == ".safetensors" else file
    run = folder if (folder / "recipe.json").is_file() else RUNS / loaded.recipe.name
    out = options.out or _beside(run, "lora" if options.lora else "finetune")
    _start(loaded.recipe, replace(options, phase="finetune", start=model, out=out), begun)


def _beside(run: Path, ending: str) -> Path:
    return run.with_name(f"{run.name}-{ending}")


def _start(recipe: Recipe, options: TrainOptions, begun: float) -> None:
    """Train, or only say what would be done; begun: when the command started, since that time counts, too."""
    from colorize.training import run
    from colorize.training.run_folder import done

    if os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0":  # torchrun repeats a command after a crash
        options = replace(options, restart=False)
    steps = [f"steps={options.steps}"] if options.steps else []
    recipe = run.override(recipe, options.phase, [*(options.changes or []), *steps])
    options = run.seeded(options)
    if options.dry_run:
        _plan(recipe, options)
        return
    run.check_folder(options.folder)
    if not options.restart:
        run.check(recipe, options)
        if run.finished(recipe, options):
            messages.say(f"this run is finished: {messages.counted(done(options.folder)[0], 'step')}")
            messages.say(f"to train longer: {run.train_longer(options)}")
            _say_next(recipe, options)
            return
    _watch(run.Training(recipe, options, begun))


def _plan(recipe: Recipe, options: TrainOptions) -> None:
    """Print the configuration to stdout and what it means to stderr."""
    from colorize.checkpoints import model_files
    from colorize.images.dataset_folder import read_folder
    from colorize.training import run, run_folder

    known = run.identity(recipe, options)
    rest = {name: value for name, value in asdict(options).items() if name not in {*known, "start", "out", "changes"}}
    model = model_files.build_on_meta(recipe)
    if options.lora:
        run.add_adapter(model, options)
    typer.echo(json.dumps({**known, "out": str(options.out), "options": rest}, indent=2))
    weights = sum(value.numel() for value in run_folder.trained(model).values())
    rows = len(read_folder(options.data, "train"))
    messages.say(_summary(recipe, options, weights, rows) + "; nothing was written")


def _summary(recipe: Recipe, options: TrainOptions, weights: int, rows: int) -> str:
    """Return what is trained, on what and where to, in one line."""
    stage = recipe.stage(options.phase)
    what = f"adapter of rank {options.lora} for" if options.lora else f"{options.phase} of"
    times = f" x {options.accumulate}" if options.accumulate > 1 else ""
    return (
        f"{what} {recipe.name}: {weights / 1e6:.2f} million weights, {messages.counted(rows, 'picture')}"
        f" of `{options.data}` at {stage.size} px, {stage.batch}{times} a step, into `{options.out}`"
    )


def _watch(training: Training) -> None:
    """Train and show progress; of several processes only the first one talks."""
    recipe, options = training.recipe, training.options
    if not messages.first():
        for _ in training.steps():
            pass
        return
    going_on = f", continuing at step {training.step}" if training.step else ""
    summary = _summary(recipe, options, training.parameters, len(training.pictures))
    messages.say(f"{summary}, on {training.device}{going_on}")
    for note in training.notes:
        messages.say(note)
    messages.listed("left out", "picture", training.pictures.skipped)
    try:
        last = _follow(training)
    except KeyboardInterrupt:
        from colorize.training.run_folder import done

        if not (step := done(options.folder)[0]):
            raise
        message = f"interrupted at step {step}, which is saved in `{options.out}`"
        raise ColorizeError(message, "repeat the command to continue", messages.INTERRUPTED) from None
    if last is not None and last.steps is not None and last.step < last.steps:
        messages.say(f"out of time at step {last.step} of {last.steps}; the same command continues")
    elif last is not None:
        messages.say(f"done: {last.step} steps")
    seen = 0 if last is None else last.step * training.stage.batch * options.accumulate
    if seen < FEW and not options.start:
        so_far = messages.counted(seen, "picture")
        messages.say(f"note: it has seen {so_far} so far; expect gray until about {FEW}, and color much later")
    _say_next(recipe, options)


def _follow(training: Training) -> Progress | None:
    """Show a bar on a terminal, or else a line every half minute; return the last state."""
    begun = last_line = time.monotonic()
    loss, progress, warned = None, None, False
    with messages.bar("{task.fields[status]}", clock=False) as bar:
        task = bar.add_task("training", total=1.0, status="")
        for progress in training.steps():
            loss = loss if progress.loss is None else progress.loss
            now, left = time.monotonic(), progress.seconds_left or 0.0
            parts = [f"step {progress.step}" + (f"/{progress.steps}" if progress.steps else "")]
            parts += [] if loss is None else [f"loss {loss:.4f}"]
            parts += [f"{progress.pictures_per_s:.1f} pictures/s"]
            parts += [] if progress.seconds_left is None else [f"{messages.duration(left)} left"]
            parts += [f"{progress.skipped} updates skipped"] if progress.skipped else []
            status = ", ".join(parts)
            bar.update(task, completed=(now - begun) / max(1e-9, now - begun + left), status=status)
            if not warned and now - begun >= SETTLED:
                warned = True
                _warn_long(training, progress)
            if now - last_line >= EVERY and not messages.on_terminal():
                messages.say(status)
                last_line = now
    return progress


def _warn_long(training: Training, progress: Progress) -> None:
    """Say how long a run without a budget takes on a CPU, and how to have a model sooner."""
    options, left = training.options, progress.seconds_left or 0.0
    if options.budget is not None or training.device.type != "cpu" or left < LONG:
        return
    start = f" --from {EMBEDDED}" if training.recipe.name == EMBEDDED and not options.start else ""
    messages.say(
        f"note: at this pace the run takes {messages.duration(left)} more on this CPU; for a finished model in half an"
        f" hour stop it with Ctrl-C, and add{start} --budget 30m --anneal --out {_beside(options.folder, '30m')}"
    )


def _say_next(recipe: Recipe, options: TrainOptions) -> None:
    """Say where the model is, and what to type next."""
    file = options.folder / ("adapter.safetensors" if options.lora else WEIGHTS)
    reference = " --ref PICTURE" if "reference" in recipe.hints else ""
    model = "" if options.start == EMBEDDED else f" --model {options.start}"
    messages.say(f"the {'adapter' if options.lora else 'model'} is `{file}`")
    use = f"{model} --lora {options.out}" if options.lora else f" --model {file}"
    messages.say(f"next: colorize sample DRAWING{reference}{use}")
