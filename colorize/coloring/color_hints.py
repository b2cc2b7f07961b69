"""Read what users hint: transparent layers, painted copies, JSON and single dots become one hint map.

Knows nothing of models or of the sizes they work at.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from colorize.coloring.options import Named
from colorize.errors import ColorizeError
from colorize.images import color_hints, files, hint_files
from colorize.images.color_hints import ColorHint
from colorize.images.hint_files import parse, resize
from colorize.images.image import Picture


def read_hints(path: Path) -> Picture | str:
    """Return the hints of a file, for `hint_map`: the text of JSON, or a picture.

    Raises ColorizeError if it cannot be read.
    """
    if path.suffix.lower() != ".json":
        return files.read(path)
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise ColorizeError(f"`{path}` cannot be read: {reason}", "check the path") from error


def hint_map(
    hints: Picture | str | Tensor | None, dots: Sequence[ColorHint], drawing: Picture
) -> tuple[Tensor | None, tuple[str, ...]]:
    """Return the hints on a drawing as a map (1, 4, H, W) of its size, or None without any, and notes.

    hints: a picture that is transparent but for the hints, a copy of the drawing painted over, JSON
    text, or a hint map (1, 4, h, w), which keeps its size if there are no dots. dots lie on top of
    all. Raises ColorizeError as `strokes.parse`, `copies.parse` and `marks.draw` do.
    """
    below, notes = (None, ()) if hints is None else _below(hints, drawing)
    if not dots:
        return below, notes
    top = color_hints.draw(dots, drawing.size)
    if below is None:
        return top, notes
    return torch.where(top[:, 3:] > 0, top, resize(below, drawing.size)), notes


def _below(hints: Picture | str | Tensor, drawing: Picture) -> tuple[Tensor, tuple[str, ...]]:
    """Map and notes of what is given at once, for all of the drawing."""
    if isinstance(hints, Tensor):
        return hints, ()
    if isinstance(hints, str):
        return parse(hints, drawing.size), ()
    notes: tuple[str, ...] = ()
    if hints.size != drawing.size:
        (height, width), (tall, wide) = hints.size, drawing.size
        notes = (f"the hints are {width} x {height} pixels and were scaled to {wide} x {tall}",)
    if hints.alpha is None or hints.alpha.min() == hints.peak:
        return hint_files.parse_copy(hints, drawing), notes
    layer = np.dstack([np.broadcast_to(hints.pixels, (*hints.size, 3)), hints.alpha])
    return parse(layer, drawing.size), notes


def hinted(
    drawing: Named, hints: Picture | str | Tensor | None, dots: Sequence[ColorHint]
) -> tuple[Tensor | None, tuple[str, ...]]:
    """The hint map of a drawing and notes; errors tell which of many drawings it is for."""
    try:
        return hint_map(hints, dots, drawing.picture)
    except ColorizeError as error:
        raise ColorizeError(f"`{drawing.name}`: {error.message}", error.hint, error.code) from error
