"""What a run begins with: the weights of another model, or an adapter on it. Knows nothing of loops or pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from colorize.checkpoints import adapters, model_files
from colorize.checkpoints.adapters import Adapter
from colorize.checkpoints.model_files import Loaded
from colorize.errors import ColorizeError
from colorize.model import Colorizer
from colorize.networks import lora
from colorize.recipes import overrides
from colorize.training import state
from colorize.training.job import Order


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


def takes(model: Colorizer, order: Order, goes_on: bool) -> bool:
    """Whether a run needs the weights of the model that it begins with: a state does not hold frozen ones."""
    return bool(order.start) and not (goes_on and not state.frozen(model))


def model(order: Order, goes_on: bool) -> Colorizer:
    """Build the model of a run: with fresh weights, or without any where another model's are taken.

    Raises ColorizeError for parts that are never trained, and so must come from somewhere.
    """
    hollow = model_files.build_on_meta(order.recipe)
    if order.lora or takes(hollow, order, goes_on):
        return hollow
    if not goes_on:
        order.recipe.system.check_start(order.recipe)
    return order.recipe.build()


def take(model: Colorizer, order: Order) -> Loaded:
    """Give a model the weights the order starts from, and return what these were loaded as."""
    loaded = model_files.load(order.start)
    for name in ("space", "condition", "denoiser"):
        theirs, ours = (overrides.to_dict(getattr(recipe, name)) for recipe in (loaded.recipe, order.recipe))
        if found := difference(theirs, ours, name):
            raise ColorizeError(
                f"the weights of `{order.start}` are for {found[0]} = {json.dumps(found[1])}, "
                f"not {json.dumps(found[2])}",
                f"keep that value by --set, or take all of them: `colorize finetune {order.start}`",
                code=2,
            )
    model.load_state_dict(loaded.colorizer.state_dict(), assign=True)  # not a second copy
    return loaded


def facts(path: Path) -> dict[str, str]:
    """Return what a model's file says of itself, such as the license of the weights it began with."""
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
    except (OSError, SafetensorError):
        return {}
    return {name: text for name, text in header.items() if name not in model_files.RESERVED}


def untold(found: Mapping[str, str]) -> dict[str, str]:
    """Leave out how a model was trained, which is no fact of one that begins with it."""
    return {name: text for name, text in found.items() if name != "training"}


def adapter(model: Colorizer, order: Order, restart: bool) -> Adapter:
    """Give a model the weights the order starts from, frozen, and an adapter to be trained; describe that.

    Raises ColorizeError if these are not the weights that a run to be gone on with began with.
    """
    loaded = take(model, order)
    described = adapters.describe(loaded, order.lora)
    before = {} if restart else facts(order.out / adapters.FILE)
    if before.get("weights", described.weights) != described.weights:
        raise ColorizeError(
            f"`{order.start}` has other weights than when the run in `{order.out}` began with it",
            "name the model it began with, or add --restart",
            code=2,
        )
    adapt(model, order)
    return replace(described, facts=untold(described.facts))


def adapt(model: Colorizer, order: Order) -> None:
    """Freeze a model and give it the adapter that an order asks for, as training begins with it."""
    model.requires_grad_(False)
    lora.begin(model.network, order.lora, torch.Generator().manual_seed(order.fit.seed))


WEIGHTS, STATE, VALUES = "model.safetensors", "state.safetensors", "recipe.json"
ADAPTER = adapters.FILE  # in place of the weights, where an adapter is trained
MADE = (WEIGHTS, ADAPTER, STATE, VALUES, "log.jsonl")  # what a run writes, beside folders
CLOSE = 0.02  # share of a budget before whose end a run stops, since its last step must fit


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


def further(order: Order) -> str:
    """Tell how to train longer than a run was to take; the fall of its learning rate cannot be undone."""
    out = order.out
    new = f"--out {out}-2"
    if order.lora:
        return "add --restart to train an adapter of more steps"
    if order.phase == "finetune":
        how = f"`colorize finetune {out} {order.data} {new} --steps NUMBER`"
    else:
        how = f"the same command with --from {out} {new}"
    return f"{how} goes on with its weights in a new run; --restart forgets them"


def check(order: Order) -> None:
    """Refuse a run folder of other settings, or of something else (ColorizeError)."""
    out = order.out
    way_out = "choose another --out, or add --restart"
    if not (out / VALUES).is_file():
        for name in (WEIGHTS, ADAPTER, STATE):
            if (out / name).exists():
                raise ColorizeError(f"`{out}` holds `{name}`, which is of no run", way_out, code=2)
        return
    try:
        before = json.loads((out / VALUES).read_text("utf-8"))
    except ValueError as error:
        raise ColorizeError(f"`{out / VALUES}` is damaged", way_out) from error
    now, before = order.identity(), {"lora": 0, **before}  # older runs do not say
    if isinstance(before.get("data"), str) and Path(before["data"]).resolve() == order.data.resolve():
        before["data"] = now["data"]
    if found := difference(before, now):
        name, old, new = found
        told = f"is a run with {name} = {json.dumps(old)}, not {json.dumps(new)}"
        if name == f"recipe.{order.phase}.steps":
            steps = "step" if old == 1 else "steps"
            told, way_out = f"is a run of {old} {steps}, not {new}", _other_steps(order, old)
        raise ColorizeError(f"`{out}` {told}", way_out, code=2)


def _other_steps(order: Order, old: int) -> str:
    """How to go on with a run that was to take `old` steps, and how to take others."""
    step = done(order.out)[0]
    going = f"--steps {old} goes on with it at step {step}; " if 0 < step < old else ""
    end = "at the end of --budget" if order.fit.decay == "budget" else f"at step {old}"
    return f"{going}its learning rate falls to nothing {end}: {further(order)}"
