"""Spaces, what x is: whole pictures, the color under the ink, or chroma alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from colorize.hints import Hints
from colorize.images import finish
from colorize.images.background import whiten
from colorize.images.color import lab_to_rgb, rgb_to_lab
from colorize.images.hint_files import resize
from colorize.images.under_ink import even, fill, paper_white
from colorize.networks.unet import cells, darkest, pad


class Space:
    """What x is, and the way of pictures to x and back: `channels` of it, a cell for `patch` x `patch` pixels.

    inked: whether the ink of line art is in x, and in the color that `decode` gives.
    """

    channels = 3
    inked = False
    patch = 1

    def build(self) -> Self:
        """Return this: it has no weights."""
        return self

    def shape(self, hints: Hints) -> tuple[int, int, int, int]:
        """The shape of x for these hints."""
        return hints.batch, self.channels, *cells(hints.size, self.patch)

    def encode(self, color: Tensor, hints: Hints) -> Tensor:
        """A color picture (B, 3, H, W) to x."""
        raise NotImplementedError

    def decode(self, x: Tensor, hints: Hints, strength: float = 1.0) -> Tensor:
        """From x to color, (B, 3, h, w) in [-1, 1], pulled to the hints by `strength` from 0 to 1."""
        raise NotImplementedError

    def weight(self, hints: Hints) -> Tensor | None:
        """How much each place of x counts in the loss, (B, 1, h, w); None counts all alike."""
        return None


@dataclass(frozen=True)
class RGB(Space):
    """x is the finished picture itself, (B, 3, H, W) in [-1, 1], ink included."""

    inked = True

    def encode(self, color: Tensor, hints: Hints) -> Tensor:
        """A color picture is x."""
        return color

    def decode(self, x: Tensor, hints: Hints, strength: float = 1.0) -> Tensor:
        """From x to color with its ink, (B, 3, H, W) in [-1, 1], pulled to the hints by `strength` from 0 to 1."""
        return pulled_to_hints(x.clamp(-1, 1), hints, strength, inked=True)


@dataclass(frozen=True)
class Field(Space):
    """x is the color under the ink, (B, 3, H/patch, W/patch) in [-1, 1]: ink pixels filled from their neighbors.

    A gray picture has no ink; its x is the picture's color itself.

    patch: pixels a side that share one color.
    ink_weight: how much a place that is all ink counts in the loss, where its color is unseen.
    """

    patch: int = 2
    ink_weight: float = 0.1

    def encode(self, color: Tensor, hints: Hints) -> Tensor:
        """A color picture (B, 3, H, W) to x; its ink is where `hints["line"]` is dark."""
        line = hints.get("line")
        return _mean(color if line is None else fill(color, line), self.patch)

    def decode(self, x: Tensor, hints: Hints, strength: float = 1.0) -> Tensor:
        """From x to the color under the ink, (B, 3, h, w) in [-1, 1].

        On line art it is evened out between the lines, and paper is white, also around the figure. Areas that color
        hints reach are pulled to them, by `strength` from 0 to 1.
        """
        line = hints.get("line")
        if line is not None:
            paper = darkest(line, self.patch)
            x = paper_white(whiten(even(x.clamp(-1, 1), paper), paper, "hints" not in hints))
        return pulled_to_hints(x, hints, strength, self.patch)

    def weight(self, hints: Hints) -> Tensor | None:
        """How much each place of x counts in the loss, (B, 1, h, w): less under ink."""
        line = hints.get("line")
        return None if line is None else self.ink_weight + (1 - self.ink_weight) * _mean((line + 1) / 2, self.patch)


@dataclass(frozen=True)
class Lab(Space):
    """x is the chroma alone: a and b of CIE Lab, (B, 2, H/patch, W/patch); L is the gray picture's.

    patch: pixels a side that share one color.
    center: what is subtracted from a and b.
    spread: what they are then divided by, so that they are as wide as the noise; Color Diffusion divides by 110, so
      that noise drowns the colors until the last steps.
    lightness: train on gray pictures of the color ones' L, as Color Diffusion does; otherwise of their luma, as most
      gray pictures are.
    """

    patch: int = 4
    center: tuple[float, float] = (2.0, 8.0)
    spread: tuple[float, float] = (17.0, 24.0)
    lightness: bool = False

    channels = 2

    def encode(self, color: Tensor, hints: Hints) -> Tensor:
        """A color picture (B, 3, H, W) to x."""
        chroma = _mean(rgb_to_lab(color)[:, 1:], self.patch)
        return (chroma - _row(self.center, color)) / _row(self.spread, color)

    def decode(self, x: Tensor, hints: Hints, strength: float = 1.0) -> Tensor:
        """From x to color (B, 3, h, w) in [-1, 1], of the lightness of the gray picture."""
        chroma = x * _row(self.spread, x) + _row(self.center, x)
        light = rgb_to_lab(_mean(hints["gray"], self.patch).expand(-1, 3, -1, -1))[:, :1]
        return pulled_to_hints(lab_to_rgb(torch.cat([light, chroma], dim=1)), hints, strength, self.patch)


@dataclass(frozen=True)
class Regions(Space):
    """x is the color that was chosen for every region, shaded and flat: (B, 6, H/2, W/2) in [-1, 1].

    remembered: pictures that the system keeps for drawings with which nothing is given.
    """

    remembered: int = 192

    channels = 6
    patch = 2


def pulled_to_hints(color: Tensor, hints: Hints, strength: float = 1.0, patch: int = 1, inked: bool = False) -> Tensor:
    """Pull color to the user's hints: up to the lines of line art, or along the shades of a gray picture.

    color: (B, 3, h, w) in [-1, 1], one cell for `patch` x `patch` pixels of the drawing; inked: with its ink, which is
    left alone while the color under it changes. strength: how far, from 0 to 1. Gray pictures keep the luma of the
    color. Returns (B, 3, h, w) in [-1, 1].
    """
    dots, line = hints.get("hints"), hints.get("line")
    if dots is None or strength <= 0:
        return color.clamp(-1, 1)
    given = resize(dots, (color.shape[-2], color.shape[-1]))
    if line is None:
        pulled = finish.along_shades(color, given, _mean(hints["gray"], patch))
        return torch.lerp(color, pulled, strength).clamp(-1, 1)
    paper = darkest(line, patch)
    if not inked:
        return torch.lerp(color, finish.along_lines(color, given, paper), strength).clamp(-1, 1)
    under = fill(color, line)
    change = finish.along_lines(under, given, paper) - under
    return (color + strength * _mean((line + 1) / 2, patch) * change).clamp(-1, 1)


def _mean(picture: Tensor, patch: int) -> Tensor:
    """The mean of each cell, (B, C, H, W) to (B, C, h, w)."""
    return F.avg_pool2d(pad(picture, patch), patch)


def _row(pair: tuple[float, float], like: Tensor) -> Tensor:
    return torch.tensor(pair).to(like)[:, None, None]
