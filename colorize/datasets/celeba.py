"""The CelebA faces, laid out as torchvision's loader expects them. Knows nothing of pixels.

Liu, Luo, Wang and Tang 2015, "Deep Learning Face Attributes in the Wild".
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from colorize.datasets.folders import Found, Place, items_of
from colorize.errors import ColorizeError
from colorize.images.files import shown

BASE = "celeba"  # the folder that torchvision makes in its root
PICTURES = "img_align_celeba"
PARTITION = "list_eval_partition.txt"
IDENTITY = "identity_CelebA.txt"
SPLIT = {"0": "train", "1": "validation", "2": "test"}
UNPACKED = f"unpack {PICTURES}.zip there"


def folder(source: Path) -> Path | None:
    """Return where the pictures and lists of CelebA lie: `source`, `source/celeba`, or None.

    What is incomplete is found, too: a list, the pictures, or their archive are enough.
    """
    known = (PARTITION, IDENTITY, PICTURES, f"{PICTURES}.zip")
    places = (source / BASE, source)
    return next((p for p in places if any((p / name).exists() for name in known)), None)


def survey(source: Path, base: Path, group: str = "folder") -> Found:
    """Return the faces of CelebA with its splits; pictures of a person are a group.

    base: where they lie, at or below `source`. group: "none" leaves every picture alone.

    Raises ColorizeError if the pictures or a list is missing or damaged, naming what it is.
    """
    names = _pictures(base)
    splits = {name: SPLIT.get(value, "") for name, value in _listed(base / PARTITION).items()}
    people = _listed(base / IDENTITY)
    if bad := next((name for name, split in splits.items() if not split), ""):
        raise ColorizeError(
            f"`{base / PARTITION}` puts `{shown(bad)}` into no split",
            "0 is train, 1 validation and 2 test; download the list again",
        )
    for what, list_ in ((splits, PARTITION), (people, IDENTITY)):
        if missing := sorted(names - what.keys()):
            told = f"`{base / list_}` lacks {len(missing)} of {len(names)} pictures, such as"
            raise ColorizeError(f"{told} `{shown(missing[0])}`", "download the list again")
    if missing := sorted(splits.keys() - names):
        raise ColorizeError(
            f"`{base / PICTURES}` lacks {len(missing)} of {len(splits)} pictures, such as `{shown(missing[0])}`",
            UNPACKED,
        )
    below = (base / PICTURES).relative_to(source).as_posix()
    places = [Place(f"{below}/{name}", "", splits[name], (name,)) for name in sorted(names)]
    items = items_of([(place, "") for place in places], "none")
    if group != "none":
        persons = [people[place.parts[0]] for place in places]
        items = tuple(replace(item, group=f"person {one}") for item, one in zip(items, persons, strict=True))
    return Found("celeba", "", items)


def _pictures(base: Path) -> set[str]:
    """Names of the pictures."""
    place = base / PICTURES
    names = set()
    if place.is_dir():
        with os.scandir(place) as entries:
            names = {each.name for each in entries if each.name.lower().endswith(".jpg")}
    if not names:
        raise ColorizeError(f"`{place}` holds no pictures of CelebA", UNPACKED)
    return {name for name in names if not name.startswith(".")}


def _listed(path: Path) -> dict[str, str]:
    """A list of CelebA: a picture's name and a number in every line."""
    try:
        lines = path.read_text("ascii").split("\n")
    except FileNotFoundError:
        raise ColorizeError(f"`{path.parent}` has no `{path.name}`", "download it from the pages of CelebA") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ColorizeError(f"`{path}` cannot be read: {error}", "download it again") from error
    pairs = [line.split() for line in lines if line.strip()]
    wrong = next((pair for pair in pairs if len(pair) != 2 or not pair[1].isdigit()), None)
    if wrong is not None or not pairs:
        told = f"`{' '.join(wrong)[:40]}`" if wrong else "nothing"
        raise ColorizeError(f"`{path}` holds {told} instead of names and numbers", "download it again")
    return {pair[0]: pair[1] for pair in pairs}
