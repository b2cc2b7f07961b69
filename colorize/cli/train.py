"""`colorize train` and `colorize finetune`: options, dry run and progress. Knows nothing of how training is done."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from colorize import interrupts
from colorize.cli import common
from colorize.cli.watch import point, summary, watch
from colorize.cli.wishes import (
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
    from colorize.recipes import Recipe
    from colorize.training.run import Order

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
            help="Begin with the weights of this model  [default: fresh; to finetune, the"
            " pretrained run's]",
        ),
    ] = "",
    out: Out = None,
    changes: Changes = None,
    budget: Budget = None,
    steps: Steps = None,
    device: common.Device = "auto",
    precision: common.Precision = "auto",
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
        from colorize.checkpoint import finding

        common.fetched(finding.find(start).notice)
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
    device: common.Device = "auto",
    precision: common.Precision = "auto",
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
    from colorize import checkpoint

    interrupts.begin()
    loaded = checkpoint.load(model)
    common.fetched(loaded.notice)
    return loaded.recipe


def _tuned(run: Path, how: str = "finetune") -> Path:
    return run.with_name(f"{run.name}-{how}")


def _goes_on(run: Path, out: Path | None) -> bool:
    return ((out or _tuned(run)) / "state.safetensors").exists()


def _go(
    recipe: Recipe, phase: Literal["pretrain", "finetune"], start: str, wishes: Wishes, begun: float
) -> None:
    """Train as wished, or only say what would be done."""
    from colorize.training import run

    assert wishes.out is not None
    steps = [f"steps={wishes.steps}"] if wishes.steps else []
    recipe = run.override(recipe, phase, [*(wishes.changes or []), *steps])
    order = run.Order(
        recipe,
        phase,
        wishes.data,
        wishes.out,
        settled(run.settings(recipe.stage(phase)), wishes),
        start,
        wishes.lora,
    )
    if wishes.dry_run:
        _plan(order)
        return
    if not wishes.restart:
        run.check(order)
        if run.finished(order):
            common.say(f"this run is finished: {common.counted(run.done(order.out)[0], 'step')}")
            common.say(f"to train longer: {run.further(order)}")
            point(order)
            return
    if order.fit.limit is not None:  # what was spent on starting the program counts, too
        limit = max(1.0, order.fit.limit - (time.monotonic() - begun))
        order = replace(order, fit=replace(order.fit, limit=limit))
    watch(run.Training(order, wishes.restart))


def _plan(order: Order) -> None:
    """Print the configuration to stdout and what it means to stderr."""
    from colorize import checkpoint
    from colorize.pictures.folder import read_folder
    from colorize.training import start

    values = {**order.identity(), "out": str(order.out), "fit": asdict(order.fit)}
    model = checkpoint.hollow(order.recipe)
    if order.lora:
        start.adapt(model, order)
    typer.echo(json.dumps(values, indent=2))
    weights = sum(value.numel() for value in model.parameters() if value.requires_grad)
    rows = len(read_folder(order.data, "train"))
    common.say(summary(order, weights, rows) + "; nothing was written")
