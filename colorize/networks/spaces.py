"""What x is: whole pictures, the color under the ink, or chroma alone. Knows nothing of noise, networks or files."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from colorize.hints import Hints
from colorize.networks.unet import pad
from colorize.pictures import obey
from colorize.pictures.color import lab_to_rgb, rgb_to_lab
from colorize.pictures.edges import same_frame
from colorize.pictures.field import even, fill, paper_white
from colorize.pictures.ground import whiten
from colorize.pictures.strokes import resize


@dataclass(frozen=True)
class RGB:
    """x is the finished picture itself, (B, 3, H, W) in [-1, 1], ink included."""

    channels = 3
    inked = True

    def shape(self, hints: Hints) -> tuple[int, int, int, int]:
        """The shape of x for these hints."""
        return hints.batch, 3, *hints.size

    def encode(self, color: Tensor, hints: Hints) -> Tensor:
        """A color picture (B, 3, H, W) to x."""
        return color

    def decode(self, x: Tensor, hints: Hints, strength: float = 1.0) -> Tensor:
        """From x to color (B, 3, H, W) in [-1, 1], ink included."""
        return x.clamp(-1, 1)

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

        On line art it is evened out between the lines, and paper is white, also around the figure
        unless a reference shows the same frame and so tells what is there. Areas that color hints
        reach are drawn towards them, by `strength` from 0 to 1.
        """
        line, dots = hints.get("line"), hints.get("hints")
        if line is not None:
            paper = -F.max_pool2d(-pad(line, self.patch), self.patch)
            x = whiten(even(x.clamp(-1, 1), paper), paper, 1 - _known(hints))
            x = paper_white(x)
        if dots is not None and strength > 0:
            given = resize(dots, (x.shape[-2], x.shape[-1]))
            if line is not None:
                drawn = obey.along_lines(x, given, paper)
            else:
                gray = F.avg_pool2d(pad(hints["gray"], self.patch), self.patch)
                drawn = obey.along_shades(x, given, gray)
            x = torch.lerp(x, drawn, strength)
        return x.clamp(-1, 1)

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
        return lab_to_rgb(torch.cat([light, chroma], dim=1))

    def weight(self, hints: Hints) -> Tensor | None:
        """How much each place of x counts in the loss; None counts all alike."""
        return None

    @staticmethod
    def _row(pair: tuple[float, float], like: Tensor) -> Tensor:
        return torch.tensor(pair).to(like)[:, None, None]


def _known(hints: Hints) -> Tensor:
    """How far a reference shows the surroundings of the drawing: (B,) from 0 to 1."""
    reference = hints.get("reference")
    if reference is None:
        return hints.drawing.new_zeros(hints.batch)
    return same_frame(hints.drawing, reference).amax(1)
