"""`sample --dry-run`: what would be colored, in what time and memory. Writes nothing."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import typer

from colorize import interrupts
from colorize.cli import messages
from colorize.cli.outputs import Place
from colorize.cli.progress import Show
from colorize.cli.sample_plan import Form, Plan, Voice

if TYPE_CHECKING:
    from colorize.checkpoints.model_files import Loaded
    from colorize.coloring.options import Job, Named, Options

LOOKED = 200  # pictures to look at, spread over all; one takes 0.1 s, in color 0.5 s
ENOUGH = 3  # pictures to color for the estimate
TRIED = 12  # pictures to try, spread over those that seem to be colorable
GIGABYTE = 10**9


@dataclass(frozen=True)
class Ready:
    """A loaded model, options, and the jobs of some drawings with the references they share."""

    loaded: Loaded
    options: Options
    references: tuple[Named, ...]
    jobs: Iterator[Job]


@dataclass(frozen=True)
class Outlook:
    """What would become of the pictures that were looked at: jobs to color, and reasons by the names of the others."""

    color: list[Job] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def looked(self) -> int:
        """How many pictures were looked at."""
        return len(self.color) + len(self.kept) + len(self.failed)


def tell(plan: Plan, form: Form, prepare: Callable[[Sequence[Place], Show], Ready], voice: Voice) -> None:
    """Say what a run would do, and color some of its pictures, in few steps and for nothing, to foresee the rest."""
    show = Show(plan.total, voice.quiet, voice.as_json)
    some = plan.todo[:: math.ceil(len(plan.todo) / LOOKED)] if plan.todo else []
    found, spans = Outlook(), list[float]()
    if some:
        ready = prepare(some, show)
        found = _looked(some, ready, form, plan.total == 1)
        spans = _spans(ready, found.color[:: math.ceil(len(found.color) / TRIED) or 1])
    for place, error in plan.refused:
        found.failed[place.name] = error.message
    told = _counted(plan, found, len(some), sum(spans) / len(spans) if spans else 0.0)
    if voice.as_json:
        typer.echo(json.dumps(told))
        return
    if not voice.quiet:
        _listed(plan, found)
    for message in found.failed.values():
        messages.say(f"would fail: {message}")
    messages.say(_summary(told, len(plan.todo), spans))


def _looked(places: Sequence[Place], ready: Ready, form: Form, alone: bool) -> Outlook:
    """Look at pictures, one at a time. alone: what cannot be colored then fails, also if it is in color already."""
    from colorize.coloring import forecast
    from colorize.coloring.inputs import Colored

    found = Outlook()
    for place, job in zip(places, ready.jobs, strict=True):
        interrupts.check()
        why = forecast.refusal(job, ready.loaded.recipe, ready.options)
        if why is None:
            found.color.append(job)
        elif isinstance(why, Colored) and (place.book or not alone):
            copied = f"; copied to `{place.unchanged}`" if form.keeps(place) else ""
            found.kept[place.name] = why.message + copied
        else:
            found.failed[place.name] = why.message
    return found


def _counted(plan: Plan, found: Outlook, looked: int, each: float) -> dict[str, object]:
    """What is told as JSON; where not all were looked at, the numbers are what those show of all."""
    share = len(plan.todo) / looked if looked else 0.0
    color, kept = round(len(found.color) * share), round(len(found.kept) * share)
    failed = len(plan.todo) - color - kept + len(plan.refused)
    return {
        **{"color": color, "kept": kept, "done": len(plan.done), "failed": failed},
        **{"looked": looked, "volumes": len(plan.books), "seconds": round(each * color, 1)},
        "peak_gigabytes": _peak(),
        "why": {**found.kept, **found.failed},
    }


def _listed(plan: Plan, found: Outlook) -> None:
    """Print what would be colored and where to; say what would stay as it is."""
    for place in plan.todo:
        if place.name not in found.kept and place.name not in found.failed:
            result = place.book.result if place.book else place.result
            typer.echo(f"{place.name} -> {result or 'standard output'}")
    messages.listed("would leave alone", "picture", list(found.kept.values()))


def _summary(told: dict[str, object], todo: int, spans: Sequence[float]) -> str:
    """All in one line."""
    looked, color, seconds = told["looked"], told["color"], told["seconds"]
    assert isinstance(looked, int)
    assert isinstance(color, int)
    assert isinstance(seconds, float)
    begin = "" if looked == todo else f"of {todo} pictures {looked} were looked at: about "
    count = f"{begin}{messages.counted(color, 'picture')} to color"
    more = {"kept": "to leave alone", "done": "done already", "failed": "would fail"}
    count += "".join(f", {told[key]} {what}" for key, what in more.items() if told[key])
    if not spans:
        reason = "; those tried cannot be colored" if color else ""
        return f"{count}{reason}; nothing was written"
    memory = f" and {told['peak_gigabytes']} GB of memory" if told["peak_gigabytes"] else ""
    each = sum(spans) / len(spans)
    took = f"about {messages.duration(seconds)}, {each:.1f} s each{memory}"
    return f"{count}: {took}, as {len(spans)} of them show; nothing was written"


def _spans(ready: Ready, jobs: Sequence[Job]) -> list[float]:
    """Seconds that some drawings would take with all steps; those that cannot be colored do not count."""
    from colorize.coloring.options import sampling

    steps = sampling(ready.loaded.recipe, ready.options).steps
    found: list[float] = []
    for at, job in enumerate(jobs):
        if len(found) == ENOUGH:
            break
        if at == 0:
            _timed([job], ready, 1)  # the first one warms up
        once = _timed([job], ready, 1)
        twice = _timed([job], ready, 2) if steps > 1 and once is not None else once
        if once is not None and twice is not None:
            found.append(once + (steps - 1) * max(0.0, twice - once))
    return found


def _timed(jobs: Sequence[Job], ready: Ready, steps: int) -> float | None:
    """Seconds of one drawing in so many steps, None if it cannot be colored."""
    from colorize.coloring import paint

    begin = time.perf_counter()
    options = replace(ready.options, steps=steps)
    outcomes = list(paint.paint_all(ready.loaded, jobs, options))
    interrupts.check()
    if any(outcome.error for outcome in outcomes):
        return None
    return time.perf_counter() - begin


def _peak() -> float | None:
    """Gigabytes that this process has held at most, where the system tells."""
    with suppress(ImportError):
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        peak = unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return round(peak / GIGABYTE, 1)
    return None
