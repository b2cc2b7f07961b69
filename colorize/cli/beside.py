"""Files that `sample` writes beside the result of one drawing: a film, layers. Knows nothing of options' names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from colorize.errors import ColorizeError

if TYPE_CHECKING:
    from colorize.checkpoint import Loaded
    from colorize.cli.show import Show
    from colorize.networks.latent.manner import Manner
    from colorize.painter import Painted
    from colorize.painter.options import Named

LAYERED = (".ora", ".psd")


def check_map(references: tuple[Named, ...], manner: Manner | None) -> None:
    """Refuse a map of edits that are not there, or on other than one reference (ColorizeError, wrong usage)."""
    if manner is None or not manner.prompts:
        hint = 'add --text, such as --text "hair: blonde", or leave --visualize out'
        raise ColorizeError("--visualize has no edits by words to show", hint, code=2)
    if len(references) != 1:
        raise ColorizeError(
            f"--visualize draws on one reference, and {len(references)} were given",
            "give one --ref, or leave --visualize out",
            code=2,
        )


def draw_map(loaded: Loaded, reference: Named, manner: Manner, path: Path, show: Show) -> None:
    """Write the map of what edits by words move on the reference."""
    from colorize.painter import latent
    from colorize.pictures import files

    picture = latent.region_map(loaded, reference, manner)
    for note in (*picture.notes, *files.write(picture, path)):
        show.note(note)


def check(film: Path | None, layers: Path | None, drawings: int, pictures: int) -> None:
    """Refuse what cannot be written (ColorizeError, wrong usage), before anything is computed.

    drawings: how many there are. pictures: how many are made of each; layers are those of one.
    """
    if film and (film.suffix.lower() != ".gif" or drawings > 1):
        raise ColorizeError(
            f"a film is one GIF of one drawing, not `{film}` of {drawings}",
            "write it as --film film.gif, with one drawing",
            code=2,
        )
    if layers is None:
        return
    if layers.suffix.lower() not in LAYERED:
        raise ColorizeError(
            f"layers cannot be written as `{layers}`",
            "write them as --layers picture.ora, or .psd",
            code=2,
        )
    if drawings * pictures > 1:
        raise ColorizeError(
            f"layers are those of one picture, and {drawings * pictures} are to be made",
            "give one drawing, without --variations",
            code=2,
        )
    if layers.suffix.lower() == ".psd":
        from colorize.pictures import photoshop

        photoshop.check()


def write(painted: Painted, film: Path | None, layers: Path | None, show: Show) -> None:
    """Write the film and the layers of a picture, and tell where they are."""
    from colorize.painter import album
    from colorize.pictures import openraster, photoshop

    if film:
        album.write_film(painted.frames, film)
        still = ", a single picture since the walk had one step; --steps 8 makes a film of 8"
        show.note(f"the film is `{film}`{still if len(painted.frames) == 1 else ''}")
    if layers:
        form = photoshop if layers.suffix.lower() == ".psd" else openraster
        form.write(painted.layers, painted.picture, layers)
        show.note(f"the layers are `{layers}`")
