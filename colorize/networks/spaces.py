"""What x is: whole pictures, the color under the ink, or chroma alone. Knows nothing of noise, networks or files."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from colorize.hints import Hints
from colorize.images import finish
from colorize.images.background import whiten
from colorize.images.color import lab_to_rgb, rgb_to_lab
from colorize.images.hint_files import resize
from colorize.images.under_ink import even, fill, paper_white
from colorize.networks.unet import pad


@dataclass(frozen=True)
class RGB:
    """x is the finished picture itself, (B, 3, H, W) in [-1, 1], ink included."""

    channels = 3
    inked = True

    def build(self) -> RGB:
        """Return this: it has no weights."""
        return self

    def shape(self, hints: Hints) -> tuple[int, int, int, int]:
        """The shape of x for these hints."""
        return hints.batch, 3, *hints.size

    def encode(self, color: Tensor, hints: Hints) -> Tensor:
        """A color picture (B, 3, H, W) to x."""
        return color

    def decode(self, x: Tensor, hints: Hints, strength: float = 1.0) -> Tensor:
        """From x to color (B, 3, H, W) in [-1, 1], ink included, drawn towards hints by `strength` from 0 to 1."""
        return obeyed(x.clamp(-1, 1), hints, strength, inked=True)

    def weight(self, hints: Hints) -> Tensor | None:
        """How much each place of x counts in the loss; None counts all alike."""
        return None


@dataclass(frozen=True)
class Field:
    """x is the color under the ink, (B, 3, H/patch, W/patch) in [-1, 1]: ink pixels filled from their neighbors.

    A gray picture has no ink; its x is the picture's color itself. ink_weight: how much a place that is
    all ink counts in the loss, where its color is unseen.
    """

    patch: int = 2
    ink_weight: float = 0.1

    channels = 3
    inked = False

    def build(self) -> Field:
        """Return this: it has no weights."""
        return self

    def shape(self, hints: Hints) -> tuple[int, int, int, int]:
        """The shape of x for these hints."""
        height, width = hints.size
        return hints.batch, 3, -(-height // self.patch), -(-width // self.patch)

    def encode(self, color: Tensor, hints: Hints) -> Tensor:
        """A color picture (B, 3, H, W) to x; its ink is where `hints["line"]` is dark."""
        line = hints.get("line")
        under = color if line is None else fill(color, line)
        return F.avg_pool2d(pad(under, self.patch), self.patch)

    def decode(self, x: Tensor, hints: Hints, strength: float = 1.0) -> Tensor:
        """From x to the color under the ink, (B, 3, h, w) in [-1, 1].

        On line art it is evened out between the lines, and paper is white, also around the figure. Areas
        that color hints reach are drawn towards them, by `strength` from 0 to 1.
        """
        line = hints.get("line")
        if line is not None:
            paper = _paper(line, self.patch)
            x = paper_white(whiten(even(x.clamp(-1, 1), paper), paper, "hints" not in hints))
        return obeyed(x, hints, strength, self.patch)

    def weight(self, hints: Hints) -> Tensor | None:
        """How much each place of x counts in the loss, (B, 1, h, w): less under ink."""
        line = hints.get("line")
        if line is None:
            return None
        paper = F.avg_pool2d(pad((line + 1) / 2, self.patch), self.patch)
        return self.ink_weight + (1 - self.ink_weight) * paper


@dataclass(frozen=True)
class Lab:
    """x is the chroma alone: a and b of CIE Lab, (B, 2, H/patch, W/patch); L is the gray picture's.

    center, spread: what is subtracted from a and b and what they are then divided by. The defaults
    make them as wide as the noise on drawings and photographs; Color Diffusion divides by 110, so
    that noise drowns the colors until the last steps.
    """

    patch: int = 4
    center: tuple[float, float] = (2.0, 8.0)
    spread: tuple[float, float] = (17.0, 24.0)

    channels = 2
    inked = False

    def build(self) -> Lab:
        """Return this: it has no weights."""
        return self

    def shape(self, hints: Hints) -> tuple[int, int, int, int]:
        """The shape of x for these hints."""
        height, width = hints.size
        return hints.batch, 2, -(-height // self.patch), -(-width // self.patch)

    def encode(self, color: Tensor, hints: Hints) -> Tensor:
        """A color picture (B, 3, H, W) to x."""
        chroma = F.avg_pool2d(pad(rgb_to_lab(color)[:, 1:], self.patch), self.patch)
        return (chroma - self._row(self.center, color)) / self._row(self.spread, color)

    def decode(self, x: Tensor, hints: Hints, strength: float = 1.0) -> Tensor:
        """From x to color (B, 3, h, w) in [-1, 1], of the lightness of the gray picture."""
        chroma = x * self._row(self.spread, x) + self._row(self.center, x)
        gray = F.avg_pool2d(pad(hints["gray"], self.patch), self.patch)
        light = rgb_to_lab(gray.expand(-1, 3, -1, -1))[:, :1]
        return obeyed(lab_to_rgb(torch.cat([light, chroma], dim=1)), hints, strength, self.patch)

    def weight(self, hints: Hints) -> Tensor | None:
        """How much each place of x counts in the loss; None counts all alike."""
        return None

    @staticmethod
    def _row(pair: tuple[float, float], like: Tensor) -> Tensor:
        return torch.tensor(pair).to(like)[:, None, None]


@dataclass(frozen=True)
class Regions:
    """x is the color that was chosen for every region, shaded and flat: (B, 6, H/2, W/2) in [-1, 1].

    remembered: pictures that the system keeps for drawings with which nothing is given.
    """

    remembered: int = 192

    channels = 6
    inked = False

    def build(self) -> Regions:
        """Return this: the pictures are kept elsewhere."""
        return self

    def shape(self, hints: Hints) -> tuple[int, int, int, int]:
        """The shape of x for these hints."""
        height, width = hints.size
        return hints.batch, 6, -(-height // 2), -(-width // 2)

    def encode(self, color: Tensor, hints: Hints) -> Tensor:
        """A color picture (B, 3, H, W) to x, in which flat and shaded color are the same."""
        line = hints.get("line")
        under = color if line is None else fill(color, line)
        return F.avg_pool2d(pad(under, 2), 2).repeat(1, 2, 1, 1)

    def decode(self, x: Tensor, hints: Hints, strength: float = 1.0) -> Tensor:
        """From x to the shaded color under the ink, (B, 3, h, w) in [-1, 1]."""
        return x[:, :3]

    def weight(self, hints: Hints) -> Tensor | None:
        """How much each place of x counts in the loss; None counts all alike."""
        return None


def obeyed(color: Tensor, hints: Hints, strength: float = 1.0, patch: int = 1, inked: bool = False) -> Tensor:
    """Draw color towards the user's hints: up to the lines of line art, or along the shades of a gray picture.

    color: (B, 3, h, w) in [-1, 1], one cell for `patch` x `patch` pixels of the drawing; inked: with its
    ink, which is left alone while the color under it changes. strength: how far, from 0 to 1. Gray
    pictures keep the luma of the color. Returns (B, 3, h, w) in [-1, 1].
    """
    dots, line = hints.get("hints"), hints.get("line")
    if dots is None or strength <= 0:
        return color.clamp(-1, 1)
    given = resize(dots, (color.shape[-2], color.shape[-1]))
    if line is None:
        gray = F.avg_pool2d(pad(hints["gray"], patch), patch)
        return torch.lerp(color, finish.along_shades(color, given, gray), strength).clamp(-1, 1)
    paper = _paper(line, patch)
    if not inked:
        return torch.lerp(color, finish.along_lines(color, given, paper), strength).clamp(-1, 1)
    under = fill(color, line)
    share = F.avg_pool2d(pad((line + 1) / 2, patch), patch)
    drawn = finish.along_lines(under, given, paper) - under
    return (color + strength * share * drawn).clamp(-1, 1)


def _paper(line: Tensor, patch: int) -> Tensor:
    """The darkest of each cell's pixels, (B, 1, H, W) to (B, 1, h, w): thin lines stay walls."""
    return -F.max_pool2d(-pad(line, patch), patch)
