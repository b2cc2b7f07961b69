"""`sample --dry-run`: estimate what would be colored, in what time and memory; writes nothing."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from colorize import interrupts
from colorize.cli import messages
from colorize.cli.messages import Reporter
from colorize.cli.outputs import Target
from colorize.coloring.options import SampleOptions

if TYPE_CHECKING:
    from colorize.checkpoints.model_files import Loaded
    from colorize.cli.sample import Plan
    from colorize.coloring.options import Job

    Prepare = Callable[[Sequence[Target], SampleOptions, Reporter], tuple[Loaded, Iterator[Job]]]

LOOKED = 200  # pictures to look at, spread over all; one takes 0.1 s, in color 0.5 s
ENOUGH = 3  # pictures to color for the estimate
TRIED = 12  # pictures to try, spread over those that seem to be colorable
GIGABYTE = 10**9


def estimate(plan: Plan, options: SampleOptions, prepare: Prepare) -> None:
    """Print what a run would do; color some of its pictures in few steps, and discard them, to time the rest."""
    report = Reporter(plan.total, options.quiet, options.as_json)
    some = plan.todo[:: math.ceil(len(plan.todo) / LOOKED)] if plan.todo else []
    todo, kept, failed, times = list["Job"](), dict[str, str](), dict[str, str](), list[float]()
    if some:
        loaded, jobs = prepare(some, options, report)
        todo, kept, failed = _look(some, jobs, loaded, options, plan.total == 1)
        times = _times(loaded, options, todo[:: math.ceil(len(todo) / TRIED) or 1])
    for target, error in plan.refused:
        failed[target.name] = error.message
    share = len(plan.todo) / len(some) if some else 0.0  # where not all were looked at, they stand for all
    color, left = round(len(todo) * share), round(len(kept) * share)
    each = sum(times) / len(times) if times else 0.0
    counts = {"color": color, "kept": left, "done": len(plan.done)}
    counts["failed"] = len(plan.todo) - color - left + len(plan.refused)
    facts = {"looked": len(some), "volumes": len(plan.volumes), "seconds": round(each * color, 3)}
    peak = _peak()
    if options.as_json:
        typer.echo(json.dumps({**counts, **facts, "peak_gigabytes": peak, "why": {**kept, **failed}}))
        return
    if not options.quiet:
        for target in plan.todo:
            if target.name not in kept and target.name not in failed:
                results = (target.volume.result,) if target.volume else target.files(options)
                messages.tell(f"{target.name} -> {', '.join(map(str, results)) or 'standard output'}")
        messages.listed("would leave unchanged", "picture", list(kept.values()))
    for message in failed.values():
        messages.say(f"would fail: {message}")
    partly = "" if len(some) == len(plan.todo) else f"judging by {len(some)} of {len(plan.todo)} pictures: about "
    messages.say(partly + _summary(counts, each, len(times), peak))


def _summary(counts: dict[str, int], each: float, timed: int, peak: float | None) -> str:
    """All in one line."""
    more = {"kept": "to leave alone", "done": "done already", "failed": "would fail"}
    count = f"{messages.counted(counts['color'], 'picture')} to color"
    count += "".join(f", {counts[key]} {what}" for key, what in more.items() if counts[key])
    if not timed:
        return f"{count}{'; none of those tried can be colored' if counts['color'] else ''}; nothing was written"
    memory = f" and {peak} GB of memory" if peak else ""
    took = f"about {messages.duration(round(each * counts['color'], 1))}, {each:.1f} s each{memory}"
    return f"{count}: {took}, estimated from {messages.counted(timed, 'picture')}; nothing was written"


def _look(
    targets: Sequence[Target], jobs: Iterator[Job], loaded: Loaded, options: SampleOptions, alone: bool
) -> tuple[list[Job], dict[str, str], dict[str, str]]:
    """Return jobs to color, and by name why others would be left alone or fail, also an `alone` one to leave alone."""
    from colorize.coloring.inputs import AlreadyColored
    from colorize.coloring.paint import refusal

    color, kept, failed = list["Job"](), dict[str, str](), dict[str, str]()
    for target, job in zip(targets, jobs, strict=True):
        interrupts.check()
        why = refusal(job, loaded.recipe, options)
        if why is None:
            color.append(job)
        elif isinstance(why, AlreadyColored) and (target.volume or not alone):
            copied = f"; copied to `{target.copy}`" if target.is_copied(options) else ""
            kept[target.name] = why.message + copied
        else:
            failed[target.name] = why.message
    return color, kept, failed


def _times(loaded: Loaded, options: SampleOptions, jobs: Sequence[Job]) -> list[float]:
    """Seconds that some drawings would take with all steps; those that cannot be colored do not count."""
    from colorize.coloring.options import sampling

    steps = sampling(loaded.recipe, options).steps
    found: list[float] = []
    for at, job in enumerate(jobs):
        if len(found) == ENOUGH:
            break
        if at == 0:
            _timed(loaded, options, job, 1)  # the first one warms up
        once = _timed(loaded, options, job, 1)
        twice = _timed(loaded, options, job, 2) if steps > 1 and once is not None else once
        if once is not None and twice is not None:
            found.append(once + (steps - 1) * max(0.0, twice - once))
    return found


def _timed(loaded: Loaded, options: SampleOptions, job: Job, steps: int) -> float | None:
    """Seconds of one drawing in so many steps, None if it cannot be colored."""
    from colorize.coloring.paint import paint_all

    begin = time.perf_counter()
    (outcome,) = paint_all(loaded, [job], replace(options, steps=steps))
    interrupts.check()
    return None if outcome.error else time.perf_counter() - begin


def _peak() -> float | None:
    """The most gigabytes that this process has held, where the system knows."""
    with suppress(ImportError):
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return round(unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / GIGABYTE, 1)
    return None
