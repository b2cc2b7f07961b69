"""Lay a model's colors on the original: shaded, flat, or in layers. Knows nothing of how they came about."""

from __future__ import annotations

import torch
from torch import Tensor

from colorize.painter.framing import Frame, Kind
from colorize.painter.options import Options
from colorize.pictures import finish, layers
from colorize.pictures.layers import Layer
from colorize.pictures.picture import Picture
from colorize.pictures.touch import Touch


def laid(
    original: Picture, color: Tensor, kind: Kind, inked: bool, touch: Touch | None = None
) -> Picture:
    """Return the original in color, see `finish.onto`."""
    with torch.inference_mode():
        return finish.onto(original, color, kind, inked, touch)


def finished(
    frame: Frame, color: Tensor, flat: Tensor, inked: bool, options: Options
) -> tuple[Picture, tuple[Layer, ...]]:
    """Return the finished picture, and its layers from top to bottom if they are wanted.

    color, flat: (1, 3, h, w) in [-1, 1], with shade and without; inked: whether the drawing's ink is in it.
    See `finish.onto`. Gray panels of a page are shaded also where its line art is to be flat.
    """
    if frame.kind == "gray" or not (options.flat or options.layers):
        return laid(frame.original, color, frame.kind, inked, frame.touch), ()
    with torch.inference_mode():
        hints = frame.hints.get("hints") if frame.touch else None
        sheet = layers.divide(frame.original, color, inked, hints, frame.touch, flat)
        parts = layers.layers(sheet, options.flat) if options.layers else ()
        return layers.merged(sheet, options.flat), parts
