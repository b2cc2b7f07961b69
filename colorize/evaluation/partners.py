"""Find the picture whose colors another one must take. Knows nothing of pixels, scores, models or baselines."""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from colorize.pictures import folder


@dataclass(frozen=True)
class Task:
    """The files behind one sample; `reference` is another picture, in modes `cross` and `shuffled`."""

    name: str
    row: folder.Row
    reference: Path | None = None


def crossed(
    tasks: list[Task], seed: int, fits: Callable[[Task, Path], bool] | None = None
) -> list[Task]:
    """Give every task the picture it must take its colors from; drop those that have none.

    fits: says which pictures may serve; None lets all of the group.
    """
    groups: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for task in tasks:
        groups[task.row.set, task.row.group].append(task.row.file)
    found = []
    for task in tasks:
        own = task.row.file.resolve()
        stored = [path for path in task.row.references if path.resolve() != own]
        mates = sorted(
            {path for path in groups[task.row.set, task.row.group] if path.resolve() != own}
        )
        first = seed_of(seed, task.name) % max(1, len(mates))
        choice = stored or mates[first:] + mates[:first]
        other = next((path for path in choice if fits is None or fits(task, path)), None)
        if other is not None:
            found.append(Task(task.name, task.row, other))
    return found


def shuffled(tasks: list[Task], seed: int) -> list[Task]:
    """Give every task a picture of another set and group; drop those that have none."""
    order = sorted(tasks, key=lambda task: (task.row.set, task.name))
    sets = [task.row.set for task in order]
    found = []
    for task in tasks:
        start, end = bisect_left(sets, task.row.set), bisect_right(sets, task.row.set)
        strangers = len(order) - (end - start)
        first = seed_of(seed, task.name) % max(1, strangers)
        for turn in range(strangers):  # the first one will do, unless the group spans sets
            at = (first + turn) % strangers
            other = order[at if at < start else at + end - start].row
            if other.group != task.row.group:
                found.append(Task(task.name, task.row, other.file))
                break
    return found


def seed_of(seed: int, name: str) -> int:
    """Return a seed for one picture, which depends neither on its place nor on its neighbors."""
    return int.from_bytes(
        hashlib.sha256(f"{seed}:{name}".encode("utf-8", "surrogateescape")).digest()[:7], "big"
    )
