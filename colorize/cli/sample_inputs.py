"""The knobs of latent models as `--knob NAME=VALUE`, and the pictures that only these take."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from colorize.cli import messages
from colorize.cli.outputs import STDIO, Place
from colorize.cli.progress import Show
from colorize.errors import ColorizeError

if TYPE_CHECKING:
    from colorize.coloring.options import Job, Named
    from colorize.colorize_diffusion.condition import LatentSettings
    from colorize.images.color_hints import Mark
    from colorize.images.image import Picture

SWITCHED = {"echo": "InjectionSettings", "window": "Window"}  # off until one of their numbers is given
AUTO = "auto"


def system_settings(texts: Sequence[str], edits: Sequence[str] = (), file: Path | None = None) -> LatentSettings | None:
    """Return the settings that `--knob margin=1.5` and `--knob echo.start=0.2` make, None without any.

    edits, file: changes of the reference by words, the file's first. Raises ColorizeError (wrong usage) for
    misspelt names, with the nearest, and for values out of range.
    """
    from colorize.colorize_diffusion import text_edits
    from colorize.colorize_diffusion.condition import LatentSettings
    from colorize.recipes.overrides import override

    if not (texts or edits or file):
        return None
    for text in texts:
        if "=" not in text:
            raise ColorizeError(f"`--knob {text}` has no value", "write it as NAME=VALUE, such as margin=1.5", code=2)
    stored = text_edits.read(file) if file else ()
    prompts = (*stored, *(text_edits.parse(text) for text in edits))
    on = [
        f"{name}={kind}"
        for name, kind in SWITCHED.items()
        if any(text.strip().startswith(f"{name}.") for text in texts)
    ]
    return replace(override(LatentSettings(), *on, *texts), prompts=prompts)


@dataclass(frozen=True)
class Aside:
    """What is given for figure and background apart: a background, and masks, a file or folder each."""

    background: Path | None = None
    mask: str = ""
    reference_mask: Path | None = None

    def read(self) -> tuple[Named | None, Picture | None]:
        """Read what all drawings share: the background, and the reference's mask."""
        from colorize.coloring import paint
        from colorize.images import files

        back = paint.named(self.background, "the background") if self.background else None
        return back, files.read(self.reference_mask) if self.reference_mask else None

    def mask_of(self, name: Path) -> Picture | Literal["auto"] | None:
        """Return the mask of a drawing, found in a folder by its name, or `auto`.

        Raises ColorizeError where a folder holds none for it.
        """
        from colorize.images import files

        if not self.mask or self.mask == AUTO:
            return "auto" if self.mask else None
        path = Path(self.mask)
        if path.is_dir():
            found = [one for one in sorted((path / name.parent).glob(f"{name.stem}.*")) if one.is_file()]
            if not found:
                raise ColorizeError(f"`{path}` holds no mask for `{name}`", "name it like the drawing, or use auto")
            path = found[0]
        return files.read(path)


HINTS = (".json", ".png", ".webp", ".tif", ".tiff", ".jpg", ".jpeg")  # what a folder may hold per drawing


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
    from colorize.coloring import paint
    from colorize.images import listing

    if STDIO in given:
        raise ColorizeError("standard input may be a drawing, but no reference", "name a file with --ref", code=2)
    found = [paint.named(one.path) for one in listing.find(given) if one.path] if given else []
    for one in found:
        for note in one.picture.notes:
            show.note(note)
    return tuple(found)


def jobs(places: Sequence[Place], references: tuple[Named, ...], given: Given, dots: tuple[Mark, ...]) -> Iterator[Job]:
    """One job per drawing, made when its turn comes."""
    from colorize.coloring.color_hints import read_hints
    from colorize.coloring.options import Job

    hints, aside = given.hints, given.aside
    folder = hints if hints and hints.is_dir() else None
    shared = read_hints(hints) if hints and not folder else None
    background, reference_mask = aside.read()
    for place in places:
        drawing = place.path or place.read or messages.piped(sys.stdin, "input").read()
        own = hints_in(folder, place) if folder else shared
        mask = aside.mask_of(place.relative)
        yield Job(place.name, drawing, references, own, dots, background, mask, reference_mask)


def hints_in(folder: Path, place: Place) -> Path | None:
    """The hints of a drawing in a folder: pages/p1.png has p1.png or p1.json there."""
    paths = (folder / place.relative.with_suffix(suffix) for suffix in HINTS)
    return next((path for path in paths if path.is_file()), None)
