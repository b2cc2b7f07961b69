"""Train a recipe in a run folder: begin, go on, or say what is in the way. Knows nothing of terminals."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import distributed

from colorize import checkpoint
from colorize.colorizer import Colorizer
from colorize.errors import ColorizeError
from colorize.networks import machine
from colorize.pictures.files import atomic
from colorize.recipes import Recipe, values
from colorize.recipes.recipe import Stage
from colorize.training import objectives, ranks, state
from colorize.training.data import Pictures
from colorize.training.lock import Lock
from colorize.training.objectives import Objective
from colorize.training.order import Order as Order
from colorize.training.order import Phase as Phase
from colorize.training.order import override as override
from colorize.training.order import settings as settings
from colorize.training.preview import Preview
from colorize.training.settings import Progress
from colorize.training.trainer import fit

WEIGHTS, STATE, VALUES = "model.safetensors", "state.safetensors", "recipe.json"
MADE = (WEIGHTS, STATE, VALUES, "log.jsonl")  # what a run writes, beside folders
CLOSE = 0.02  # share of a budget before whose end a run stops, since its last step must fit


def objective(stage: Stage, recipe: Recipe) -> Objective:
    """Make the losses a stage asks for, along the walk that the recipe samples with; or refuse to."""
    noisy = getattr(stage.objective, "noisy", 0.0)
    if noisy and not recipe.condition.tokens:
        told = f"objective.noisy is {noisy:g}, but `{recipe.name}` has no tokens to make noisy"
        raise ColorizeError(
            told, "leave it at 0, or choose a recipe whose references are tokens", 2
        )
    return objectives.build(stage.objective, recipe.sampling)


def done(out: Path) -> tuple[int, float]:
    """Return the steps and the seconds that a run folder's state has behind it; (0, 0) without one."""
    try:
        with safe_open(out / STATE, framework="pt") as file:
            numbers = json.loads((file.metadata() or {})["numbers"])
        return int(numbers["step"]), float(numbers["seconds"])
    except (OSError, SafetensorError, KeyError, ValueError):
        return 0, 0.0  # none yet, or damaged, which `fit` will say


def finished(order: Order) -> bool:
    """Tell whether a run has nothing left to do."""
    step, seconds = done(order.out)
    return step > 0 and order.fit.over(step, seconds + CLOSE * (order.fit.budget or 0), 0)


class Training:
    """A run that is ready to go: its model and pictures, and the step it stands at."""

    def __init__(self, order: Order, restart: bool = False) -> None:
        """Load everything; afterwards the folder is this run's. restart: forget an earlier one.

        Raises ColorizeError for a folder of another run, or that another process trains in, for
        pictures or weights that cannot be read, and for values that do not go together.
        """
        self.order, begun = order, time.monotonic()
        self.ranks, name = ranks.join(order.fit.device)
        self.device = machine.device(name)
        machine.precision(order.fit.precision, self.device)  # refused before the folder is made
        self.lock: Lock | None = None
        try:
            self._load(restart)
        except BaseException:
            self._leave()
            raise
        # The first optimizer of a process imports torch.compile, 1 to 2 s that belong to loading.
        torch.optim.AdamW([torch.zeros(1, requires_grad=True)])
        self.setup = time.monotonic() - begun

    def _load(self, restart: bool) -> None:
        order = self.order
        if order.out.is_dir():  # before anything that takes time
            self._enter()
        self.objective = objective(order.stage, order.recipe)
        torch.manual_seed(order.fit.seed)
        self.model = order.recipe.build()
        if not restart:
            check(order)
        self.facts = {} if restart else _facts(order.out / WEIGHTS)
        goes_on = not restart and (order.out / STATE).exists()
        if order.start and not (goes_on and not state.frozen(self.model)):
            facts = _begin(self.model, order)  # frozen weights are not in the state
            self.facts = self.facts if goes_on else facts
        place = (order.data, order.recipe, order.stage, order.fit.seed, self.device)
        self.pictures = Pictures(*place)
        self._settle(restart)
        self.step = done(order.out)[0]

    @property
    def parameters(self) -> int:
        """The number of weights."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    def steps(self) -> Iterator[Progress]:
        """Train, yielding after every step; `fit.limit` counts the time of loading, too.

        Leaves model.safetensors, the averaged weights, and everything that going on needs.
        """
        order, limit = self.order, self.order.fit.limit
        left = None if limit is None else max(1.0, limit - self.setup)
        begun = bool(order.start)  # so that its frozen weights need not be kept twice
        numbers = replace(order.fit, limit=left, prefetch=self._ahead(), keep_frozen=not begun)
        preview = Preview(order.data, order.recipe, order.stage.size, order.out / "samples")
        show = preview if order.fit.sample_every else None
        parts = self.model, self.objective, self.pictures, numbers, order.out
        self._enter()
        try:
            for progress in fit(*parts, save=self._save, show=show):
                self.step = progress.step
                yield progress
            if show and self.ranks.first:
                last = checkpoint.load(order.out / WEIGHTS, device=self.device)
                preview(last.colorizer, self.step)
        finally:
            self._leave()
            if distributed.is_initialized():
                distributed.destroy_process_group()

    def _ahead(self) -> int:
        """How many batches to make ahead: none where that takes from the network what it works on.

        On the CPU both need the same cores; and batches of pictures in graphics memory are made
        there.
        """
        shared = self.device.type == "cpu" or self.pictures.store.color is not None
        return 0 if shared else self.order.fit.prefetch

    def _enter(self) -> None:
        """Take the folder; of several processes that train as one, the first does."""
        if self.ranks.first and self.lock is None:
            self.lock = Lock(self.order.out)

    def _leave(self) -> None:
        if self.lock is not None:
            self.lock.free()
            self.lock = None

    def _save(self, model: Colorizer, path: Path) -> None:
        order = self.order
        step = done(order.out)[0]  # the state is written first
        told = f"{order.phase}, {step} steps, {len(self.pictures)} pictures, {order.stage.size} px"
        checkpoint.save(model, order.recipe, path, {**self.facts, "training": told})

    def _settle(self, restart: bool) -> None:
        """Make the folder this run's, before any process looks into it."""
        out = self.order.out
        if self.ranks.first:
            out.mkdir(parents=True, exist_ok=True)
            self._enter()
            if self.lock is not None:
                self.lock.tidy()
            if restart:
                for path in (*(out / name for name in MADE), *out.glob("samples/step-*.png")):
                    path.unlink(missing_ok=True)
            with atomic(out / VALUES) as path:
                path.write_text(json.dumps(self.order.identity(), indent=2) + "\n", "utf-8")
        if self.ranks.world > 1:
            distributed.barrier()


def check(order: Order) -> None:
    """Refuse a run folder of other settings, or of something else (ColorizeError)."""
    out = order.out
    way_out = "choose another --out, or add --restart"
    if not (out / VALUES).is_file():
        for name in (WEIGHTS, STATE):
            if (out / name).exists():
                raise ColorizeError(f"`{out}` holds a {name} that is of no run", way_out, code=2)
        return
    try:
        before = json.loads((out / VALUES).read_text("utf-8"))
    except ValueError as error:
        raise ColorizeError(f"`{out / VALUES}` is damaged", way_out) from error
    now = order.identity()
    if (
        isinstance(before.get("data"), str)
        and Path(before["data"]).resolve() == order.data.resolve()
    ):
        before["data"] = now["data"]
    if found := difference(before, now):
        name, old, new = found
        raise ColorizeError(
            f"`{out}` is a run with {name} = {json.dumps(old)}, not {json.dumps(new)}",
            way_out,
            code=2,
        )


def difference(before: Any, now: Any, name: str = "") -> tuple[str, Any, Any] | None:
    """Return the first leaf in which two JSON values differ: its dotted name, then both values.

    What `before` does not have is no difference: it came with a later version.
    """
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return None if before == now else (name, before, now)
    for key, value in now.items():
        if key in before and key != "help":
            inside = f"{name}.{key}".removeprefix(".").removesuffix(".is")
            if found := difference(before[key], value, inside):
                return found
    return None


def _begin(model: Colorizer, order: Order) -> dict[str, str]:
    """Give a model the weights the order starts from; return the facts that go with these."""
    loaded = checkpoint.load(order.start)
    for name in ("space", "condition", "denoiser"):
        theirs, ours = (
            values.to_dict(getattr(recipe, name)) for recipe in (loaded.recipe, order.recipe)
        )
        if found := difference(theirs, ours, name):
            raise ColorizeError(
                f"the weights of `{order.start}` are for {found[0]} = {json.dumps(found[1])}, "
                f"not {json.dumps(found[2])}",
                f"keep that value by --set, or take all of them: `colorize finetune {order.start}`",
                code=2,
            )
    model.load_state_dict(loaded.colorizer.state_dict())
    return {name: text for name, text in loaded.facts.items() if name != "training"}


def _facts(path: Path) -> dict[str, str]:
    """Return what a model's file says of itself, such as the license of the weights it began with."""
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
    except (OSError, SafetensorError):
        return {}
    return {name: text for name, text in header.items() if name not in checkpoint.RESERVED}
