"""`sample --dry-run`: what would be colored, in what time and memory. Writes nothing."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import typer

from colorize.cli import common
from colorize.cli.places import Place
from colorize.cli.planning import Plan, Voice
from colorize.cli.show import Show

if TYPE_CHECKING:
    from colorize.checkpoint import Loaded
    from colorize.painter.options import Job, Named, Options

ENOUGH = 3  # pictures to color for the estimate
TRIED = 12  # pictures to try, spread over all; those in color already, or damaged, tell nothing
GIGABYTE = 10**9


@dataclass(frozen=True)
class Ready:
    """A loaded model, options, and the jobs of some drawings with the references they share."""

    loaded: Loaded
    options: Options
    references: tuple[Named, ...]
    jobs: Iterator[Job]


def tell(plan: Plan, prepare: Callable[[Sequence[Place], Show], Ready], voice: Voice) -> None:
    """Say what a run would do, and color some of its pictures, in few steps and for nothing, to foresee the rest."""
    show = Show(plan.total, voice.quiet, voice.as_json)
    some = plan.todo[:: math.ceil(len(plan.todo) / TRIED)] if plan.todo else []
    spans = _spans(prepare(some, show)) if some else []
    each = sum(spans) / len(spans) if spans else 0.0
    told: dict[str, object] = {
        **{"color": len(plan.todo), "done": len(plan.done), "failed": len(plan.refused)},
        **{"volumes": len(plan.books), "seconds": round(each * len(plan.todo), 1)},
        "peak_gigabytes": _peak(),
    }
    for place in () if voice.quiet or voice.as_json else plan.todo:
        result = place.book.result if place.book else place.result
        typer.echo(f"{place.name} -> {result or 'standard output'}")
    for _, error in plan.refused:
        common.say(f"would fail: {error.message}")
    if voice.as_json:
        typer.echo(json.dumps(told))
        return
    count = f"{common.counted(len(plan.todo), 'picture')} to color"
    done = f", {len(plan.done)} done already" if plan.done else ""
    if not spans:
        reason = "; those tried cannot be colored" if some else ""
        common.say(f"{count}{done}{reason}; nothing was written")
        return
    memory = f" and {told['peak_gigabytes']} GB of memory" if told["peak_gigabytes"] else ""
    took = f"about {common.duration(each * len(plan.todo))}, {each:.1f} s each{memory}"
    common.say(f"{count}{done}: {took}, as {len(spans)} of them show; nothing was written")


def _spans(ready: Ready) -> list[float]:
    """Seconds that some drawings would take with all steps; those that cannot be colored do not count."""
    from colorize.painter.options import sampling

    steps = sampling(ready.loaded.recipe, ready.options).steps
    found: list[float] = []
    for at, job in enumerate(ready.jobs):
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
    from colorize import painter

    begin = time.perf_counter()
    options = replace(ready.options, steps=steps)
    outcomes = list(painter.paint_all(ready.loaded, jobs, options))
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
