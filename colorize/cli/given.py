"""What is given beside the drawings of `sample`, and the jobs that come of it. Knows nothing of results."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from colorize.cli import common
from colorize.cli.knobs import Aside
from colorize.cli.places import STDIO, Place
from colorize.cli.show import Show
from colorize.errors import ColorizeError

if TYPE_CHECKING:
    from colorize.painter.options import Job, Named
    from colorize.pictures.marks import Mark

HINTS = (
    ".json",
    ".png",
    ".webp",
    ".tif",
    ".tiff",
    ".jpg",
    ".jpeg",
)  # what a folder may hold per drawing


@dataclass(frozen=True)
class Given:
    """What is given beside the drawings: references or their folders, a palette; hints or their folder, dots.

    aside: masks and a background.
    """

    references: tuple[str, ...] = ()
    palette: str = ""
    hints: Path | None = None
    dots: tuple[str, ...] = ()
    aside: Aside = Aside()


def references(given: Sequence[str], show: Show) -> tuple[Named, ...]:
    """Read all references; a folder stands for its pictures."""
    from colorize import painter
    from colorize.pictures import listing

    if STDIO in given:
        raise ColorizeError(
            "standard input may be a drawing, but no reference", "name a file with --ref", code=2
        )
    found = [painter.named(one.path) for one in listing.find(given) if one.path] if given else []
    for one in found:
        for note in one.picture.notes:
            show.note(note)
    return tuple(found)


def jobs(
    places: Sequence[Place],
    references: tuple[Named, ...],
    given: Given,
    dots: tuple[Mark, ...],
) -> Iterator[Job]:
    """One job per drawing, made when its turn comes."""
    from colorize.painter.hinting import read_hints
    from colorize.painter.options import Job

    hints, aside = given.hints, given.aside
    folder = hints if hints and hints.is_dir() else None
    shared = read_hints(hints) if hints and not folder else None
    background, reference_mask = aside.read()
    for place in places:
        drawing = place.path or place.read or common.piped(sys.stdin, "input").read()
        own = hints_in(folder, place) if folder else shared
        mask = aside.mask_of(place.relative)
        yield Job(place.name, drawing, references, own, dots, background, mask, reference_mask)


def hints_in(folder: Path, place: Place) -> Path | None:
    """The hints of a drawing in a folder: pages/p1.png has p1.png or p1.json there."""
    paths = (folder / place.relative.with_suffix(suffix) for suffix in HINTS)
    return next((path for path in paths if path.is_file()), None)
