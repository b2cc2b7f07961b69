"""Decide where the results of `sample` go, and write what goes with them."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from colorize.cli import messages, records
from colorize.cli.records import Settled
from colorize.coloring.options import SampleOptions
from colorize.errors import ColorizeError, nearest

if TYPE_CHECKING:
    from colorize.cli.messages import Reporter
    from colorize.cli.pairs import Pair
    from colorize.cli.volumes import VolumeJob
    from colorize.coloring.batch import Painted
    from colorize.images.image import Picture
    from colorize.images.layers import Layer
    from colorize.images.listing import Source

FOLDER = "colored"  # for several pictures, below the working folder
STDOUT = "-"
EXTRAS = {"film": (".gif",), "layers": (".ora", ".psd"), "save_regions": (".toml",)}  # and their formats
MOST = 8  # results beside a drawing that are looked at
HINTS = (".json", ".png", ".ora", ".psd", ".webp", ".tif", ".tiff", ".jpg", ".jpeg")  # of a folder of hints


@dataclass(frozen=True)
class Target:
    """A drawing and its result.

    path: of the drawing, None for standard input. name: for messages. relative: its path below the folder that
    was named. result: its file, None for standard output. volume, page, read: of a page of a volume, which has no
    path: the volume, the path inside, and a function that reads it. copy: where a drawing that stays as it is,
    such as a picture in color, is copied to, or None. pair: its own reference. source, settled: set by `settle`.
    """

    path: Path | None
    name: str
    relative: Path
    result: Path | None
    volume: VolumeJob | None = None
    page: str = ""
    read: Callable[[], bytes] | None = None
    copy: Path | None = None
    pair: Pair | None = None
    source: records.Source | None = None
    settled: tuple[Settled, ...] = ()

    @property
    def is_volume(self) -> bool:
        """Whether it is a comic in an archive, of many pages."""
        return self.path is not None and _is_volume(self.path)

    def files(self, options: SampleOptions) -> tuple[Path, ...]:
        """The result files: name_1.png, name_2.png of several variations, or the plain name."""
        if self.settled or self.result is None:
            return tuple(one.path for one in self.settled)
        return tuple(_numbered(self.result, at, options) for at in range(1 if options.grid else options.variations))

    def extras(self, options: SampleOptions, at: int) -> dict[str, Path]:
        """The files beside one variation, by option."""
        found = {}
        shared = self.result is not None and self.result.stem == self.relative.name  # see `locate`
        stem = (self.relative.name if shared else self.relative.stem) + (f"_{self.pair.name}" if self.pair else "")
        for name, suffixes in EXTRAS.items():
            given: Path | None = getattr(options, name)
            if given and (folder := _folder_of_extra(name, options)):
                path = folder / self.relative.parent / _pattern(given, suffixes[0]).name.replace("*", stem)
                found[name] = _numbered(path, at, options)
            elif given and at == 0:
                found[name] = given
        return found

    def is_copied(self, options: SampleOptions) -> bool:
        """Whether the drawing will be copied to the results if it stays as it is."""
        if options.grid or self.path is None or self.copy is None:
            return False
        return not self.copy.exists() or (options.overwrite and not self.copy.samefile(self.path))

    def is_done(self, options: SampleOptions) -> bool:
        """Whether all its results exist, made with these options."""
        from colorize.cli.volumes import pages_folder

        waiting = self.is_volume and any(pages_folder(one.path).exists() for one in self.settled)
        missing = options.visualize is not None and not options.visualize.exists()
        return bool(self.settled) and all(one.done for one in self.settled) and not waiting and not missing


def settle(target: Target, options: SampleOptions, values: records.Values, taken: set[Path]) -> Target:
    """Return a target with its source, and with results that overwrite nothing but what this program may replace.

    values: what `records.options_of` returns. taken: names of all results; new ones are added. Raises ColorizeError
    for a volume that cannot be read.
    """
    from colorize.images import files
    from colorize.images.archives import open_volume

    paths = target.files(options)
    if not paths:
        return target
    if target.path is None and target.read is None:
        data = messages.piped_input()
        target = replace(target, read=lambda: data)
    drawing, place = "", ""
    if target.path:
        place = records.place(target.path)
        drawing = open_volume(target.path).fingerprint if target.is_volume else files.fingerprint(target.path)
    elif target.read:
        drawing = files.sha256(target.read())[:12]
    for name, own in own_files(target, options).items() if not target.is_volume else ():
        values = records.with_file(values, name, own)
    source = records.Source(drawing, place, values)
    settled = [Settled(path) for path in paths]
    if not options.overwrite:
        extras = [target.extras(options, at) for at in range(len(paths))]
        pairs = zip(paths, extras, strict=True)
        given, volume, copies = records.given_in(options), target.is_volume, target.copy is not None
        settled = [records.settle(path, source, more, taken, given, volume, copies) for path, more in pairs]
    taken.update(one.path for one in settled)
    result = settled[0].path if len(settled) == 1 else target.result
    return replace(target, result=result, source=source, settled=tuple(settled))


def folder_of(given: object) -> Path | None:
    """An option that names a folder of one file per drawing."""
    return Path(given) if isinstance(given, str | Path) and given and Path(given).is_dir() else None


def file_of(folder: Path, target: Target, suffixes: Sequence[str]) -> Path | None:
    """The file of a drawing in a folder: pages/p1.png has p1.png or p1.json there."""
    below = (folder / target.relative).parent
    found = (path for suffix in suffixes for path in sorted(below.glob(f"{glob.escape(target.relative.stem)}{suffix}")))
    return next((path for path in found if path.is_file()), None)


def own_files(target: Target, options: SampleOptions) -> dict[str, Path | None]:
    """The files of a drawing alone, or None, by the options that name a folder of one file per drawing."""
    suffixes = {"hints": HINTS, "mask": (".*",), "only": (".*",)}
    folders = {name: folder_of(getattr(options, name)) for name in suffixes}
    return {name: file_of(folder, target, suffixes[name]) for name, folder in folders.items() if folder}


def _numbered(path: Path, at: int, options: SampleOptions) -> Path:
    """The name of a variation: name_1.png, or the plain name if there is only one file."""
    return path if options.grid or options.variations == 1 else path.with_name(f"{path.stem}_{at + 1}{path.suffix}")


def _folder_of_extra(name: str, options: SampleOptions) -> Path | None:
    """The folder of an option such as --layers if there is to be one file for each drawing."""
    given: Path | None = getattr(options, name)
    pattern = _pattern(given, EXTRAS[name][0]) if given else None
    return pattern.parent if pattern and "*" in pattern.name else None


def _pattern(given: Path, suffix: str) -> Path:
    """The file of an option such as --layers, or a pattern for one per drawing: layers/*.ora of the folder layers."""
    return given if "*" in given.name or (given.suffix and not given.is_dir()) else given / f"*{suffix}"


def targets(inputs: Sequence[str], options: SampleOptions) -> list[Target]:
    """Return the target of every picture to color; raises ColorizeError (wrong usage) for what cannot be written."""
    from colorize.images import listing

    sources = listing.find(inputs, volumes=True)
    for name in EXTRAS:  # maps of regions and films are pictures, too
        if folder := _folder_of_extra(name, options):
            sources = [one for one in sources if not _is_result(one, folder, inputs)]
    found = locate(inputs, sources, options.out)
    if not found:
        raise ColorizeError("all these pictures are results of an earlier run", "name the drawings")
    several = options.variations > 1 and not options.grid
    if found[0].result is None and (options.as_json or several):
        what = "JSON" if options.as_json else f"{options.variations} variations"
        hint = "name a file or a folder with --out"
        raise ColorizeError(f"standard output takes one picture, without {what}", hint, code=2)
    given = {messages.flag(name): getattr(options, name) for name in (*EXTRAS, "grid")}
    given |= {"--variations": options.variations > 1, "--out -": found[0].result is None}
    volume = next((target for target in found if target.is_volume), None)
    single = next((name for name, value in given.items() if value), None)
    if volume and single:
        hint = f"leave {single} out, or unpack the pages you want it for"
        raise ColorizeError(f"`{volume.name}` is a volume, and {single} is for single pictures", hint, code=2)
    check_extras(options, len(found))
    if options.visualize:
        _check_suffix(options.visualize, None)
    check_drawings_stay(found, options)
    return found


def check_drawings_stay(targets: Sequence[Target], options: SampleOptions) -> None:
    """Refuse results, and files beside them, that would replace a drawing (ColorizeError, wrong usage)."""
    drawings = {_inode(target.path) for target in targets if target.path and target.path.exists()}
    results = [file for target in targets for file in target.files(options)]
    if options.overwrite:
        beside = [target.extras(options, at) for target in targets for at in range(options.variations)]
        results += [file for files in beside for file in files.values()]
    for result in results:
        if result.exists() and _inode(result) in drawings:
            message = f"the result would replace the drawing `{result}`"
            raise ColorizeError(message, "give another place with --out", code=2)


def earlier(target: Target, options: SampleOptions) -> tuple[Path, ...]:
    """Return the results of a drawing that exist: where new ones go, what stays, and NAME_color_2.png beside it."""
    path, given = target.path, Path(options.hints) if isinstance(options.hints, str | Path) else None
    if target.volume or path is None:
        return ()
    beside = sorted(path.parent.glob(f"{glob.escape(path.stem)}_color*{result_suffix(path)}"))[:MOST]
    stay = [one.stays for one in target.settled if one.stays]
    found = dict.fromkeys(one.absolute() for one in (*target.files(options), *stay, *beside) if one.is_file())
    return tuple(one for one in found if given is None or not given.exists() or not one.samefile(given))


def locate(inputs: Sequence[str], sources: Sequence[Source], out: str | None) -> list[Target]:
    """Return the target of every picture, in order.

    One file: beside it, or `out`. Several, or a folder: the tree below `out`, which also gets copies of what stays
    as it is, else FOLDER. Files already below that folder are results of an earlier run and left out, unless it
    was named. Raises ColorizeError (wrong usage) where one file is to hold several pictures, or to be a folder.
    """
    from colorize.images import listing
    from colorize.images.encode import FORMATS

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
    near = is_alone or nearest(folder.suffix, [*FORMATS, *listing.VOLUME_SUFFIXES]).startswith("did you mean")
    if to_file or (near and misspelt and not str(out).endswith(("/", os.sep))):
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
        ends = ("", *range(-2, -2 - len(sources), -1))  # the later one of two keeps its suffix: a.gif.png, a.gif-2.png
        more = (result.with_name(f"{one.relative.name}{end}{result.suffix}") for end in ends)
        result = next(name for name in (result, *more) if name not in taken)
        taken.add(result)
        same = result.suffix.lower() == one.relative.suffix.lower()
        copy = None if out is None else result if same else result.with_name(one.relative.name)
        found.append(replace(_target(one, result), copy=copy))
    return found


def _is_result(source: Source, folder: Path, inputs: Sequence[str]) -> bool:
    """Whether a picture is a result of an earlier run: below a folder that no input names, or of `regions`."""
    from colorize.images.listing import real

    if source.path is None:
        return False
    stem = source.path.stem.removesuffix("_map").removesuffix("_regions")  # see `region_files.beside`
    known = (source.path.with_name(f"{stem}{end}") for end in (".toml", "_regions.toml"))
    if stem != source.path.stem and str(source.path) not in inputs and any(one.exists() for one in known):
        return True
    if not folder.is_dir():
        return False
    inside = real(source.path).is_relative_to(real(folder))
    return inside and not any(real(one).is_relative_to(real(folder)) for one in inputs)


def _target(source: Source, result: Path | None) -> Target:
    name = str(source.path) if source.path else "standard input"
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
    """Refuse files beside results that cannot be written (ColorizeError, wrong usage), before anything is done."""
    for name in EXTRAS:
        if given := getattr(options, name):
            _check_extra(name, given, options, drawings)


def _check_extra(name: str, given: Path, options: SampleOptions, drawings: int) -> None:
    flag, suffixes = messages.flag(name), EXTRAS[name]
    pattern = _pattern(given, suffixes[0])
    if pattern.suffix.lower() not in suffixes or str(given) == STDOUT:
        what = {"film": "a film", "save_regions": "regions"}.get(name, name)
        hint = f"name a file that ends in {' or '.join(suffixes)}, or a folder"
        raise ColorizeError(f"{what} cannot be written as `{given}`", hint, code=2)
    pictures = drawings * (options.variations if name != "film" and not options.grid else 1)
    if not _folder_of_extra(name, options) and (pictures > 1 or options.watch):
        count = "more pictures may come" if options.watch else f"there are {pictures} pictures"
        message = f"{flag} {given} is one file, but {count}"
        raise ColorizeError(message, f"name a folder, such as {flag} {given.parent / given.stem}/", code=2)
    if pattern.suffix.lower() == ".psd":
        from colorize.images.layers import check_psd_tools

        check_psd_tools()


def write_extras(
    painted: Painted, target: Target, at: int, drawing: Picture | None, options: SampleOptions, report: Reporter
) -> dict[str, Path]:
    """Write the film, the layers and the regions of a picture, and print where they are; return their paths."""
    from colorize.coloring import album
    from colorize.images import encode, files, region_files

    beside = target.settled[at].beside if target.settled else {}
    paths = target.extras(options, at)
    if not options.overwrite:
        for name, path in paths.items():
            if (free := records.settle_extra(path, beside)) != path:
                report.note(f"`{path}` was edited, or made otherwise, and stays; the new file is `{free}`")
            paths[name] = free
    for name, path in paths.items():
        more = ""
        if name == "film":
            album.write_film(painted.frames, path)
            more = ", one frame for one denoising step; --steps 8 gives 8 frames" if len(painted.frames) == 1 else ""
        elif name == "layers" and painted.layers:
            write_layers(painted.layers, painted.picture, path)
        elif painted.regions and drawing:
            result = None
            if target.result and not options.grid:  # as it will be read from its file
                file = target.files(options)[at]
                result = file, files.read(encode.encode(painted.picture, file.suffix))
            region_files.write(*painted.regions, path, (target.name, drawing), result)
            more = f", their map is `{region_files.map_of(path)}`"
        else:  # of white lines on black
            continue
        folder = _folder_of_extra(name, options)
        what = {"film": "films are" if folder else "film is", "layers": "layers are"}.get(name, "regions are")
        report.note(f"the {what} in `{folder}`" if folder else f"the {what} `{path}`{more}")
    return {name: path for name, path in paths.items() if path.exists()}


def write_layers(layers: Sequence[Layer], merged: Picture, path: Path) -> None:
    """Write layers in the format of the suffix."""
    from colorize.images.layers import write_openraster, write_photoshop

    (write_photoshop if path.suffix.lower() == ".psd" else write_openraster)(layers, merged, path)
