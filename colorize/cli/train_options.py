"""The options that `train` and `finetune` share, and the numbers they become. Knows nothing of running anything."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from colorize.cli import messages
from colorize.errors import ColorizeError

if TYPE_CHECKING:
    from colorize.training.settings import Fit


def timed(text: str | None) -> str | None:
    """Refuse early what is not a time, so that the message can tell where it stands."""
    if text is not None:
        messages.seconds(text)
    return text


Data = Annotated[Path, typer.Argument(metavar="DATA", help="Learn from this folder, prepared or just pictures")]
Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="FOLDER", help="Keep the run in this folder  [default: runs/RECIPE]"),
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Change a value of the recipe, such as denoiser.net.heads=8; lr, batch, size, steps,"
        " mix.gray, objective.every mean those of the phase; --dry-run shows all; repeatable",
    ),
]
Budget = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        callback=timed,
        help="Stop after this time, such as 9m; the same command goes on  [default: none]",
    ),
]
Steps = Annotated[
    int | None, typer.Option(min=1, metavar="NUMBER", help="Take so many steps in all  [default: the recipe's]")
]
Seed = Annotated[int, typer.Option(metavar="NUMBER", help="Draw weights, noise and batches by it")]
SaveEvery = Annotated[
    str, typer.Option(metavar="TIME", callback=timed, help="Save what going on needs this often, such as 90s")
]
SampleEvery = Annotated[
    int, typer.Option(min=0, metavar="STEPS", help="Color a few pictures this often, and at the end; 0 never")
]
Compile = Annotated[bool, typer.Option("--compile", help="Compile the network; takes 1 to 2 minutes, for GPUs")]
Checkpointing = Annotated[
    bool,
    typer.Option(
        "--gradient-checkpointing", help="Need less memory, by computing blocks twice; steps take a third longer"
    ),
]
Anneal = Annotated[
    bool, typer.Option("--anneal", help="Lower the learning rate to zero at the end of --budget, over all calls")
]
Restart = Annotated[bool, typer.Option("--restart", help="Forget what the run folder holds, and begin again")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the resolved values as JSON and the plan, and stop")]


Lora = Annotated[
    int | None,
    typer.Option(
        "--lora",
        min=1,
        max=256,
        metavar="RANK",
        help="Train a small adapter of this rank, such as 8, beside the model, which stays as it is",
    ),
]


@dataclass(frozen=True)
class Wishes:
    """The options that both commands have, and the rank of an adapter, 0 for none."""

    data: Path
    out: Path | None
    changes: list[str] | None
    budget: str | None
    steps: int | None
    device: str
    precision: str
    seed: int
    save_every: str
    sample_every: int
    compiled: bool
    checkpointing: bool
    anneal: bool
    restart: bool
    dry_run: bool
    lora: int = 0


def settled(fit: Fit, wishes: Wishes) -> Fit:
    """Return the numbers of a run: those of the stage, changed as the user wishes."""
    budget = None if wishes.budget is None else messages.seconds(wishes.budget)
    if wishes.anneal and budget is None:
        raise ColorizeError("--anneal needs a --budget", "such as --budget 9m", code=2)
    fit = replace(
        fit,
        limit=None if wishes.anneal else budget,
        device=wishes.device,
        precision=wishes.precision,
        seed=wishes.seed,
        save_every=messages.seconds(wishes.save_every),
        sample_every=wishes.sample_every,
        log_every=20,
        compile=wishes.compiled,
        gradient_checkpointing=wishes.checkpointing,
    )
    return replace(fit, budget=budget, decay="budget", steps=wishes.steps) if wishes.anneal else fit
