"""Color hints as planes for the stack door. Knows nothing of noise, files or training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorize.hints import Hints
from colorize.networks.references import Drop, Strength, kept
from colorize.networks.unet import Cond, pad
from colorize.pictures.field import spread
from colorize.pictures.strokes import resize


def planes_size(hints: Hints, patch: int) -> tuple[int, int]:
    """Height and width of planes at 1/`patch` of the drawing."""
    height, width = hints.size
    return -(-height // patch), -(-width // patch)


@dataclass(frozen=True)
class HintMap:
    """Color hints in a stack at 1/`patch` of the drawing, as given and as spread up to the next line.

    Channels: RGB and mask as given, RGB and mask as spread; RGB is 0 and the mask -1 where there is nothing.
    """

    patch: int = 2

    stacked: ClassVar = 8  # channels that the stack door receives
    tokens: ClassVar = 0

    def build(self, widths: tuple[int, ...] = ()) -> nn.Module:
        """Make the module."""
        return HintMapDoor(self.patch)


class HintMapDoor(nn.Module):
    """Stack of the hints, shrunk so that no hint is lost and no two colors mix."""

    def __init__(self, patch: int) -> None:
        super().__init__()
        self.patch = patch

    def forward(
        self, hints: Hints, drop: Drop | None = None, strength: Strength | None = None
    ) -> Cond:
        """Encode the hints; dropped or missing ones look like an empty map."""
        size = planes_size(hints, self.patch)
        value = hints.get("hints")
        empty = hints.drawing.new_zeros(hints.batch, 8, *size)
        empty[:, 3::4] = -1
        if value is None:
            return Cond(stack=empty)
        rows = kept(hints, "hints", drop or {}) * (strength or {}).get("hints", 1.0)
        given = resize(value, size)
        full = torch.cat([given, spread(given, self._open(hints, drop or {}))], dim=1)
        return Cond(stack=torch.lerp(empty, full, rows))

    def _open(self, hints: Hints, drop: Drop) -> Tensor:
        """Where color may pass, (B, 1, h, w) in [-1, 1]: the lightest ink of each cell; a gray picture has no walls."""
        line = hints.get("line")
        if line is None:
            return hints.drawing.new_ones(hints.batch, 1, *planes_size(hints, self.patch))
        lined = kept(hints, "line", drop)
        return lined * -F.max_pool2d(-pad(line, self.patch), self.patch) + (1 - lined)
