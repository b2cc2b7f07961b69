"""From hints to a Cond: what the user gave, encoded once per picture. Knows nothing of noise, files or training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from colorize.hints import Hints
from colorize.networks.colors import HintMap
from colorize.networks.pyramid import Pyramid
from colorize.networks.references import Drop, ReferenceTokens, Strength, kept, shown, single
from colorize.networks.scribbles import ScribbleTokens
from colorize.networks.unet import Cond, pad


@dataclass(frozen=True)
class Stack:
    """Join hints to x channel by channel, at full size; dropped or missing ones become 0."""

    names: tuple[str, ...] = ("line", "reference")

    channels: ClassVar = {"line": 1, "gray": 1, "reference": 3, "hints": 4}
    tokens: ClassVar = 0

    @property
    def stacked(self) -> int:
        """How many channels the stack door receives."""
        return sum(self.channels[name] for name in self.names)

    def build(self, widths: tuple[int, ...] = ()) -> nn.Module:
        """Make the module."""
        return StackDoor(self)


class StackDoor(nn.Module):
    """Concatenate hints; the first name is required, the others may be left out."""

    def __init__(self, spec: Stack) -> None:
        super().__init__()
        self.spec = spec

    def forward(
        self, hints: Hints, drop: Drop | None = None, strength: Strength | None = None
    ) -> Cond:
        """Encode the hints as one stack (B, S, H, W)."""
        drop, strength = drop or {}, strength or {}
        size, parts = hints.size, []
        _ = hints[self.spec.names[0]]
        for name in self.spec.names:
            count = Stack.channels[name]
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

    def forward(
        self, hints: Hints, drop: Drop | None = None, strength: Strength | None = None
    ) -> Cond:
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

    def forward(
        self, hints: Hints, drop: Drop | None = None, strength: Strength | None = None
    ) -> Cond:
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
