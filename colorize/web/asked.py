"""What a page asks for: a drawing, what is given with it, and what was painted on it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from colorize.errors import ColorizeError
from colorize.images import files
from colorize.web import options as choices

AUTO = "auto"  # in place of a mask: find the figure
HEX = re.compile(r"#[0-9a-f]{6}", re.I)
STROKES, POINTS = 4000, 400_000  # of a drawing

Edit = tuple[float, float, str]  # x, y, and the color "#rrggbb" of the region there


@dataclass(frozen=True)
class Asked:
    """A request: uploads by id, options, strokes of the brush, and colors of regions.

    pictures: by the name of their option. strokes: as hint files have them. edits: the last one in a region counts.
    """

    drawing: str
    references: tuple[str, ...]
    pictures: Mapping[str, str]
    values: choices.Values
    strokes: tuple[Mapping[str, Any], ...]
    edits: tuple[Edit, ...]

    @property
    def key(self) -> str:
        """What tells requests with different results apart, but for the colors of regions."""
        given = [self.drawing, self.references, dict(self.pictures), self.values, [*map(dict, self.strokes)]]
        return files.sha256(json.dumps(given, default=str))

    @property
    def uploads(self) -> tuple[str, ...]:
        """The ids of all pictures given with the drawing."""
        return (*self.references, *(one for one in self.pictures.values() if one != AUTO))

    @property
    def hints(self) -> str:
        """The strokes as a hint file, or ""."""
        return json.dumps({"strokes": [dict(one) for one in self.strokes]}) if self.strokes else ""


def read(given: Mapping[str, Any], values: choices.Values) -> Asked:
    """Read a request; values: its options. Raises ColorizeError (wrong usage) for what is none."""
    references, pictures = given.get("references", []), given.get("pictures", {})
    strokes, edits = given.get("strokes", []), given.get("edits", [])
    lists = all(isinstance(one, list) for one in (references, strokes, edits))
    named = isinstance(pictures, Mapping) and set(pictures) <= set(choices.PICTURES) - {"reference"}
    found = [name for name, one in pictures.items() if one == AUTO] if named else []
    if not lists or not named or found not in ([], ["mask"]):
        raise ColorizeError("the request has another form", "see /openapi.json", code=2)
    points = [one.get("points") if isinstance(one, Mapping) else None for one in strokes]
    if len(strokes) > STROKES or sum(len(one) for one in points if isinstance(one, list)) > POINTS:
        raise ColorizeError(f"there are {len(strokes)} strokes", f"paint at most {STROKES}", code=2)
    marks = tuple(_edit(one) for one in edits[-STROKES:])
    return Asked(str(given.get("drawing")), tuple(map(str, references)), dict(pictures), values, tuple(strokes), marks)


def _edit(one: object) -> Edit:
    match one:
        case [int() | float() as x, int() | float() as y, str() as color] if HEX.fullmatch(color):
            return float(x), float(y), color.lower()
    raise ColorizeError(f"`{str(one)[:60]}` is not a place and a color", 'write it as [120, 85, "#ff8800"]', code=2)
