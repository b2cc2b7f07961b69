"""From hints to a Cond: what the user gave, encoded once per picture. Knows nothing of noise, files or training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorize.hints import HINTS, Hints
from colorize.images.hint_files import resize
from colorize.images.under_ink import spread
from colorize.networks.encoders import Drop, Pyramid, ReferenceTokens, Strength, kept, shown, single
from colorize.networks.layers import Down, Residual
from colorize.networks.unet import Cond, pad


@dataclass(frozen=True)
class Stack:
    """Join hints to x channel by channel, at full size; dropped or missing ones become 0."""

    names: tuple[str, ...] = ("line", "reference")

    tokens: ClassVar = 0

    @property
    def stacked(self) -> int:
        """How many channels the stack door receives."""
        return sum(HINTS[name].channels for name in self.names)

    def build(self, widths: tuple[int, ...] = ()) -> nn.Module:
        """Make the module."""
        return StackDoor(self)


class StackDoor(nn.Module):
    """Concatenate hints; the first name is required, the others may be left out."""

    def __init__(self, spec: Stack) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, hints: Hints, drop: Drop | None = None, strength: Strength | None = None) -> Cond:
        """Encode the hints as one stack (B, S, H, W)."""
        drop, strength = drop or {}, strength or {}
        size, parts = hints.size, []
        _ = hints[self.spec.names[0]]
        for name in self.spec.names:
            count = HINTS[name].channels
            value = hints.get(name)
            if value is None:
                parts.append(hints.drawing.new_zeros(hints.batch, count, *size))
                continue
            if name == "reference":
                value = F.interpolate(single(value, "this model"), size, mode="bilinear")
            parts.append(value * kept(hints, name, drop) * strength.get(name, 1.0))
        return Cond(stack=torch.cat(parts, dim=1))


@dataclass(frozen=True)
class Drawing:
    """Line art or gray at full size into a stack at 1/`patch` of it, with a plane that says which it is.

    With `patch` = 2 the four pixels of a cell become four channels (pixel-unshuffle, Shi et al. 2016).
    """

    patch: int = 2

    tokens: ClassVar = 0

    @property
    def stacked(self) -> int:
        """How many channels the stack door receives."""
        return self.patch**2 + 1

    def build(self, widths: tuple[int, ...] = ()) -> nn.Module:
        """Make the module."""
        return DrawingDoor(self.patch)


class DrawingDoor(nn.Module):
    """Stack of the unshuffled drawing and its kind: +1 line art, -1 gray."""

    def __init__(self, patch: int) -> None:
        super().__init__()
        self.patch = patch

    def forward(self, hints: Hints, drop: Drop | None = None, strength: Strength | None = None) -> Cond:
        """Encode the drawing; rows whose line is dropped or missing show their gray instead."""
        lined = kept(hints, "line", drop or {})
        cells = F.pixel_unshuffle(pad(shown(hints, drop or {}), self.patch), self.patch)
        flag = (2 * lined - 1).expand(-1, 1, *cells.shape[-2:])
        return Cond(stack=torch.cat([cells, flag], dim=1))


@dataclass(frozen=True)
class Together:
    """Several conditions at once: their stacks are joined, so are their tokens; one may have maps."""

    parts: tuple[Drawing | HintMap | Pyramid | ReferenceTokens | ScribbleTokens | Stack, ...] = ()

    @property
    def stacked(self) -> int:
        """How many channels the stack door receives."""
        return sum(part.stacked for part in self.parts)

    @property
    def tokens(self) -> int:
        """The width of the tokens; all parts that have tokens share it."""
        return max((part.tokens for part in self.parts), default=0)

    def build(self, widths: tuple[int, ...] = ()) -> nn.Module:
        """Make the module. widths: of the U-Net's levels, which its maps must have."""
        return TogetherDoors([part.build(widths) for part in self.parts])


class TogetherDoors(nn.Module):
    """Ask every part and join the answers."""

    def __init__(self, parts: list[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, hints: Hints, drop: Drop | None = None, strength: Strength | None = None) -> Cond:
        """Encode all hints into one Cond."""
        conds = [part(hints, drop, strength) for part in self.parts]
        stacks = [cond.stack for cond in conds if cond.stack is not None]
        tokens = [cond.tokens for cond in conds if cond.tokens is not None]
        scales = [cond.token_scale for cond in conds if cond.tokens is not None]
        return Cond(
            stack=torch.cat(stacks, dim=1) if stacks else None,
            tokens=torch.cat(tokens, dim=1) if tokens else None,
            maps=next((cond.maps for cond in conds if cond.maps), ()),
            token_scale=scales[0] if scales else 1.0,
        )


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

    def forward(self, hints: Hints, drop: Drop | None = None, strength: Strength | None = None) -> Cond:
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
class ScribbleTokens:
    """Line art and scribbles together into tokens, one for each cell of the coarsest level.

    widths: channels per level; each but the last halves the picture, the last is a token's width.
    waves: how many frequencies tell where a cell lies, on the tokens and, as planes of the stack, on
    x; 0 for none, as published, where a network can only guess which scribble is near. patch: x is
    smaller than the drawing by this factor.
    """

    widths: tuple[int, ...] = (32, 64, 128, 128)
    waves: int = 3
    patch: int = 1

    channels: ClassVar = 5  # line, color under the mask, mask

    @property
    def tokens(self) -> int:
        """The width of the tokens."""
        return self.widths[-1]

    @property
    def stacked(self) -> int:
        """How many channels the stack door receives: sine and cosine of x and y per wave."""
        return 4 * self.waves

    def build(self, widths: tuple[int, ...] = ()) -> nn.Module:
        """Make the module."""
        return ScribbleEncoder(self)


class ScribbleEncoder(nn.Module):
    """A convolutional encoder without time: it runs once per picture, not once per step."""

    def __init__(self, spec: ScribbleTokens) -> None:
        super().__init__()
        self.spec, widths = spec, spec.widths
        self.enter = nn.Conv2d(spec.channels, widths[0], 3, padding=1)
        self.levels = nn.ModuleList(
            nn.Sequential(Residual(a, a, 0, 8), Down(a), Residual(a, b, 0, 8)) for a, b in pairwise(widths)
        )
        self.place = nn.Linear(spec.stacked, widths[-1]) if spec.waves else None
        self.norm = nn.LayerNorm(widths[-1])

    def forward(self, hints: Hints, drop: Drop | None = None, strength: Strength | None = None) -> Cond:
        """Encode the drawing and its scribbles: tokens (B, N, width), and planes of places."""
        scale = (strength or {}).get("hints", 1.0)
        given = hints.drawing.new_zeros(hints.batch, 4, *hints.size)
        scribbles = hints.get("hints")
        if scribbles is not None:
            mask = (scribbles[:, 3:] + 1) / 2 * kept(hints, "hints", drop or {})
            given = torch.cat([scribbles[:, :3] * mask, mask], dim=1)
        stride = 2 ** len(self.levels)
        h = self.enter(pad(torch.cat([hints.drawing, given], dim=1), stride))
        for level in self.levels:
            h = level(h)
        tokens = h.flatten(2).transpose(1, 2)  # (B, C, h, w) -> (B, N, C)
        if self.place is None:
            return Cond(tokens=self.norm(tokens), token_scale=scale)
        size = h.shape[-2] * stride, h.shape[-1] * stride
        where = places(size, stride, self.spec.waves).to(h).flatten(1).T  # (N, 4 waves)
        planes = places(hints.size, self.spec.patch, self.spec.waves).to(h)
        stack = planes[None].expand(hints.batch, -1, *planes_size(hints, self.spec.patch))
        return Cond(stack, self.norm(tokens + self.place(where)), token_scale=scale)


def places(size: tuple[int, int], cell: int, waves: int) -> Tensor:
    """Sines and cosines of where cells lie, (4 * waves, h, w): waves of 512, 128, 32 ... pixels.

    size: height and width in pixels; cells of `cell` pixels begin at the upper left corner, so that
    planes of other cells tell the same place alike, whatever the picture's size.
    """
    down, across = (torch.arange(-(-side // cell)) * cell + cell / 2 for side in size)
    y, x = torch.meshgrid(down, across, indexing="ij")
    angles = [2 * math.pi / (512 / 4**wave) * axis for wave in range(waves) for axis in (x, y)]
    return torch.stack([part for angle in angles for part in (angle.sin(), angle.cos())])
