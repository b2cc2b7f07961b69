"""Give the hinted pixels of a full-size picture the very colors that were asked for. Knows nothing of models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from colorize.pictures.enlarge import Array


@dataclass(frozen=True)
class Touch:
    """The hinted pixels of a picture.

    place: (N,) pixel numbers in reading order, ascending. color: (N, C), what they are to have.
    strength: how far they go from their color to that, 0 to 1.
    """

    place: npt.NDArray[np.intp]
    color: Array
    strength: float = 1.0


def of(hints: Tensor, strength: float = 1.0) -> Touch:
    """The touch of a hint map (1, 4, H, W) as large as the picture; colors (N, 3) in [-1, 1]."""
    values = hints[0].flatten(1).cpu().numpy()
    place = np.flatnonzero(values[3] > 0)
    return Touch(place, np.ascontiguousarray(values[:3, place].T, np.float32), strength)


def touched(
    colors: Iterable[tuple[slice, Array]], touch: Touch | None
) -> Iterator[tuple[slice, Array]]:
    """Set the touched pixels of a picture that comes in strips: rows and their colors (n, W, C)."""
    for at, color in colors:
        if touch is not None and touch.strength > 0:
            begin, end = at.start * color.shape[1], at.stop * color.shape[1]
            some = slice(*np.searchsorted(touch.place, (begin, end)))
            flat, where = color.reshape(-1, color.shape[2]), touch.place[some] - begin
            flat[where] += touch.strength * (touch.color[some] - flat[where])
            color = flat.reshape(color.shape)
        yield at, color
