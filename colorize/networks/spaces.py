"""What x is: whole pictures, or the color under the ink. Knows nothing of noise, networks or files."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from colorize.hints import Hints
from colorize.networks.unet import pad
from colorize.pictures import obey
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
        line = hints.get("line")
        if line is not None:
            paper = _paper(line, self.patch)
            x = whiten(even(x.clamp(-1, 1), paper), paper, 1 - _known(hints))
            x = paper_white(x)
        return obeyed(x, hints, strength, self.patch)

    def weight(self, hints: Hints) -> Tensor | None:
        """How much each place of x counts in the loss, (B, 1, h, w): less under ink."""
        line = hints.get("line")
        if line is None:
            return None
        paper = F.avg_pool2d(pad((line + 1) / 2, self.patch), self.patch)
        return self.ink_weight + (1 - self.ink_weight) * paper


def obeyed(
    color: Tensor, hints: Hints, strength: float = 1.0, patch: int = 1, inked: bool = False
) -> Tensor:
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
        return torch.lerp(color, obey.along_shades(color, given, gray), strength).clamp(-1, 1)
    paper = _paper(line, patch)
    if not inked:
        return torch.lerp(color, obey.along_lines(color, given, paper), strength).clamp(-1, 1)
    under = fill(color, line)
    share = F.avg_pool2d(pad((line + 1) / 2, patch), patch)
    drawn = obey.along_lines(under, given, paper) - under
    return (color + strength * share * drawn).clamp(-1, 1)


def _paper(line: Tensor, patch: int) -> Tensor:
    """The darkest of each cell's pixels, (B, 1, H, W) to (B, 1, h, w): thin lines stay walls."""
    return -F.max_pool2d(-pad(line, patch), patch)


def _known(hints: Hints) -> Tensor:
    """How far a reference shows the surroundings of the drawing: (B,) from 0 to 1."""
    reference = hints.get("reference")
    if reference is None:
        return hints.drawing.new_zeros(hints.batch)
    return same_frame(hints.drawing, reference).amax(1)
