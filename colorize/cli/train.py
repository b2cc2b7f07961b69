"""`colorize train` and `colorize finetune`: options, dry run and progress. Knows nothing of how training is done."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from colorize import interrupts
from colorize.cli import messages
from colorize.cli.train_options import (
    Anneal,
    Budget,
    Changes,
    Checkpointing,
    Compile,
    Data,
    DryRun,
    Lora,
    Out,
    Restart,
    SampleEvery,
    SaveEvery,
    Seed,
    Steps,
    Wishes,
    settled,
)
from colorize.errors import ColorizeError, nearest

if TYPE_CHECKING:
    from colorize.recipes.recipe import Recipe
    from colorize.training.job import Order
    from colorize.training.run import Training
    from colorize.training.settings import Progress

RUNS = Path("runs")  # where `colorize sample --model NAME` looks, too
WEIGHTS = "model.safetensors"
PRETRAINED = str(RUNS / "anime-diffusion" / WEIGHTS)


def train(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="Train this system, NAME or NAME:VARIANT")
    ] = "anime-diffusion",
    data: Data = Path("data"),
    phase: Annotated[
        Literal["pretrain", "finetune"],
        typer.Option(metavar="PHASE", help="Train this phase: pretrain, or finetune after it"),
    ] = "pretrain",
    start: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="MODEL",
            help="Begin with the weights of this model  [default: fresh; to finetune, the pretrained run's]",
        ),
    ] = "",
    out: Out = None,
    changes: Changes = None,
    budget: Budget = None,
    steps: Steps = None,
    device: messages.Device = "auto",
    precision: messages.Precision = "auto",
    seed: Seed = 0,
    save_every: SaveEvery = "2m",
    sample_every: SampleEvery = 1000,
    compiled: Compile = False,
    checkpointing: Checkpointing = False,
    anneal: Anneal = False,
    restart: Restart = False,
    dry_run: DryRun = False,
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
    if phase == "finetune":
        start = start or str(run / WEIGHTS)
        if not (Path(start).exists() or start != str(run / WEIGHTS) or _goes_on(run, out)):
            way_out = f"pretrain first: `colorize train {recipe}`, or give --from MODEL"
            raise ColorizeError(f"there is no `{start}` to finetune", way_out)
        run = _tuned(run)
    wishes = Wishes(
        data, out or run, changes, budget, steps, device, precision, seed,
        save_every, sample_every, compiled, checkpointing, anneal, restart, dry_run,
    )  # fmt: skip
    fresh = restart or not ((out or run) / "state.safetensors").exists()
    if start and fresh and not dry_run:
        from colorize.checkpoints import find

        messages.fetched(find.find(start).notice)
    _go(found, phase, start, wishes, begun)


def finetune(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            envvar="COLORIZE_MODEL",
            help="Begin with this model: a file, a folder, a recipe's name, or OWNER/NAME[/FILE]",
        ),
    ] = PRETRAINED,
    data: Data = Path("data"),
    lora: Lora = None,
    out: Out = None,
    changes: Changes = None,
    budget: Budget = None,
    steps: Steps = None,
    device: messages.Device = "auto",
    precision: messages.Precision = "auto",
    seed: Seed = 0,
    save_every: SaveEvery = "2m",
    sample_every: SampleEvery = 1000,
    compiled: Compile = False,
    checkpointing: Checkpointing = False,
    anneal: Anneal = False,
    restart: Restart = False,
    dry_run: DryRun = False,
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
    recipe = _recipe(model)
    file = Path(model)
    folder = file.parent if file.suffix == ".safetensors" else file
    run = folder if (folder / "recipe.json").is_file() else RUNS / recipe.name
    wishes = Wishes(
        data, out or _tuned(run, "lora" if lora else "finetune"), changes, budget, steps, device,
        precision, seed, save_every, sample_every, compiled, checkpointing, anneal, restart, dry_run, lora or 0,
    )  # fmt: skip
    _go(recipe, "finetune", model, wishes, begun)


def _recipe(model: str) -> Recipe:
    """Return the recipe of a model, which is fetched if it lies on the Hub."""
    from colorize.checkpoints import model_files

    interrupts.begin()
    loaded = model_files.load(model)
    messages.fetched(loaded.notice)
    return loaded.recipe


def _tuned(run: Path, how: str = "finetune") -> Path:
    return run.with_name(f"{run.name}-{how}")


def _goes_on(run: Path, out: Path | None) -> bool:
    return ((out or _tuned(run)) / "state.safetensors").exists()


def _go(recipe: Recipe, phase: Literal["pretrain", "finetune"], start: str, wishes: Wishes, begun: float) -> None:
    """Train as wished, or only say what would be done."""
    from colorize.training import run
    from colorize.training.job import Order, override, settings
    from colorize.training.resume import check, done, finished, further

    assert wishes.out is not None
    steps = [f"steps={wishes.steps}"] if wishes.steps else []
    recipe = override(recipe, phase, [*(wishes.changes or []), *steps])
    order = Order(
        recipe, phase, wishes.data, wishes.out, settled(settings(recipe.stage(phase)), wishes), start, wishes.lora
    )
    if wishes.dry_run:
        _plan(order)
        return
    if not wishes.restart:
        check(order)
        if finished(order):
            messages.say(f"this run is finished: {messages.counted(done(order.out)[0], 'step')}")
            messages.say(f"to train longer: {further(order)}")
            point(order)
            return
    if order.fit.limit is not None:  # what was spent on starting the program counts, too
        limit = max(1.0, order.fit.limit - (time.monotonic() - begun))
        order = replace(order, fit=replace(order.fit, limit=limit))
    watch(run.Training(order, wishes.restart))


def _plan(order: Order) -> None:
    """Print the configuration to stdout and what it means to stderr."""
    from colorize.checkpoints import model_files
    from colorize.images.dataset_folder import read_folder
    from colorize.training import resume

    values = {**order.identity(), "out": str(order.out), "fit": asdict(order.fit)}
    model = model_files.build_on_meta(order.recipe)
    if order.lora:
        resume.adapt(model, order)
    typer.echo(json.dumps(values, indent=2))
    weights = sum(value.numel() for value in model.parameters() if value.requires_grad)
    rows = len(read_folder(order.data, "train"))
    messages.say(summary(order, weights, rows) + "; nothing was written")


MODEL_FILE, ADAPTER = "model.safetensors", "adapter.safetensors"
USUAL = "mini"  # the model of `sample`
EVERY = 30.0  # seconds between lines where nobody watches
FEW = 2000  # pictures; what has seen less gives gray, or one color


def summary(order: Order, weights: int, rows: int) -> str:
    """Return what is trained, on what and where to, in one line."""
    stage = order.stage
    of = f"adapter of rank {order.lora} for" if order.lora else f"{order.phase} of"
    return (
        f"{of} {order.recipe.name}: {weights / 1e6:.2f} million weights, {messages.counted(rows, 'picture')}"
        f" of `{order.data}` at {stage.size} px, {stage.batch} a step, into `{order.out}`"
    )


def watch(training: Training) -> None:
    """Train and tell how it goes; of several processes only the first one talks."""
    order = training.order
    if not messages.first():
        for _ in training.steps():
            pass
        return
    going_on = f", going on at step {training.step}" if training.step else ""
    parts = summary(order, training.parameters, len(training.pictures))
    messages.say(f"{parts}, on {training.device}{going_on}")
    for note in training.notes:
        messages.say(note)
    messages.listed("left out", "picture", training.pictures.skipped)
    try:
        last = _follow(training)
    except KeyboardInterrupt:
        from colorize.training.resume import done

        if not (step := done(order.out)[0]):
            raise
        message = f"interrupted at step {step}, which is saved in `{order.out}`"
        hint = "give the same command again to go on"
        raise ColorizeError(message, hint, messages.INTERRUPTED) from None
    if last is not None and last.steps is not None and last.step < last.steps:
        messages.say(f"the time is spent at step {last.step} of {last.steps}; the same command goes on")
    elif last is not None:
        messages.say(f"done: {last.step} steps")
    seen = 0 if last is None else last.step * order.stage.batch
    if seen < FEW and not order.start:
        messages.say(f"note: it has seen {seen} pictures so far; expect gray before {FEW}, and color long after")
    point(order)


def _follow(training: Training) -> Progress | None:
    """Show a bar on a terminal, or else a line every half minute; return the last state."""
    begun = heard = time.monotonic()
    loss, progress = None, None
    with messages.bar("{task.fields[told]}", clock=False) as bar:
        task = bar.add_task("training", total=1.0, told="")
        for progress in training.steps():
            loss = loss if progress.loss is None else progress.loss
            now = time.monotonic()
            left = progress.seconds_left or 0.0
            told = _line(progress, loss)
            bar.update(task, completed=(now - begun) / max(1e-9, now - begun + left), told=told)
            if now - heard >= EVERY and not messages.on_terminal():
                messages.say(told)
                heard = now
    return progress


def _line(progress: Progress, loss: float | None) -> str:
    steps = f"/{progress.steps}" if progress.steps else ""
    parts = [f"step {progress.step}{steps}"]
    parts += [] if loss is None else [f"loss {loss:.4f}"]
    parts += [f"{progress.pictures_per_s:.1f} pictures/s"]
    if progress.seconds_left is not None:
        parts.append(f"{messages.duration(progress.seconds_left)} left")
    parts += [f"{progress.skipped} updates skipped"] if progress.skipped else []
    return ", ".join(parts)


def point(order: Order) -> None:
    """Say where the model is, and what to type next."""
    reference = " --ref PICTURE" if "reference" in order.recipe.hints else ""
    model = "" if order.start == USUAL else f" --model {order.start}"
    if order.lora:
        messages.say(f"the adapter is `{order.out / ADAPTER}`")
        messages.say(f"next: colorize sample DRAWING{reference}{model} --lora {order.out}")
        return
    messages.say(f"the model is `{order.out / MODEL_FILE}`")
    messages.say(f"next: colorize sample DRAWING{reference} --model {order.out / MODEL_FILE}")
