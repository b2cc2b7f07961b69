"""Color hints and the tone of references as planes for the stack door. Knows nothing of noise, files or training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorize.hints import Hints
from colorize.networks.references import Drop, Strength, kept, shown
from colorize.networks.unet import Cond, pad
from colorize.pictures.edges import same_frame
from colorize.pictures.field import spread
from colorize.pictures.strokes import resize

LAYOUT = 16  # cells a side that a reference's layout is blurred to
APART = 0.25  # weight of a reference that shows something else, beside 1.25 of the drawing's frame
PALE = 0.02  # weight of paper in the mean color of a figure


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


@dataclass(frozen=True)
class ReferenceTone:
    """What references look like from afar, in a stack at 1/`patch` of the drawing.

    Channels: mean color without paper, mean color weighted by chroma, whether there is a reference, and
    its blurred layout, as far as its edges lie where the drawing's do: the layout of another pose or
    another picture would only be copied. The tokens say which part is where; these planes say at once
    what the whole is like. Of several references those count more that show the drawing's frame.
    """

    patch: int = 2

    stacked: ClassVar = 10  # channels that the stack door receives
    tokens: ClassVar = 0

    def build(self, widths: tuple[int, ...] = ()) -> nn.Module:
        """Make the module."""
        return ReferenceToneDoor(self.patch)


class ReferenceToneDoor(nn.Module):
    """Planes of the means and the blurred layout of all references together."""

    def __init__(self, patch: int) -> None:
        super().__init__()
        self.patch = patch

    def forward(
        self, hints: Hints, drop: Drop | None = None, strength: Strength | None = None
    ) -> Cond:
        """Encode the references; dropped or missing ones are planes of 0."""
        size = planes_size(hints, self.patch)
        reference = hints.get("reference")
        if reference is None:
            return Cond(stack=hints.drawing.new_zeros(hints.batch, 10, *size))
        several = reference.reshape(hints.batch, -1, 3, *reference.shape[-2:])  # (B, R, 3, h, w)
        near = same_frame(shown(hints, drop or {}), reference)[..., None, None, None]
        share = (APART + near) / (APART + near).sum(1, keepdim=True)
        means = (share[..., 0] * self._means(several)).sum(1)[..., None]  # (B, 6, 1, 1)
        flat = torch.cat([means, torch.ones_like(means[:, :1])], dim=1)
        near = near / near.sum(1, keepdim=True).clamp(min=1)
        layout = F.adaptive_avg_pool2d((near * several).sum(1), LAYOUT)
        layout = F.interpolate(layout, size, mode="bilinear")
        planes = torch.cat([flat.expand(-1, -1, *size), layout], dim=1)
        rows = kept(hints, "reference", drop or {}) * (strength or {}).get("reference", 1.0)
        return Cond(stack=planes * rows)

    @staticmethod
    def _means(several: Tensor) -> Tensor:
        """Mean color without paper, and weighted by chroma: (B, R, 6, 1)."""
        pixels = several.flatten(3)  # (B, R, 3, N)
        low, high = pixels.amin(2, keepdim=True), pixels.amax(2, keepdim=True)
        weights = 1 - low + PALE, high - low + PALE * (1 - low) + 1e-4
        return torch.cat([mean(pixels, weight) for weight in weights], dim=2)


def mean(pixels: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean color (..., 3, 1) of pixels (..., 3, N), weights (..., 1, N)."""
    return (pixels * weight).sum(-1, keepdim=True) / weight.sum(-1, keepdim=True)
