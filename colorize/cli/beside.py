"""Files that `sample` writes beside the result of one drawing: a film, layers. Knows nothing of options' names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from colorize.errors import ColorizeError

if TYPE_CHECKING:
    from colorize.cli.show import Show
    from colorize.painter import Painted

LAYERED = (".ora", ".psd")


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
