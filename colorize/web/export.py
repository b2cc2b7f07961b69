"""What can be taken away of results: layers, regions, archives, and the command that makes the same picture."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_STORED, ZipFile

import numpy as np

from colorize.errors import ColorizeError
from colorize.images import archives, files, ink, layers, region_files, regions
from colorize.images.encode import FORMATS, encode
from colorize.images.image import Picture
from colorize.web import options as choices
from colorize.web.sessions import Made, Session, Upload
from colorize.web.worker import Report

if TYPE_CHECKING:
    from colorize.web.studio import Studio


def small(studio: Studio, session: Session, made: Made, side: int) -> bytes:
    """Return a small copy of a result as PNG."""
    from colorize.coloring.inputs import shrink

    return encode(shrink(studio.finished(session, made), side).eight_bit(), ".png")


def main_colors(studio: Studio, session: Session, one: Upload) -> list[str]:
    """Return the main colors of an upload."""
    from colorize.coloring.inputs import shrink
    from colorize.images import palettes

    found = palettes.dominant(shrink(studio.picture(session, one), 512).tensor())
    levels = ((found.clamp(-1, 1) + 1) * 127.5).round().byte().tolist()
    return [f"#{bytes(color).hex()}" for color in levels]


# Regions


def region_picture(studio: Studio, session: Session, made: Made) -> bytes:
    """Return the map of a result's regions as a PNG whose red, green and blue are the bytes of their numbers."""
    _, numbers = studio.regions(session, made)
    planes = np.stack([(numbers >> shift).astype(np.uint8) for shift in (16, 8, 0)], -1)
    return encode(Picture(planes), ".png")


def region_list(studio: Studio, session: Session, made: Made) -> list[dict[str, Any]]:
    """Return the regions of a result, the largest first, with the colors they have after its edits."""
    found, numbers = studio.regions(session, made)
    colors = studio.wanted(found, numbers, made.edits)
    return [
        {"color": f"#{bytes(color).hex()}", "area": one.area, "at": one.at, "box": one.box}
        for one, color in zip(found, colors, strict=True)
    ]


def _write_regions(studio: Studio, session: Session, made: Made, folder: Path) -> Path:
    """Write regions as TOML with a result's edits, their map, and the result without edits; return the TOML."""
    base = session.result(made.base) if made.base else made
    found, numbers = studio.regions(session, made)
    path, colored = folder / f"{made.stem}_regions.toml", folder / f"{made.stem}_color.png"
    colored.write_bytes(base.path.read_bytes())
    drawing, result = studio.picture(session, made.drawing), files.read(colored)
    region_files.write(found, numbers, path, (made.drawing.name, drawing), (colored, result))
    text = path.read_text("utf-8")
    wanted = studio.wanted(found, numbers, made.edits)
    for one, color in zip(found, wanted, strict=True):
        text = re.sub(rf'(?m)^({one.number} = {{ color = )"#[0-9a-f]+"', rf'\1"#{bytes(color).hex()}"', text)
    path.write_text(text, "utf-8")
    return path


def bundle(studio: Studio, session: Session, made: Made, everything: bool) -> Path:
    """Return a ZIP with the regions of a result, and with `everything` the picture, the hints and the command, too."""
    folder = session.folder / session.new("bundle")
    folder.mkdir()
    if made.facts["kind"] == "line":
        _write_regions(studio, session, made, folder)
    elif not everything:
        raise ColorizeError(f"`{made.drawing.name}` is a gray picture, which has no regions", "save it as PNG")
    if everything:
        (folder / f"{made.stem}_{'recolored' if made.base else 'color'}.png").write_bytes(made.path.read_bytes())
        for one in (made.drawing, *map(session.upload, made.asked.uploads)):
            (folder / one.name).write_bytes(one.read())
        if made.asked.hints:
            (folder / f"{made.stem}_hints.json").write_text(made.asked.hints, "utf-8")
        (folder / "command.txt").write_text(command_line(made, studio.server) + "\n", "utf-8")
    path = session.folder / session.new("zip") / f"{made.stem}{'' if everything else '_regions'}.zip"
    path.parent.mkdir()
    with ZipFile(path, "w", ZIP_STORED) as packed:
        for file in sorted(folder.iterdir()):
            packed.write(file, file.name)
    return path


def command_line(made: Made, server: Mapping[str, Any]) -> str:
    """Return the command that makes a result again, with the regions of one that was recolored."""
    asked, names = made.asked, made.names
    named = [("reference", names[key]) for key in asked.references]
    named += [(name, names[key]) for name, key in asked.pictures.items() if name != "hints" or not asked.strokes]
    values = dict(asked.values)
    if asked.strokes:
        named.append(("hints", f"{made.stem}_hints.json"))
    line = choices.command(made.drawing.name, values, named, server)
    if made.base:
        line += "\n" + choices.command(made.drawing.name, {}, [("regions", f"{made.stem}_regions.toml")], {})
    return line


# Layers


def layers_of(studio: Studio, session: Session, made: Made, report: Report) -> tuple[tuple[layers.Layer, ...], Picture]:
    """Return the layers of a result, as `sample --layers` makes them, and the picture that they compose to."""
    from colorize.coloring import paint

    options = choices.sample_options(made.asked.values, studio.server)
    if made.base:
        found, numbers = studio.regions(session, made)
        drawing, picture = ink.on_paper(studio.picture(session, made.drawing)), studio.finished(session, made)
        colors = studio.wanted(found, numbers, made.edits)
        divided = regions.with_field(drawing, picture, numbers, colors, [one.name for one in found])
        return layers.layers(divided, options.flat), picture
    report(0.0)
    options = replace(options, layers=Path("layers.ora"))  # a name that nothing is written to
    job = studio.job(session, made.asked)
    (outcome,) = paint.paint_all(studio.load(options), [job], options)
    if outcome.error:
        raise outcome.error
    painted = outcome.painted[made.variation]
    if not painted.layers:
        raise ColorizeError(f"`{made.drawing.name}` has no layers", "they are for line art with dark lines")
    return painted.layers, painted.picture


def write_layers(studio: Studio, session: Session, made: Made, suffix: str, report: Report) -> Path:
    """Write the layers of a result as .ora or .psd, and return the file."""
    if suffix == ".psd":
        layers.check_psd_tools()
    path = session.folder / f"{session.new('layers')}{suffix}"
    found, merged = layers_of(studio, session, made, report)
    (layers.write_photoshop if suffix == ".psd" else layers.write_openraster)(found, merged, path)
    return path


# Archives


def archive(session: Session, pairs: Sequence[tuple[Upload, Made]], suffix: str) -> Path:
    """Write results in place of the pages of their volume, or those of single pictures in one archive.

    pairs: pages, all of one volume or none, and their results. suffix: cbz or zip. Raises ColorizeError for others.
    """
    if suffix not in ("cbz", "zip"):
        raise ColorizeError(f"pages cannot be packed as `{suffix[:20]}`", "use cbz or zip", code=2)
    folder = session.folder / session.new("archive")
    folder.mkdir()
    results = {}
    for at, (one, made) in enumerate(pairs):
        given = PurePosixPath(one.page or one.name)
        known = given.suffix.lower() in FORMATS
        path = folder / f"{at}{given.suffix if known else '.png'}"
        files.write(files.read(made.path), path)
        results[one.page or one.name] = path
    if key := pairs[0][0].volume:
        name, volume = session.volumes[key]
        target = folder / f"{PurePosixPath(name).stem}_color.{suffix}"
        archives.write_volume(volume, results, target)
        return target
    target, taken = folder / f"colored.{suffix}", set[str]()
    with ZipFile(target, "w", ZIP_STORED) as packed:
        for name, path in results.items():
            stem, number = f"{PurePosixPath(name).stem}_color", 2
            inside = f"{stem}{path.suffix}"
            while inside in taken:
                inside, number = f"{stem}-{number}{path.suffix}", number + 1
            taken.add(inside)
            packed.write(path, inside)
    return target


def edits_map(studio: Studio, session: Session, reference: Upload, values: choices.Values) -> bytes:
    """Return where edits by text act on a reference, as PNG. Raises ColorizeError without such edits."""
    options = choices.sample_options(values, studio.server)
    if options.settings is None or not options.settings.reads_text:
        raise ColorizeError("there are no edits by text", "add one, such as `hair: blonde`", code=2)
    loaded = studio.load(options)
    shown = loaded.recipe.system.region_map(loaded.colorizer, studio.picture(session, reference), options.settings)
    return encode(shown, ".png")
