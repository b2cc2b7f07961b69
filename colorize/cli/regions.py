"""`colorize regions`: number the regions of a drawing; `sample --regions`: recolor its result by their file."""

from __future__ import annotations

import itertools
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from colorize import __version__
from colorize.cli import messages, outputs, records
from colorize.coloring.options import SampleOptions
from colorize.errors import ColorizeError

if TYPE_CHECKING:
    from colorize.cli.outputs import Target
    from colorize.images.image import Picture, Pixels
    from colorize.images.layers import Layer
    from colorize.images.region_files import RegionFile

GAPS = Annotated[float | None, messages.sample_option("gaps")]
TAKEN = ("regions", "out", "flat", "layers", "kind", "force", "overwrite", "quiet", "device", "precision", "model")


def regions(
    picture: Annotated[Path, typer.Argument(metavar="PICTURE", help="Drawing whose regions are numbered")],
    colored: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Its result, which has the colors  [default: NAME_color beside it, if any]"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Output file  [default: NAME_regions.toml]")
    ] = None,
    gaps: GAPS = None,
    force: Annotated[bool, typer.Option("--force", help="Take any picture for line art")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file of regions that was edited")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only results and errors")] = False,
) -> None:
    """Number the regions of a drawing and list their colors.

    Writes a numbered picture of the regions (NAME_regions.png), their colors as TOML (NAME_regions.toml), and a map
    for the program (NAME_regions_map.png). Change colors in the TOML; `colorize sample PICTURE --regions FILE` then
    recolors those regions of the result at once. Without a result all regions are white.

    Examples:
        colorize regions sketch.png
        colorize sample sketch.png --regions sketch_regions.toml
    """
    from colorize.images import files, metadata, region_files
    from colorize.images import regions as finding

    path = out or picture.with_name(f"{picture.stem}_regions.toml")
    if path.suffix.lower() != ".toml":
        raise ColorizeError(f"regions cannot be written as `{path}`", "name a .toml file with --out", code=2)
    shown = region_files.beside(path, "")
    if not overwrite:
        region_files.check_free(path, shown)
    drawing = _drawing(picture, force)
    source = _result(picture, drawing, colored, quiet)
    divided = finding.divide(drawing, source[1] if source else None, gaps)
    found, numbers = finding.find(divided)
    region_files.write(found, numbers, path, (str(picture), drawing), source)
    program = json.dumps({"program": f"colorize {__version__}"})
    files.write(finding.numbered(divided, found, numbers), shown, {metadata.MARK: program})
    messages.name_result(path)
    messages.name_result(shown)
    if not quiet:
        count = messages.counted(len(found), "region")
        command = shlex.join(["colorize", "sample", str(picture), "--regions", str(path)])
        messages.say(f"{count}; change colors in `{path}`, then: {command}")


def _drawing(path: Path, force: bool) -> Picture:
    """Read a drawing; refuse what is no line art."""
    import cv2
    import numpy as np

    from colorize.images import files, region_files, shading
    from colorize.images.resize import fit_size

    drawing = files.read(path)
    if force:
        return drawing
    if region_files.is_ours(drawing):
        raise ColorizeError(f"`{path}` was made by this program", "name the drawing, and the result with --colored")
    size = fit_size(drawing.size, shading.SIDE, enlarge=False)
    small = cv2.resize(drawing.on_white().pixels, size[::-1], interpolation=cv2.INTER_AREA).reshape(*size, -1)
    gray = small.mean(2, dtype=np.float32) / np.float32(drawing.peak)
    if np.median(gray) < 0.5:  # of white
        message = f"`{path}` is mostly dark, and regions are found between dark lines on light paper"
        raise ColorizeError(message, "invert it first, or take it as it is with --force")
    if shading.is_shaded(gray) and not shading.is_printed(drawing):
        message = f"`{path}` is a gray picture or in color; only line art has regions"
        raise ColorizeError(message, "take it for line art with --force")
    return drawing


def _result(path: Path, drawing: Picture, named: Path | None, quiet: bool) -> tuple[Path, Picture] | None:
    """The result that shows the colors of a drawing: the one named, or the one beside the drawing."""
    from colorize.images import files

    result = named or path.with_name(f"{path.stem}_color{outputs.result_suffix(path)}")
    if not named and not result.exists():
        return None
    colored = files.read(result)
    if colored.size == drawing.size:
        return result, colored
    (height, width), (tall, wide) = colored.size, drawing.size
    message = f"`{result}` is {width} x {height} pixels, but the drawing is {wide} x {tall}"
    if named:
        raise ColorizeError(message, "name the result of this drawing with --colored")
    if not quiet:
        messages.say(f"note: {message}; all regions are white")
    return None


def recolor(pictures: Sequence[str], options: SampleOptions) -> None:
    """Recolor the result of a drawing as a file of regions says, without a model."""
    from colorize.images import files, ink, listing, metadata, region_files
    from colorize.images import regions as finding

    assert options.regions is not None
    _check(options)
    target, *others = outputs.locate(pictures, listing.find(pictures), options.out)
    if others or target.path is None:
        what = f"{1 + len(others)} drawings" if others else "standard input"
        raise ColorizeError(f"--regions recolors one drawing in a file, not {what}", "name one file", code=2)
    file = region_files.read(options.regions)
    original = files.read(target.path)
    if region_files.fingerprint(original) != file.state.drawing:
        message = f"`{target.name}` is not the drawing that `{file.path}` was made for, or has changed since"
        raise ColorizeError(message, f"make its regions anew: colorize regions {target.name}", code=2)
    drawing = ink.on_paper(original)
    base, old = _base(drawing, file, options.flat)
    picture = finding.recolored(drawing, base, file.numbers, old, file.colors)
    picture = replace(picture, text={**picture.text, metadata.MARK: _provenance(base, target.path, file)})
    changed = int((old != file.colors).any(1).sum())
    notes = [f"{messages.counted(changed, 'region')} recolored" if changed else f"no color differs in `{file.path}`"]
    if options.layers:
        path = target.extras(options, 0)["layers"]
        if not options.overwrite:
            made = records.read(file.colored).record if file.colored else None
            path = records.settle_extra(path, dict((made or {}).get("extras", {}).values()), file.state.made)
        outputs.write_layers(_layers(drawing, picture, file, options), picture, path)
        file = region_files.remember(file, records.digest(path))
        notes.append(f"the layers are `{path}`")
    if changed or options.out or options.flat or not file.colored:
        notes += _written(target, picture, file, options)
    else:
        messages.name_result(file.colored)
    for note in () if options.quiet else notes:
        messages.say(f"note: {note}")


def _replaceable(path: Path, file: RegionFile, options: SampleOptions) -> bool:
    """Whether a recolored result may replace a file; the file of regions, which may be another's, cannot name any."""
    from colorize.images import files, region_files

    if options.overwrite:
        return path != file.colored or region_files.is_ours(files.read(path))
    found = files.read(path)
    return region_files.fingerprint(found) in file.state.made and (path != file.colored or region_files.is_ours(found))


def _provenance(base: Picture, drawing: Path, file: RegionFile) -> str:
    """How a recolored result was made: as the one before, and then recolored."""
    from colorize.images import files, metadata

    known = {"program": f"colorize {__version__}", **metadata.record(base.text)}
    known |= {"drawing": files.fingerprint(drawing), "regions": file.path.name}
    return json.dumps(known, ensure_ascii=False)


def _check(options: SampleOptions) -> None:
    """Refuse options that mean nothing without a model (ColorizeError, wrong usage)."""
    plain = SampleOptions()
    for one in fields(SampleOptions):
        if one.metadata and one.name not in TAKEN and getattr(options, one.name) != getattr(plain, one.name):
            flag = messages.flag(one.name)
            message = f"{flag} means nothing with --regions, which recolors a result without a model"
            raise ColorizeError(message, f"leave {flag} out", code=2)
    outputs.check_extras(options, 1)


def _base(drawing: Picture, file: RegionFile, flat: bool) -> tuple[Picture, Pixels]:
    """The picture that is recolored, and the flat colors (N, 3) of its regions: the result, or the white drawing."""
    import numpy as np

    from colorize.images import files, region_files
    from colorize.images import regions as finding

    if flat or file.colored is None:
        return drawing, np.full_like(file.colors, 255)
    if not file.colored.exists():
        message = f"`{file.colored}`, the result that `{file.path}` recolors, is missing"
        raise ColorizeError(message, "put it back, or fill the regions with flat colors: --flat")
    base = files.read(file.colored)
    if base.size != drawing.size:
        message = f"`{file.colored}` no longer has the size of the drawing"
        raise ColorizeError(message, "put it back, or fill the regions with flat colors: --flat")
    if region_files.fingerprint(base) == file.state.colored:
        return base, file.old
    touched = (file.old != file.colors).any(1)[:, None]
    return base, np.where(touched, finding.present_colors(drawing, base, file.numbers), file.colors)


def _layers(drawing: Picture, picture: Picture, file: RegionFile, options: SampleOptions) -> tuple[Layer, ...]:
    from colorize.images import layers
    from colorize.images import regions as finding

    divided = finding.with_field(drawing, picture, file.numbers, file.colors, file.names)
    return layers.layers(divided, options.flat)


def _written(target: Target, picture: Picture, file: RegionFile, options: SampleOptions) -> list[str]:
    """Write a recolored result, print its path, and let the map know it; return notes.

    It takes the place of the result that it comes from, unless that was not made by this program or was changed since.
    """
    from colorize.images import encode, files, region_files

    if options.out == outputs.STDOUT:
        messages.piped(sys.stdout, "output").write(encode.encode(picture, ".png"))
        return []
    path = target.result if options.out or not file.colored else file.colored
    assert path is not None
    notes = []
    if path.exists() and not _replaceable(path, file, options):
        if options.out:
            hint = "name another file, or replace it with --overwrite"
            raise ColorizeError(f"`{path}` exists, and was not made with `{file.path}` or was changed", hint, code=2)
        why = f"it was painted by hand, or changed since `{file.path}` was made"
        notes.append(f"`{path}` stays as it is: {why}; colorize regions lists its colors anew")
        path = next(
            one for at in itertools.count(2) if not (one := path.with_name(f"{path.stem}-{at}{path.suffix}")).exists()
        )
    replaced = file.colored is not None and path.resolve() == file.colored.resolve()
    notes += files.write(picture, path)
    if replaced and path.suffix.lower() in (".jpg", ".jpeg"):
        notes.append("JPEG is compressed anew each time; a result in PNG (--out) keeps all other pixels exactly")
    region_files.remember(file, region_files.fingerprint(files.read(path)), replaced)
    messages.name_result(path)
    return notes
