"""Decide where the results of `sample` go, and write what goes with them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from colorize.coloring.options import SampleOptions
from colorize.errors import ColorizeError

if TYPE_CHECKING:
    from colorize.checkpoints.model_files import Loaded
    from colorize.cli.messages import Reporter
    from colorize.cli.volumes import VolumeJob
    from colorize.coloring.batch import Painted
    from colorize.coloring.options import Job
    from colorize.images.image import Picture
    from colorize.images.layers import Layer
    from colorize.images.listing import Source

FOLDER = "colored"  # for several pictures, below the working folder
STDOUT = "-"
LAYERED = (".ora", ".psd")


@dataclass(frozen=True)
class Target:
    """A drawing and its result.

    path: of the drawing, None for standard input. name: for messages. relative: its path below the folder that
    was named. result: its file, None for standard output. volume, page, read: of a page of a volume, which has no
    path: the volume, the path inside, and a function that reads it. copy: where a drawing that stays as it is,
    such as a picture in color, is copied to, None for nowhere.
    """

    path: Path | None
    name: str
    relative: Path
    result: Path | None
    volume: VolumeJob | None = None
    page: str = ""
    read: Callable[[], bytes] | None = None
    copy: Path | None = None

    @property
    def is_volume(self) -> bool:
        """Whether it is a comic in an archive, of many pages."""
        return self.path is not None and _is_volume(self.path)

    def files(self, options: SampleOptions) -> tuple[Path, ...]:
        """The result files: name_1.png, name_2.png of several variations, or the plain name."""
        if self.result is None:
            return ()
        if options.grid or options.variations == 1:
            return (self.result,)
        stem, suffix = self.result.stem, self.result.suffix
        return tuple(self.result.with_name(f"{stem}_{at}{suffix}") for at in range(1, options.variations + 1))

    def is_copied(self, options: SampleOptions) -> bool:
        """Whether the drawing will be copied to the results if it stays as it is."""
        if options.grid or self.path is None or self.copy is None:
            return False
        return not self.copy.exists() or (options.overwrite and not self.copy.samefile(self.path))

    def is_done(self, options: SampleOptions) -> bool:
        """Whether all its results exist."""
        from colorize.cli.volumes import pages_folder

        if self.result is None or options.overwrite or (self.is_volume and pages_folder(self.result).exists()):
            return False
        more = (options.film, options.layers, options.save_regions, options.visualize)
        return all(path.exists() for path in (*self.files(options), *more) if path)


def targets(inputs: Sequence[str], options: SampleOptions) -> list[Target]:
    """Return the target of every picture to color; raises ColorizeError (wrong usage) for what cannot be written."""
    from colorize.images import listing

    found = locate(inputs, listing.find(inputs, volumes=True), options.out)
    if not found:
        raise ColorizeError("all these pictures are results of an earlier run", "name the drawings")
    several = options.variations > 1 and not options.grid
    if found[0].result is None and (options.as_json or several):
        what = "JSON" if options.as_json else f"{options.variations} variations"
        hint = "name a file or a folder with --out"
        raise ColorizeError(f"standard output takes one picture, without {what}", hint, code=2)
    given = {
        "--film": options.film,
        "--layers": options.layers,
        "--save-regions": options.save_regions,
        "--grid": options.grid,
    }
    given |= {"--variations": options.variations > 1, "--out -": found[0].result is None}
    volume = next((target for target in found if target.is_volume), None)
    single = next((name for name, value in given.items() if value), None)
    if volume and single:
        hint = f"leave {single} out, or unpack the pages you want it for"
        raise ColorizeError(f"`{volume.name}` is a volume, and {single} is for single pictures", hint, code=2)
    check_extras(options, len(found))
    drawings = {_inode(target.path) for target in found if target.path}
    for result in (file for target in found for file in target.files(options)):
        if result.exists() and _inode(result) in drawings:
            message = f"the result would replace the drawing `{result}`"
            raise ColorizeError(message, "give another place with --out", code=2)
    return found


def locate(inputs: Sequence[str], sources: Sequence[Source], out: str | None) -> list[Target]:
    """Return the target of every picture, in order.

    One file: beside it, or `out`. Several, or a folder: the tree below `out`, which also gets copies of what stays
    as it is, else FOLDER. Files already below that folder are results of an earlier run and left out, unless it
    was named. Raises ColorizeError (wrong usage) where one file is to hold several pictures, or to be a folder.
    """
    from colorize.images import listing

    is_alone = len(inputs) == 1 and not Path(inputs[0]).is_dir() and len(sources) == 1
    folder, path = Path(out or FOLDER), sources[0].path if sources else None
    to_stdout = out == STDOUT or (out is None and is_alone and path is None)
    named = folder.suffix.lower() in listing.PICTURE_SUFFIXES or _is_volume(folder)
    to_file = named and not folder.is_dir() and not str(out).endswith(("/", os.sep))
    if (to_stdout or to_file) and len(sources) > 1:
        message = f"{'standard output' if to_stdout else f'`{out}`'} takes one picture, but {len(sources)} were given"
        raise ColorizeError(message, "name a folder with --out", code=2)
    if to_stdout:
        return [_target(one, None) for one in sources]
    if out is None and is_alone and path:
        return [_target(sources[0], path.with_name(f"{path.stem}_color{result_suffix(path)}"))]
    misspelt = re.fullmatch(r"\.[A-Za-z][A-Za-z0-9]{1,4}", folder.suffix) and not folder.exists()
    if to_file or (is_alone and misspelt and not str(out).endswith(("/", os.sep))):
        _check_suffix(folder, path)
        _check_folder(folder.parent, 1)
        return [_target(sources[0], folder)]
    _check_folder(folder, len(sources))
    taken: set[Path] = set()
    found = []
    for one in sources:
        if _is_result(one, folder, inputs):
            continue
        result = folder / one.relative.with_name(f"{one.relative.stem}{result_suffix(one.relative)}")
        if result in taken:  # of two drawings that share a result, the later keeps its suffix: a.gif.png
            result = folder / one.relative.with_name(f"{one.relative.name}.png")
        taken.add(result)
        same = result.suffix.lower() == one.relative.suffix.lower()
        copy = None if out is None else result if same else result.with_name(one.relative.name)
        found.append(replace(_target(one, result), copy=copy))
    return found


def _is_result(source: Source, folder: Path, inputs: Sequence[str]) -> bool:
    """Whether a picture is a result of an earlier run: below a folder that no input names."""
    if source.path is None or not folder.is_dir():
        return False
    inside = source.path.resolve().is_relative_to(folder.resolve())
    return inside and not any(Path(one).resolve().is_relative_to(folder.resolve()) for one in inputs)


def _target(source: Source, result: Path | None) -> Target:
    from colorize.images.files import shown

    name = shown(source.path) if source.path else "standard input"
    return Target(source.path, name, source.relative, result)


def result_suffix(path: Path) -> str:
    """The suffix of a result: the drawing's own, or PNG where that cannot hold color or be written."""
    from colorize.images.encode import FORMATS

    if _is_volume(path):
        return path.suffix if path.suffix.lower() != ".cbr" else ".cbz"  # it is a zip archive now
    return path.suffix if path.suffix.lower() in FORMATS else ".png"


def _is_volume(path: Path) -> bool:
    from colorize.images.listing import VOLUME_SUFFIXES

    return path.suffix.lower() in VOLUME_SUFFIXES


def _check_suffix(path: Path, source: Path | None) -> None:
    """Refuse a suffix that cannot be written, or is of a volume where the source is a picture, or the reverse."""
    from colorize.images.encode import FORMATS

    volume = source is not None and _is_volume(source)
    known = (".cbz", ".zip") if volume else tuple(FORMATS)
    if path.suffix.lower() not in known:
        what = "volumes" if volume else "pictures"
        raise ColorizeError(
            f"{what} cannot be written as `{path.suffix}`",
            f"use one of {', '.join(known)}, or end a folder with /",
            code=2,
        )


def _check_folder(path: Path, count: int) -> None:
    """Refuse a file, or a path below one, where results need a folder."""
    for part in (path, *path.parents):
        if part.is_dir():
            return
        if part.exists() and count == 1:
            raise ColorizeError(f"`{part}` is a file, not a folder", "name a picture or a folder with --out", code=2)
        if part.exists():
            message = f"`{part}` is a file, and the results of {count} pictures need a folder"
            raise ColorizeError(message, "name one with --out", code=2)


def _inode(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def check_extras(options: SampleOptions, drawings: int) -> None:
    """Refuse extra files that cannot be written (ColorizeError, wrong usage), before anything is computed."""
    film, layers, pictures = options.film, options.layers, drawings * options.variations
    if film and (film.suffix.lower() != ".gif" or drawings > 1):
        message = f"a film is a GIF of one drawing, not `{film}` of {drawings}"
        raise ColorizeError(message, "write it as --film film.gif, with one drawing", code=2)
    if options.save_regions and (options.save_regions.suffix.lower() != ".toml" or pictures > 1):
        message = f"--save-regions writes one TOML file for one picture, not `{options.save_regions}` for {pictures}"
        raise ColorizeError(message, "name a .toml file, and give one drawing without --variations", code=2)
    if options.save_regions and not options.overwrite:
        from colorize.images.region_files import check_free

        check_free(options.save_regions)
    if layers is None:
        return
    if layers.suffix.lower() not in LAYERED:
        hint = "write them as --layers picture.ora, or .psd"
        raise ColorizeError(f"layers cannot be written as `{layers}`", hint, code=2)
    if pictures > 1:
        message = f"layers need a single picture, not {pictures}"
        raise ColorizeError(message, "give one drawing, without --variations", code=2)
    if layers.suffix.lower() == ".psd":
        from colorize.images.layers import check_psd_tools

        check_psd_tools()


def check_region_map(options: SampleOptions, job: Job) -> None:
    """Refuse a map of edits without edits, or on other than one reference (ColorizeError, wrong usage)."""
    if not options.settings or not options.settings.reads_text:
        hint = 'add --text, such as --text "hair: blonde", or leave --visualize out'
        raise ColorizeError("--visualize has no edits by words to show", hint, code=2)
    if len(job.references) != 1:
        message = f"--visualize draws on one reference, and {len(job.references)} were given"
        raise ColorizeError(message, "give one --ref, or leave --visualize out", code=2)


def write_region_map(loaded: Loaded, options: SampleOptions, job: Job, report: Reporter) -> None:
    """Write the map of what edits by words change on the reference."""
    from colorize.images import files

    assert options.settings is not None
    assert options.visualize is not None
    picture = loaded.recipe.system.region_map(loaded.colorizer, job.references[0].picture, options.settings)
    for note in (*picture.notes, *files.write(picture, options.visualize)):
        report.note(note)


def write_extras(painted: Painted, options: SampleOptions, report: Reporter) -> None:
    """Write the film and the layers of a picture, and print where they are."""
    from colorize.coloring import album

    film, layers = options.film, options.layers
    if film:
        album.write_film(painted.frames, film)
        still = ", one frame for one denoising step; --steps 8 gives 8 frames"
        report.note(f"the film is `{film}`{still if len(painted.frames) == 1 else ''}")
    if layers:
        write_layers(painted.layers, painted.picture, layers)
        report.note(f"the layers are `{layers}`")


def write_layers(layers: Sequence[Layer], merged: Picture, path: Path) -> None:
    """Write layers in the format of the suffix."""
    from colorize.images.layers import write_openraster, write_photoshop

    (write_photoshop if path.suffix.lower() == ".psd" else write_openraster)(layers, merged, path)


def write_regions(target: Target, drawing: Picture, painted: Painted, options: SampleOptions, report: Reporter) -> None:
    """Write the regions of a result, and print where they are."""
    from colorize.images import encode, files, region_files

    if not options.save_regions or not painted.regions:
        return
    result = None
    if target.result and not options.grid:  # as it will be read from its file
        result = target.result, files.read(encode.encode(painted.picture, target.result.suffix))
    region_files.write(*painted.regions, options.save_regions, (target.name, drawing), result)
    chart = region_files.map_of(options.save_regions)
    report.note(f"the regions are `{options.save_regions}`, their map is `{chart}`")
