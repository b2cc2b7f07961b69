"""What a run begins with: the weights of another model, or an adapter on it. Knows nothing of loops or pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from colorize import checkpoint
from colorize.checkpoint import Loaded, adapters
from colorize.checkpoint.adapters import Adapter
from colorize.colorizer import Colorizer
from colorize.errors import ColorizeError
from colorize.networks import lora
from colorize.networks.latent.doors import SketchAndReference
from colorize.recipes import values
from colorize.training import state
from colorize.training.order import Order


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
    hollow, condition = checkpoint.hollow(order.recipe), order.recipe.condition
    if order.lora or takes(hollow, order, goes_on):
        return hollow
    if isinstance(condition, SketchAndReference) and condition.encoder and not goes_on:
        raise ColorizeError(
            f"`{order.recipe.name}` trains on top of an autoencoder and of CLIP, which have no weights yet",
            "begin with a model that has them: add --from, such as --from tellurion/ColorizeDiffusion",
            code=2,
        )
    return order.recipe.build()


def take(model: Colorizer, order: Order) -> Loaded:
    """Give a model the weights the order starts from, and return what these were loaded as."""
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
    model.load_state_dict(loaded.colorizer.state_dict(), assign=True)  # not a second copy
    return loaded


def facts(path: Path) -> dict[str, str]:
    """Return what a model's file says of itself, such as the license of the weights it began with."""
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
    except (OSError, SafetensorError):
        return {}
    return {name: text for name, text in header.items() if name not in checkpoint.RESERVED}


def untold(found: Mapping[str, str]) -> dict[str, str]:
    """Leave out how a model was trained, which is no fact of one that begins with it."""
    return {name: text for name, text in found.items() if name != "training"}


def adapter(model: Colorizer, order: Order, restart: bool) -> Adapter:
    """Give a model the weights the order starts from, frozen, and an adapter to be trained; describe that.

    Raises ColorizeError if these are not the weights that a run to be gone on with began with.
    """
    loaded = take(model, order)
    described = adapters.blank(loaded, order.lora)
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
