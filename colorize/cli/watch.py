"""Tell how a training run goes. Knows nothing of options, or of how training is done."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from colorize.cli import common
from colorize.errors import ColorizeError

if TYPE_CHECKING:
    from colorize.training.run import Order, Training
    from colorize.training.settings import Progress

WEIGHTS, ADAPTER = "model.safetensors", "adapter.safetensors"
USUAL = "mini"  # the model of `sample`
EVERY = 30.0  # seconds between lines where nobody watches
FEW = 2000  # pictures; what has seen less gives gray, or one color


def summary(order: Order, weights: int, rows: int) -> str:
    """Return what is trained, on what and where to, in one line."""
    stage = order.stage
    of = f"adapter of rank {order.lora} for" if order.lora else f"{order.phase} of"
    return (
        f"{of} {order.recipe.name}: {weights / 1e6:.2f} million weights, {common.counted(rows, 'picture')}"
        f" of `{order.data}` at {stage.size} px, {stage.batch} a step, into `{order.out}`"
    )


def watch(training: Training) -> None:
    """Train and tell how it goes; of several processes only the first one talks."""
    order = training.order
    if not common.first():
        for _ in training.steps():
            pass
        return
    going_on = f", going on at step {training.step}" if training.step else ""
    parts = summary(order, training.parameters, len(training.pictures))
    common.say(f"{parts}, on {training.device}{going_on}")
    for note in training.notes:
        common.say(note)
    common.listed("left out", "picture", training.pictures.skipped)
    try:
        last = _follow(training)
    except KeyboardInterrupt:
        from colorize.training.run import done

        if not (step := done(order.out)[0]):
            raise
        message = f"interrupted at step {step}, which is saved in `{order.out}`"
        hint = "give the same command again to go on"
        raise ColorizeError(message, hint, common.INTERRUPTED) from None
    if last is not None and last.steps is not None and last.step < last.steps:
        common.say(
            f"the time is spent at step {last.step} of {last.steps}; the same command goes on"
        )
    elif last is not None:
        common.say(f"done: {last.step} steps")
    seen = 0 if last is None else last.step * order.stage.batch
    if seen < FEW and not order.start:
        common.say(
            f"note: it has seen {seen} pictures so far; expect gray before {FEW}, and color long after"
        )
    point(order)


def _follow(training: Training) -> Progress | None:
    """Show a bar on a terminal, or else a line every half minute; return the last state."""
    begun = heard = time.monotonic()
    loss, progress = None, None
    with common.bar("{task.fields[told]}", clock=False) as bar:
        task = bar.add_task("training", total=1.0, told="")
        for progress in training.steps():
            loss = loss if progress.loss is None else progress.loss
            now = time.monotonic()
            left = progress.seconds_left or 0.0
            told = _line(progress, loss)
            bar.update(task, completed=(now - begun) / max(1e-9, now - begun + left), told=told)
            if now - heard >= EVERY and not common.on_terminal():
                common.say(told)
                heard = now
    return progress


def _line(progress: Progress, loss: float | None) -> str:
    steps = f"/{progress.steps}" if progress.steps else ""
    parts = [f"step {progress.step}{steps}"]
    parts += [] if loss is None else [f"loss {loss:.4f}"]
    parts += [f"{progress.pictures_per_s:.1f} pictures/s"]
    if progress.seconds_left is not None:
        parts.append(f"{common.duration(progress.seconds_left)} left")
    parts += [f"{progress.skipped} updates skipped"] if progress.skipped else []
    return ", ".join(parts)


def point(order: Order) -> None:
    """Say where the model is, and what to type next."""
    reference = " --ref PICTURE" if "reference" in order.recipe.hints else ""
    model = "" if order.start == USUAL else f" --model {order.start}"
    if order.lora:
        common.say(f"the adapter is `{order.out / ADAPTER}`")
        common.say(f"next: colorize sample DRAWING{reference}{model} --lora {order.out}")
        return
    common.say(f"the model is `{order.out / WEIGHTS}`")
    common.say(f"next: colorize sample DRAWING{reference} --model {order.out / WEIGHTS}")
