"""The options of a training run: those of `colorize train` and `colorize finetune`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from colorize.errors import SEEDS, ColorizeError, within

if TYPE_CHECKING:
    from colorize.recipes.recipe import Stage


def option(default: object, description: str, metavar: str | None = None, *flags: str, **limits: int) -> Any:
    """Declare a field that is also an option of the command line, `--name` unless flags say otherwise.

    metavar: what stands for its value in the help; "TIME" is read as 90s or 9m. limits: min and max.
    """
    return field(default=default, metadata={"help": description, "metavar": metavar, "flags": flags, **limits})


@dataclass(frozen=True)
class TrainOptions:
    """What to train on, from where to where, for how long, and how; times are in seconds."""

    data: Path = option(Path("data"), "Folder to learn from: prepared, or just pictures", "DATA")
    phase: Literal["pretrain", "finetune"] = option(
        "pretrain", "Train this phase: pretrain, or finetune after it", "PHASE"
    )
    start: str = option(
        "",
        "Begin with the weights of this model  [default: fresh; to finetune, the pretrained run's]",
        "MODEL",
        "--from",
    )
    lora: int | None = option(
        None, "Train a small adapter of this rank, such as 8, and leave the model as it is", "RANK", min=1, max=256
    )
    out: Path | None = option(None, "Keep the run in this folder  [default: runs/RECIPE]", "FOLDER", "--out", "-o")
    changes: list[str] | None = option(
        None,
        "Change a value of the recipe, such as denoiser.net.heads=8; lr, batch, size, steps,"
        " mix.gray, objective.every mean those of the phase; --dry-run shows all; repeatable",
        "NAME=VALUE",
        "--set",
    )
    budget: float | None = option(
        None, "Stop after this time, such as 9m; the same command continues  [default: none]", "TIME"
    )
    steps: int | None = option(None, "Train for this many steps in all  [default: the recipe's]", "NUMBER", min=1)
    accumulate: int = option(
        1, "Add up the gradients of this many batches for each step, in the memory of one", "NUMBER", min=1
    )
    device: str = "auto"  # as all commands have it, and so is the next
    precision: str = "auto"
    seed: int | None = option(
        None,
        "Random seed of weights, noise and batches  [default: 0; with --from, made of that model's weights]",
        "NUMBER",
    )
    save_every: float = option(
        120.0, "Save the state of the run this often, such as 90s, but first within a minute", "TIME"
    )
    sample_every: int = option(1000, "Color a few pictures this often, and at the end; 0 never", "STEPS", min=0)
    compile: bool = option(False, "Compile the network; takes 1 to 2 minutes, for GPUs")
    gradient_checkpointing: bool = option(False, "Save memory by computing blocks twice; steps take a third longer")
    anneal: bool = option(False, "Lower the learning rate to zero at the end of --budget, over all calls")
    restart: bool = option(False, "Delete the files of the run folder and start over")
    dry_run: bool = option(False, "Print the resolved values as JSON and the plan, and stop")
    log_every: int = 20  # steps between rows of the log
    prefetch: bool = False  # make the next batch ahead, on a thread of its own

    def __post_init__(self) -> None:
        if self.anneal and self.budget is None:
            raise ColorizeError("--anneal needs a --budget", "such as --budget 9m", code=2)
        within("seed", self.seed or 0, *SEEDS)

    @property
    def folder(self) -> Path:
        """The run folder."""
        assert self.out is not None, "a run needs a folder"
        return self.out

    def last_step(self, stage: Stage) -> int | None:
        """Return the number of steps of a run; None if only its budget ends it."""
        return self.steps or (None if self.anneal else stage.steps)

    def over(self, stage: Stage, step: int, elapsed: float, here: float) -> bool:
        """Whether the run ends after `step` steps and `elapsed` seconds, `here` of them in this call."""
        last, spent = self.last_step(stage), elapsed if self.anneal else here
        return (last is not None and step >= last) or (self.budget is not None and spent >= self.budget)

    def seconds_left(self, stage: Stage, step: int, elapsed: float, here: float, pace: float) -> float | None:
        """Estimate the seconds until the end at `pace` steps per second; None if that is not known."""
        last, ends = self.last_step(stage), []
        if last is not None and pace:
            ends.append((last - step) / pace)
        if self.budget is not None:
            ends.append(self.budget - (elapsed if self.anneal else here))
        return max(0.0, min(ends)) if ends else None
