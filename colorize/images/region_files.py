"""Files of regions: their colors as TOML, which a user edits, and beside it a map of their numbers."""

from __future__ import annotations

import json
import os
import re
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from colorize import __version__
from colorize.errors import ColorizeError, nearest
from colorize.images import files
from colorize.images.color_names import NAMES, parse_color
from colorize.images.encode import encode
from colorize.images.flat_regions import Labels
from colorize.images.image import Picture, Pixels
from colorize.images.metadata import MARK, record
from colorize.images.regions import Region, levels

KEYS = ("color", "name", "area", "box", "at", "source")
AGAIN = "make one with: colorize regions sketch.png"
LONGEST = 255  # bytes of a file's name
KEPT = 50  # results of which the map remembers that this program made them


@dataclass(frozen=True)
class State:
    """What the map remembers, as JSON in its metadata: fingerprints, and the colors of the result by number.

    drawing: of its pixels. colored: of the result's, None without one. text: of the TOML as it was written. made:
    results and layers of this program, which it may replace.
    """

    drawing: str
    colored: str | None
    colors: tuple[str, ...]
    text: str = ""
    made: tuple[str, ...] = ()


@dataclass(frozen=True)
class RegionFile:
    """A file of regions as the user left it.

    map: the file of its map. numbers: (H, W) from 1. colors: (N, 3) uint8, wanted. names: of the layers. colored: the
    result that is changed.
    """

    path: Path
    map: Path
    numbers: Labels
    colors: Pixels
    names: tuple[str, ...]
    colored: Path | None
    state: State

    @property
    def old(self) -> Pixels:
        """The colors (N, 3) uint8 that the result has."""
        return levels(self.state.colors)


def beside(path: Path, what: str) -> Path:
    """The file of a picture that belongs to a file of regions: a.toml and a_regions.toml have a_regions_map.png."""
    return path.with_name(f"{path.stem.removesuffix('_regions')}_regions{what}.png")


def map_of(path: Path) -> Path:
    """The file of the map that belongs to a file of regions."""
    return beside(path, "_map")


def is_ours(picture: Picture) -> bool:
    """Whether this program has made a picture, as its metadata say."""
    return MARK in picture.text


def check_free(path: Path, picture: Path | None = None) -> None:
    """Refuse to replace regions that were edited, and other pictures (ColorizeError, wrong usage)."""
    hint = "name another file, or replace it with --overwrite"
    for other in (map_of(path), picture):
        if other and other.exists() and MARK not in _texts(other):
            raise ColorizeError(f"the picture `{other}` would be replaced, and is none of regions", hint, code=2)
    stem = path.stem.removesuffix("_regions")
    for other in (path.with_name(f"{stem}.toml"), path.with_name(f"{stem}_regions.toml")):
        if map_of(path).exists() and other.exists() and not path.exists():
            raise ColorizeError(f"the map of `{other}` would be replaced, `{map_of(path)}`", hint, code=2)
    if path.exists() and _written(map_of(path)) != files.fingerprint(path):
        raise ColorizeError(f"`{path}` was edited since it was made", hint, code=2)


def _texts(path: Path) -> Mapping[str, str]:
    from colorize.images.decode import read_texts

    try:
        return read_texts(files.content(path, files.BYTES))
    except (OSError, ColorizeError):
        return {}


def _written(path: Path) -> str | None:
    """The fingerprint of the TOML that was written with a map."""
    known = record(_texts(path)).get("regions")
    return str(known.get("text")) if isinstance(known, dict) else None


def write(
    regions: Sequence[Region],
    numbers: Labels,
    path: Path,
    drawing: tuple[str, Picture],
    colored: tuple[Path, Picture] | None,
) -> None:
    """Write regions as TOML, and beside it their map: a 16-bit gray PNG of their numbers.

    drawing: its name and pixels. colored: the result that has the colors, None if there is none in a file. Raises
    ColorizeError for what `files.atomic` refuses.
    """
    name, command = files.shown(drawing[0]), shlex.join([files.shown(drawing[0]), "--regions", files.shown(path)])
    rows = "\n".join(_row(region) for region in regions)
    result = files.shown(os.path.relpath(colored[0], path.parent)) if colored else ""
    text = (
        f"# The regions of {name}. Change colors below, then run:\n"
        f"#   colorize sample {command}\n"
        '# A color is "#c81414" or an English name such as "navy". A name is that of a layer, see --layers.\n\n'
        f"map = {_quoted(map_of(path).name)}\ncolored = {_quoted(result)}\n\n[regions]\n{rows}\n"
    )
    with files.atomic(path) as temporary:
        temporary.write_text(text, "utf-8")
    hashed = fingerprint(colored[1]) if colored else None
    made = (hashed,) if hashed and colored and is_ours(colored[1]) else ()
    colors = tuple(region.color for region in regions)
    write_map(numbers, map_of(path), State(fingerprint(drawing[1]), hashed, colors, files.fingerprint(path), made))


def _row(region: Region) -> str:
    """A region as a line of TOML."""
    source = f", source = [{', '.join(map(_quoted, region.source))}]" if region.source else ""
    where = f"area = {region.area}, box = {list(region.box)}, at = {list(region.at)}"
    return f'{region.number} = {{ color = "{region.color}", name = {_quoted(region.name)}, {where}{source} }}'


def _quoted(text: str) -> str:
    """A text as TOML writes it, which JSON does, too, but for one sign."""
    return json.dumps(files.shown(text), ensure_ascii=False)


def write_map(numbers: Labels, path: Path, state: State) -> None:
    """Write the map of regions at a path, and what it is to remember."""
    known = {"program": f"colorize {__version__}", "regions": vars(state)}
    picture = Picture(numbers[..., None].astype(np.uint16), text={MARK: json.dumps(known)})
    with files.atomic(path) as temporary:
        temporary.write_bytes(encode(picture, ".png"))


def remember(file: RegionFile, made: str, replaced: bool = False) -> RegionFile:
    """Let the map know the fingerprint of what was made; replaced: whether it took the place of the result before."""
    state = replace(file.state, made=(*file.state.made, made)[-KEPT:])
    if replaced:
        state = replace(state, colored=made, colors=tuple(f"#{bytes(one).hex()}" for one in file.colors))
    write_map(file.numbers, file.map, state)
    return replace(file, state=state)


def fingerprint(picture: Picture) -> str:
    """Return twelve digits that tell the pixels of a picture from others', whatever its format and metadata."""
    planes = [one for one in (picture.pixels, picture.alpha) if one is not None]
    return files.sha256([str(picture.pixels.shape), *(one.tobytes() for one in planes)])[:12]


def read(path: Path) -> RegionFile:
    """Read a file of regions, and its map.

    Raises ColorizeError (wrong usage) for what is no such file, and for a bad color, with the number of its region and
    the line.
    """
    try:
        text = files.content(path).decode()
        given = tomllib.loads(text)
    except OSError as error:
        raise ColorizeError(f"`{path}` cannot be read: {error.strerror}", AGAIN, code=2) from None
    except (ValueError, RecursionError) as error:
        hint = 'write colors in quotes: color = "#c81414"'
        raise ColorizeError(f"`{path}` is not valid TOML: {error}", hint, code=2) from None
    table = given.get("regions")
    if not isinstance(table, dict) or not isinstance(given.get("map"), str):
        raise ColorizeError(f"`{path}` is not a file of regions", AGAIN, code=2)
    place = _map_named(given["map"], path)
    numbers, state = _read_map(place, path)
    colors = levels(state.colors)
    names = [""] * len(colors)
    for key, value in table.items():
        where = _where(key, text, path)
        if not re.fullmatch("[0-9]{1,9}", key) or not 1 <= int(key) <= len(colors):
            raise ColorizeError(f"{where} is not in the map", f"regions are numbered 1 to {len(colors)}", code=2)
        one = _checked(value, where)
        if "color" in one:
            colors[int(key) - 1] = parse_color(one["color"], where)
        names[int(key) - 1] = one.get("name", "").strip()
    result = given.get("colored")
    known = path.parent / result if isinstance(result, str) and result else None
    if known and ("\0" in str(known) or any(len(os.fsencode(part)) > LONGEST for part in known.parts)):
        raise ColorizeError(f"`{path}` names a result that cannot be: `{files.shown(known)[:LONGEST]}`", AGAIN, code=2)
    return RegionFile(path, place, numbers, colors, tuple(names), known, state)


def _map_named(name: str, path: Path) -> Path:
    """The map that a file of regions names, which lies beside it: it is written, too."""
    if Path(name).name != name or "\\" in name or "\0" in name or len(os.fsencode(name)) > LONGEST:
        message = f"`{path}` names the map `{files.shown(name)[:LONGEST]}`, which does not lie beside it"
        raise ColorizeError(message, "write the name of the map alone", code=2)
    return path.parent / name


def _where(key: str, text: str, path: Path) -> str:
    """How messages call a region."""
    found = re.search(rf'^[ \t]*"?{re.escape(key)}"?[ \t]*=', text, re.MULTILINE)
    line = f" in line {text.count(chr(10), 0, found.start()) + 1}" if found else ""
    return f"region {key}{line} of `{path}`"


def _checked(value: Any, where: str) -> Mapping[str, str]:
    """The entries of a region, if they are what they should be."""
    example = 'write it as 12 = { color = "#c81414", name = "hat" }'
    if not isinstance(value, dict):
        raise ColorizeError(f"{where} is `{value}`", example, code=2)
    for name, entry in value.items():
        if name not in KEYS:
            raise ColorizeError(f"{where} has an unknown key `{name}`", nearest(name, KEYS), code=2)
        if name in ("color", "name") and not isinstance(entry, str):
            hint = f'{NAMES}, in quotes: color = "navy"' if name == "color" else example
            raise ColorizeError(f"the {name} of {where} is `{entry}`", hint, code=2)
    return value


def _read_map(path: Path, whose: Path) -> tuple[Labels, State]:
    """The map (H, W) of numbers, and what it remembers."""
    if not path.is_file():
        message = f"`{path}`, the map of the regions of `{whose}`, is missing"
        raise ColorizeError(message, "put it back, or make the regions anew: colorize regions sketch.png", code=2)
    picture = files.read(path)
    try:
        known: dict[str, Any] = json.loads(picture.text[MARK])["regions"]
        known |= {"colors": tuple(known["colors"]), "made": tuple(known["made"])}
        state = State(**known)
        count = len(levels(state.colors))
        if not picture.gray or picture.peak != 65535 or int(picture.pixels.max()) > count or picture.pixels.min() < 1:
            raise ValueError
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        message = f"`{path}` is not the map of the regions of `{whose}`, or was changed"
        raise ColorizeError(message, AGAIN, code=2) from None
    return picture.pixels[..., 0].astype(np.int32), state
