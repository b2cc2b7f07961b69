"""Where the run in a folder stands, and whether an order is for that run. Knows nothing of training."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

from colorize.checkpoint import adapters
from colorize.errors import ColorizeError
from colorize.training import start
from colorize.training.order import Order

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
    if (
        isinstance(before.get("data"), str)
        and Path(before["data"]).resolve() == order.data.resolve()
    ):
        before["data"] = now["data"]
    if found := start.difference(before, now):
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
