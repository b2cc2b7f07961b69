"""Put pictures into splits by group, and write the rows of `metadata.jsonl`.

Knows nothing of pixels.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from colorize.pictures.files import atomic
from colorize.pictures.folder import METADATA
from colorize.training.cut import number
from colorize.training.layouts import Item

REFERENCES = 4  # other pictures of the group named in a row


@dataclass(frozen=True)
class Kept:
    """A picture of the result: what it came from, its split, and its files below the target."""

    item: Item
    split: str
    color: str
    line: str
    hint: str = ""


def assign(items: Sequence[Item], shares: Mapping[str, float], seed: int) -> list[str]:
    """Return the split of every item: what its folder says, or else whole groups by a seeded draw.

    shares: the share of the pictures each split but train is to have, {"test": 0.05, ...}. A share
    above 0 gets one picture at least, if there are groups enough; it is only exceeded if no group
    is small enough.
    """
    groups = Counter(item.group for item in items if not item.split)
    order = sorted(groups, key=lambda group: (number(f"{seed}/{group}"), group))
    chosen: dict[str, str] = {}
    for split, share in shares.items():
        wanted = max(1, round(share * groups.total())) if share > 0 else 0
        free = [group for group in order if group not in chosen]
        for group in _fill(free, groups, wanted):
            chosen[group] = split
    return [item.split or chosen.get(item.group, "train") for item in items]


def _fill(free: Sequence[str], groups: Mapping[str, int], wanted: int) -> list[str]:
    """Groups of `wanted` pictures together at most, never the last one; or the smallest group."""
    taken: list[str] = []
    left = wanted
    for group in free[:-1] if wanted else ():
        if groups[group] <= left:
            taken.append(group)
            left -= groups[group]
    if wanted and not taken and len(free) > 1:
        taken = [min(free, key=lambda group: groups[group])]
    return taken


def write_rows(target: Path, kept: Sequence[Kept]) -> None:
    """Write `metadata.jsonl` of every split, each at once or not at all, and remove older ones.

    A row names the next pictures of its group in its split as references, in a circle, so that
    each picture serves as often as any other. The column is left out, since `group` says the same,
    if some split has only empty lists: Hugging Face datasets wants lists of one type everywhere.
    """
    groups: dict[tuple[str, str], list[Kept]] = defaultdict(list)
    splits: dict[str, list[Kept]] = defaultdict(list)
    for one in kept:
        groups[one.split, one.item.group].append(one)
        splits[one.split].append(one)
    hinted = any(one.hint for one in kept)
    paired = {split for (split, _), group in groups.items() if len(group) > 1} == splits.keys()
    place = {id(one): index for group in groups.values() for index, one in enumerate(group)}
    for split in ("train", "validation", "test"):
        path = target / split / METADATA
        if split not in splits:
            path.unlink(missing_ok=True)
            continue
        rows = []
        for one in splits[split]:
            group, index = groups[split, one.item.group], place[id(one)]
            steps = range(1, min(REFERENCES, len(group) - 1) + 1)
            others = [group[(index + step) % len(group)].color for step in steps]
            rows.append(_row(one, others if paired else None, hinted))
        with atomic(path) as temporary:
            temporary.write_text("".join(rows), encoding="utf-8", newline="\n")


def _row(one: Kept, references: list[str] | None, hinted: bool) -> str:
    def below(file: str) -> str:
        return file.removeprefix(f"{one.split}/")

    row: dict[str, str | list[str] | None] = {
        "file_name": below(one.color),
        "line_file_name": below(one.line),
    }
    if hinted:
        row["hint_file_name"] = below(one.hint) or None
    if references is not None:
        row["reference_file_names"] = [below(file) for file in references]
    for column, text in (("group", one.item.group), ("source", one.item.color)):
        row[column] = text.encode(errors="backslashreplace").decode()  # names need not be Unicode
    return json.dumps(row, ensure_ascii=False) + "\n"
