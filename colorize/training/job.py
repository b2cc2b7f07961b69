"""Say what is to be trained, on what and where to, and change its values. Knows nothing of files or loops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from colorize.checkpoints import model_files
from colorize.coloring.options import SIZES
from colorize.errors import ColorizeError, nearest, within
from colorize.networks.lora import RANKS
from colorize.recipes import overrides
from colorize.recipes.recipe import Recipe, Stage
from colorize.training.settings import Fit

Phase = Literal["pretrain", "finetune"]
BATCHES = (1, 10_000)  # pictures per step; more fit into no memory
STEPS = (1, 10**9)  # of a run; three years at 10 a second


@dataclass(frozen=True)
class Order:
    """What to train, on what, and where to.

    data: a prepared folder, or any folder of color pictures. out: the run folder. start: the model
    whose weights to begin with, or "" for fresh ones. lora: the rank of an adapter to train in place of
    these weights; 0 trains them themselves.
    """

    recipe: Recipe
    phase: Phase
    data: Path
    out: Path
    fit: Fit
    start: str = ""
    lora: int = 0

    def __post_init__(self) -> None:
        within("size", self.stage.size, *SIZES, _pixels("a training picture"))
        within("recipe.size", self.recipe.size, *SIZES, _pixels("a picture inside the model"))
        within("batch", self.stage.batch, *BATCHES)
        within("steps", self.stage.steps, *STEPS)
        if self.lora:
            assert self.start, "an adapter needs a model to begin with"
            within("the rank of an adapter", self.lora, *RANKS)

    @property
    def stage(self) -> Stage:
        """The stage that is trained."""
        return self.recipe.stage(self.phase)

    def identity(self) -> dict[str, Any]:
        """Return what the result depends on, JSON-able: two calls of one run must agree in it."""
        anneal = self.fit.budget if self.fit.decay == "budget" else None
        return {
            "recipe": overrides.to_dict(self.recipe),
            "phase": self.phase,
            "data": str(self.data),
            "from": self.start,
            "lora": self.lora,
            "seed": self.fit.seed,
            "anneal": anneal,
        }


def override(recipe: Recipe, phase: Phase, changes: Sequence[str]) -> Recipe:
    """Change values by `name=value`; names that begin with a field of a stage mean the chosen one.

    So `lr=1e-4` is `pretrain.lr=1e-4`, and `size` that of the training pictures; `recipe.size` is
    the recipe's. Raises ColorizeError (wrong usage) for misspelt names, and for values of which no
    network can be built.
    """
    short = {field.name for field in fields(Stage)}
    own = {field.name for field in fields(Recipe)} - {"name", "help"} | {"recipe"}
    full = []
    for text in (change.strip() for change in changes):
        name = text.partition("=")[0].strip()
        head = name.partition(".")[0]
        if head not in short | own:
            known = [leaf for leaf, _ in overrides.leaves(recipe.stage(phase))]
            known += [leaf for leaf, _ in overrides.leaves(recipe) if leaf.partition(".")[0] in own]
            raise ColorizeError(f"`{name}` is not a setting", nearest(name, known), code=2)
        full.append(f"{phase}.{text}" if head in short else text.removeprefix("recipe."))
    try:
        changed = overrides.override(recipe, *full)
    except ArithmeticError as error:  # of parts that compute with their values
        told = ", ".join(f"`{change}`" for change in changes)
        raise ColorizeError(f"the recipe cannot have {told}: {error}", code=2) from error
    model_files.build_on_meta(changed)
    return changed


def _pixels(what: str) -> str:
    return f"{what} has {SIZES[0]} to {SIZES[1]} pixels a side, such as 128"


def settings(stage: Stage) -> Fit:
    """Return the numbers of a stage as those of a run; short runs warm up for a tenth of them."""
    return Fit(
        steps=stage.steps,
        batch=stage.batch,
        lr=stage.lr,
        weight_decay=stage.weight_decay,
        betas=stage.betas,
        warmup=min(stage.warmup, stage.steps // 10),
        clip=stage.clip,
        ema=stage.ema,
    )
