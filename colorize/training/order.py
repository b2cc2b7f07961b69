"""Say what is to be trained, on what and where to, and change its values. Knows nothing of files or loops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from colorize.errors import ColorizeError, nearest
from colorize.recipes import Recipe, values
from colorize.recipes.recipe import Stage
from colorize.training.settings import Fit

Phase = Literal["pretrain", "finetune"]


@dataclass(frozen=True)
class Order:
    """What to train, on what, and where to.

    data: a prepared folder, or any folder of color pictures. out: the run folder. start: the model
    whose weights to begin with, or "" for fresh ones.
    """

    recipe: Recipe
    phase: Phase
    data: Path
    out: Path
    fit: Fit
    start: str = ""

    @property
    def stage(self) -> Stage:
        """The stage that is trained."""
        return self.recipe.stage(self.phase)

    def identity(self) -> dict[str, Any]:
        """Return what the result depends on, JSON-able: two calls of one run must agree in it."""
        anneal = self.fit.budget if self.fit.decay == "budget" else None
        return {
            "recipe": values.to_dict(self.recipe),
            "phase": self.phase,
            "data": str(self.data),
            "from": self.start,
            "seed": self.fit.seed,
            "anneal": anneal,
        }


def override(recipe: Recipe, phase: Phase, changes: Sequence[str]) -> Recipe:
    """Change values by `name=value`; names that begin with a field of a stage mean the chosen one.

    So `lr=1e-4` is `pretrain.lr=1e-4`, and `size` that of the training pictures; `recipe.size` is
    the recipe's. Raises ColorizeError (wrong usage) for misspelt names and impossible values.
    """
    short = {field.name for field in fields(Stage)}
    own = {field.name for field in fields(Recipe)} - {"name", "help"} | {"recipe"}
    full = []
    for text in (change.strip() for change in changes):
        name = text.partition("=")[0].strip()
        head = name.partition(".")[0]
        if head not in short | own:
            known = [leaf for leaf, _ in values.leaves(recipe.stage(phase))]
            known += [leaf for leaf, _ in values.leaves(recipe) if leaf.partition(".")[0] in own]
            raise ColorizeError(f"`{name}` is not a setting", nearest(name, known), code=2)
        full.append(f"{phase}.{text}" if head in short else text.removeprefix("recipe."))
    return values.override(recipe, *full)


def settings(stage: Stage) -> Fit:
    """Return the numbers of a stage as those of a run; short runs warm up for a tenth of them."""
    return Fit(
        steps=stage.steps,
        batch=stage.batch,
        lr=stage.lr,
        weight_decay=stage.weight_decay,
        warmup=min(stage.warmup, stage.steps // 10),
        clip=stage.clip,
        ema=stage.ema,
    )
