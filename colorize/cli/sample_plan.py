"""What `sample` is to do: which pictures and pages, where to, and what is done already. Knows nothing of coloring."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from colorize.cli import outputs, volumes
from colorize.cli.outputs import Place, guard, plan
from colorize.cli.sample_inputs import Given
from colorize.cli.volumes import Book
from colorize.errors import ColorizeError


@dataclass(frozen=True)
class Form:
    """What is made of every drawing, and where it goes."""

    out: str | None = None
    variations: int = 1
    grid: bool = False
    film: Path | None = None
    layers: Path | None = None
    overwrite: bool = False
    map: Path | None = None
    dry: bool = False

    def files(self, place: Place) -> tuple[Path, ...]:
        """The result files of a drawing."""
        return place.results(1 if self.grid else self.variations)

    def keeps(self, place: Place) -> bool:
        """Whether a drawing that stays as it is will be copied to the results."""
        path, copy = place.path, place.unchanged
        if self.grid or path is None or copy is None:
            return False
        return not copy.exists() or (self.overwrite and not copy.samefile(path))

    def is_done(self, place: Place) -> bool:
        """Whether nothing is left to be made."""
        if place.is_volume and place.result and volumes.waiting(place.result).exists():
            return False
        files = (*self.files(place), *(one for one in (self.film, self.layers, self.map) if one))
        return not self.overwrite and place.result is not None and all(map(Path.exists, files))


@dataclass(frozen=True)
class Model:
    """Which model, where it computes, and the adapters it puts on, with their weights."""

    name: str
    device: str
    offline: bool
    encoder: str = ""
    predicts: str = ""
    adapters: Sequence[tuple[str, float]] = ()


@dataclass(frozen=True)
class Voice:
    """How results are told."""

    quiet: bool
    as_json: bool


@dataclass(frozen=True)
class Plan:
    """What is to be colored, pages of volumes each by itself, and what is not, with the reason."""

    todo: list[Place] = field(default_factory=list)
    done: list[tuple[Place, str]] = field(default_factory=list)
    refused: list[tuple[Place, ColorizeError]] = field(default_factory=list)
    books: list[Book] = field(default_factory=list)

    @property
    def total(self) -> int:
        """How many pictures, pages included, are told of."""
        return len(self.todo) + len(self.done) + len(self.refused)


def planned(places: Sequence[Place], form: Form, stamp: str) -> Plan:
    """Look at what is there already, and into the volumes."""
    made = Plan()
    for place in places:
        if form.is_done(place) and (stranger := _of_another(place, form.files(place)[0])):
            made.refused.append((place, stranger))
        elif form.is_done(place):
            made.done.append((place, "its result is there; --overwrite makes it again"))
        elif not place.is_volume:
            made.todo.append(place)
        else:
            try:
                book = Book(place, stamp, alone=len(places) == 1, dry=form.dry)
            except ColorizeError as error:
                made.refused.append((place, error))
                continue
            made.books.append(book)
            for page in book.pages():
                if book.is_left(page):
                    made.todo.append(page)
                else:
                    made.done.append((page, f"an earlier run has {book.fates[page.inside].state} it"))
    return made


def _of_another(place: Place, result: Path) -> ColorizeError | None:
    """Why a result that is there is none of this drawing: it says itself of which one it was made."""
    from colorize.images import files
    from colorize.images.decode import read_texts
    from colorize.images.metadata import MARK

    if place.is_volume or place.path is None:
        return None
    with suppress(OSError, ValueError):
        made_of = json.loads(read_texts(result.read_bytes()).get(MARK, "{}")).get("drawing")
        if made_of and made_of != files.fingerprint(place.path):
            return ColorizeError(
                f"`{result}` is there, but was made of another drawing than `{place.name}`, or before it changed",
                "name another file or folder with --out, or make it anew with --overwrite",
            )
    return None


def stamp(form: Form, given: Given, model: Model, settings: Mapping[str, Any]) -> str:
    """What tells runs apart whose pages must not be mixed in one volume."""
    told = {key: value for key, value in settings.items() if key != "batch"}
    aside = given.aside
    paths = (model.name, model.encoder, *(name for name, _ in model.adapters), *given.references)
    more = (given.palette, given.hints, aside.background, aside.mask, aside.reference_mask)
    return volumes.stamp((told, given, replace(model, device=""), form.overwrite), (*paths, *more))


def places(inputs: Sequence[str], form: Form, voice: Voice) -> list[Place]:
    """Where results will go; refuses what cannot go there."""
    from colorize.images import listing

    sources = listing.find(inputs, volumes=True)
    found = plan(inputs, sources, form.out)
    if not found:
        raise ColorizeError("all these pictures are results of an earlier run", "name the drawings")
    if found[0].result is None and (voice.as_json or (form.variations > 1 and not form.grid)):
        what = "JSON" if voice.as_json else f"{form.variations} variations"
        raise ColorizeError(
            f"standard output holds one picture and no {what} beside it", "name a file or a folder with --out", code=2
        )
    single: dict[str, object] = {"--film": form.film, "--layers": form.layers, "--grid": form.grid}
    single |= {"--variations": form.variations > 1, "--out -": found[0].result is None}
    _check_volumes(found, {name: bool(value) for name, value in single.items()})
    outputs.check(form.film, form.layers, len(found), form.variations)
    guard([file for place in found for file in form.files(place)], found)
    return found


def _check_volumes(places: Sequence[Place], wishes: dict[str, bool]) -> None:
    """Refuse what volumes cannot have (ColorizeError, wrong usage). wishes: options, and whether they are given."""
    volume = next((place for place in places if place.is_volume), None)
    wish = next((name for name, given in wishes.items() if given), None)
    if volume and wish:
        raise ColorizeError(
            f"`{volume.name}` is a volume, and {wish} is for single pictures",
            f"leave {wish} out, or unpack the pages you want it for",
            code=2,
        )
