"""Decide where the results of `sample` go. Knows nothing of how they come about."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from colorize.errors import ColorizeError

if TYPE_CHECKING:
    from colorize.checkpoints.model_files import Loaded
    from colorize.cli.progress import Show
    from colorize.cli.volumes import Book
    from colorize.coloring.batch import Painted
    from colorize.coloring.options import Named
    from colorize.images.listing import Source
    from colorize.model import Settings

FOLDER = "colored"  # for several pictures, below the working folder
STDIO = "-"


@dataclass(frozen=True)
class Place:
    """A drawing and its result.

    path: of the drawing, None for standard input. name: what messages call it. relative: its path below
    the folder that was named. result: its file, None for standard output. A page of a volume has no
    path but its book, its path inside, and what reads it there. unchanged: where a copy of it goes if it
    stays as it is, such as a picture in color, None for nowhere.
    """

    path: Path | None
    name: str
    relative: Path
    result: Path | None
    book: Book | None = None
    inside: str = ""
    read: Callable[[], bytes] | None = None
    unchanged: Path | None = None

    @property
    def is_volume(self) -> bool:
        """Whether it is a comic in an archive, of many pages."""
        from colorize.images.listing import VOLUME_SUFFIXES

        return self.path is not None and self.path.suffix.lower() in VOLUME_SUFFIXES

    def results(self, count: int) -> tuple[Path, ...]:
        """The files of so many variations: name_1.png, name_2.png; one keeps the plain name."""
        if self.result is None:
            return ()
        if count == 1:
            return (self.result,)
        stem, suffix = self.result.stem, self.result.suffix
        return tuple(self.result.with_name(f"{stem}_{at}{suffix}") for at in range(1, count + 1))


def plan(inputs: Sequence[str], sources: Sequence[Source], out: str | None) -> list[Place]:
    """Return the place of every picture that is to be colored, in order.

    One file: beside it, or `out`. Several, or a folder: the tree below `out`, which also gets what stays
    as it is, else FOLDER. Files
    already below that folder are results of an earlier run and left out, unless it was named.
    Raises ColorizeError (wrong usage) where one file is to hold several pictures, or to be a folder.
    """
    is_alone = len(inputs) == 1 and not Path(inputs[0]).is_dir() and len(sources) == 1
    if out == STDIO or (out is None and is_alone and sources[0].path is None):
        _only_one(sources, "standard output")
        return [_place(one, None) for one in sources]
    if out is None and is_alone and (path := sources[0].path):
        return [_place(sources[0], path.with_name(f"{path.stem}_color{suffix(path)}"))]
    folder = Path(out or FOLDER)
    if not folder.is_dir() and not str(out).endswith(("/", os.sep)) and _is_file(folder):
        _only_one(sources, f"`{out}`")
        _check_suffix(folder, sources[0].path)
        _check_folder(folder.parent, 1)
        return [_place(sources[0], folder)]
    _check_folder(folder, len(sources))
    left = [one for one in sources if not _left(one, folder, inputs)]
    return [_whole(place) for place in _mirrored(folder, left)] if out else _mirrored(folder, left)


def guard(results: Iterable[Path], places: Iterable[Place]) -> None:
    """Refuse results that would replace a drawing, however its path is spelt (ColorizeError, wrong usage)."""
    drawings = {_inode(one.path) for one in places if one.path}
    for result in results:
        if result.exists() and _inode(result) in drawings:
            raise ColorizeError(
                f"the result would replace the drawing `{result}`", "give another place with --out", code=2
            )


def _mirrored(folder: Path, sources: Sequence[Source]) -> list[Place]:
    """Places below a folder; of two drawings that share one, the later keeps its suffix: a.gif.png."""
    taken: set[Path] = set()
    places = []
    for one in sources:
        result = folder / one.relative.with_name(f"{one.relative.stem}{suffix(one.relative)}")
        if result in taken:
            result = folder / one.relative.with_name(f"{one.relative.name}.png")
        taken.add(result)
        places.append(_place(one, result))
    return places


def _whole(place: Place) -> Place:
    """A place that is also one for the drawing as it is, under its own name."""
    assert place.result is not None
    same = place.result.suffix.lower() == place.relative.suffix.lower()
    own = place.result if same else place.result.with_name(place.relative.name)
    return replace(place, unchanged=own)


def _left(source: Source, folder: Path, inputs: Sequence[str]) -> bool:
    """Whether a picture is a result of an earlier run: below a folder that no input names."""
    if source.path is None or not folder.is_dir():
        return False
    inside = source.path.resolve().is_relative_to(folder.resolve())
    return inside and not any(Path(one).resolve().is_relative_to(folder.resolve()) for one in inputs)


def _only_one(sources: Sequence[Source], place: str) -> None:
    if len(sources) > 1:
        raise ColorizeError(
            f"{place} holds one picture, and {len(sources)} were given", "name a folder with --out", code=2
        )


def _place(source: Source, result: Path | None) -> Place:
    from colorize.images.files import shown

    name = shown(source.path) if source.path else "standard input"
    return Place(source.path, name, source.relative, result)


def suffix(path: Path) -> str:
    """The suffix of a result: the drawing's own, or PNG where that cannot hold color or be written."""
    from colorize.images.encode import FORMATS
    from colorize.images.listing import VOLUME_SUFFIXES

    if path.suffix.lower() in VOLUME_SUFFIXES:
        return path.suffix if path.suffix.lower() != ".cbr" else ".cbz"  # it is a zip archive now
    return path.suffix if path.suffix.lower() in FORMATS else ".png"


def _is_file(path: Path) -> bool:
    """Whether a path that need not exist is by its name that of a picture or a volume."""
    from colorize.images.listing import PICTURE_SUFFIXES, VOLUME_SUFFIXES

    return path.suffix.lower() in (*PICTURE_SUFFIXES, *VOLUME_SUFFIXES)


def _check_suffix(path: Path, source: Path | None) -> None:
    """Refuse a suffix that cannot be written, or is of a volume where the source is a picture, or the reverse."""
    from colorize.images.encode import FORMATS
    from colorize.images.listing import VOLUME_SUFFIXES

    volume = source is not None and source.suffix.lower() in VOLUME_SUFFIXES
    known = (".cbz", ".zip") if volume else tuple(FORMATS)
    if path.suffix.lower() not in known:
        what = "volumes" if volume else "pictures"
        raise ColorizeError(f"{what} cannot be written as `{path.suffix}`", "use one of " + ", ".join(known), code=2)


def _check_folder(path: Path, count: int) -> None:
    """Refuse a file, or a path below one, where results need a folder."""
    for part in (path, *path.parents):
        if part.is_dir():
            return
        if part.exists():
            need = f"and the results of {count} pictures need a folder"
            raise ColorizeError(
                f"`{part}` is a file, {need if count > 1 else 'not a folder'}",
                "name a picture or a folder with --out" if count == 1 else "name one with --out",
                code=2,
            )


def _inode(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


LAYERED = (".ora", ".psd")


def check_map(references: tuple[Named, ...], settings: Settings | None) -> None:
    """Refuse a map of edits that are not there, or on other than one reference (ColorizeError, wrong usage)."""
    if settings is None or not settings.reads_text:
        hint = 'add --text, such as --text "hair: blonde", or leave --visualize out'
        raise ColorizeError("--visualize has no edits by words to show", hint, code=2)
    if len(references) != 1:
        raise ColorizeError(
            f"--visualize draws on one reference, and {len(references)} were given",
            "give one --ref, or leave --visualize out",
            code=2,
        )


def draw_map(loaded: Loaded, reference: Named, settings: Settings, path: Path, show: Show) -> None:
    """Write the map of what edits by words move on the reference."""
    from colorize.images import files

    picture = loaded.recipe.system.region_map(loaded.colorizer, reference.picture, settings)
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
            f"layers cannot be written as `{layers}`", "write them as --layers picture.ora, or .psd", code=2
        )
    if drawings * pictures > 1:
        raise ColorizeError(
            f"layers are those of one picture, and {drawings * pictures} are to be made",
            "give one drawing, without --variations",
            code=2,
        )
    if layers.suffix.lower() == ".psd":
        from colorize.images import layer_files

        layer_files.check()


def write(painted: Painted, film: Path | None, layers: Path | None, show: Show) -> None:
    """Write the film and the layers of a picture, and tell where they are."""
    from colorize.coloring import album
    from colorize.images import layer_files

    if film:
        album.write_film(painted.frames, film)
        still = ", a single picture since the walk had one step; --steps 8 makes a film of 8"
        show.note(f"the film is `{film}`{still if len(painted.frames) == 1 else ''}")
    if layers:
        write_layers = layer_files.write_photoshop if layers.suffix.lower() == ".psd" else layer_files.write_openraster
        write_layers(painted.layers, painted.picture, layers)
        show.note(f"the layers are `{layers}`")
