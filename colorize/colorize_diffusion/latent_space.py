"""What x is in latent diffusion: a picture as the autoencoder writes it, a cell for 8 x 8 pixels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorize.colorize_diffusion.vae import SCALE, VAESpec
from colorize.hints import Hints
from colorize.images.resize import Box, boarded, cropped
from colorize.networks.layers import zero
from colorize.networks.spaces import obeyed
from colorize.system import SpaceSpec

PAPER = 1.0


@dataclass(frozen=True)
class Latent(SpaceSpec):
    """x is the autoencoder's mean of the finished picture, times `scale`: (B, 4, H/8, W/8).

    vae: the numbers of the autoencoder, which is never trained here. multiple: sides in pixels that the
    network can take; pictures of other sides lie on a canvas of paper, and are cut out of the answer.
    """

    vae: VAESpec = VAESpec()
    scale: float = SCALE
    multiple: int = 64

    inked = True

    @property
    def channels(self) -> int:
        """The channels of x."""
        return self.vae.channels

    def build(self) -> LatentSpace:
        """Make the space with its autoencoder."""
        return LatentSpace(self)


class LatentSpace(nn.Module):
    """The autoencoder, and the way of pictures to it and back."""

    inked = True

    def __init__(self, spec: Latent) -> None:
        super().__init__()
        self.spec = spec
        self.vae = spec.vae.build().requires_grad_(False)

    @property
    def channels(self) -> int:
        """The channels of x."""
        return self.spec.channels

    def shape(self, hints: Hints) -> tuple[int, int, int, int]:
        """The shape of x for these hints."""
        (height, width), _ = boarded(hints.size, self.spec.multiple)
        stride = self.vae.stride
        return hints.batch, self.channels, height // stride, width // stride

    def encode(self, color: Tensor, hints: Hints) -> Tensor:
        """A color picture (B, 3, H, W) to x."""
        return self.latent(on_board(color, self.spec.multiple, PAPER))

    def latent(self, picture: Tensor) -> Tensor:
        """A picture (B, 3, H, W) in [-1, 1], of sides the network takes, to x; in full numbers."""
        with torch.autocast(picture.device.type, enabled=False):
            mean, _ = self.vae.encode(picture.float())
        return mean * self.spec.scale

    def decode(self, x: Tensor, hints: Hints, strength: float = 1.0) -> Tensor:
        """From x to color (B, 3, H, W) in [-1, 1], ink included, drawn towards hints by `strength` from 0 to 1."""
        _, box = boarded(hints.size, self.spec.multiple)
        with torch.autocast(x.device.type, enabled=False):
            whole = self.vae.decode(x.float() / self.spec.scale).clamp(-1, 1)
        return obeyed(cropped(whole, box), hints, strength, inked=True)

    def weight(self, hints: Hints) -> Tensor | None:
        """How much each place of x counts in the loss; None counts all alike."""
        return None


def on_board(picture: Tensor, multiple: int, paper: float) -> Tensor:
    """Lay a picture (B, C, H, W) into the middle of a canvas of one value whose sides are multiples."""
    given = (picture.shape[-2], picture.shape[-1])
    size, box = boarded(given, multiple)
    return F.pad(picture, margins(box, size), value=paper)


def margins(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """What lies around a box on a canvas: left, right, above, below."""
    right, below = size[1] - box.left - box.width, size[0] - box.top - box.height
    return box.left, right, box.top, below


STEM = ((3, 16, 1), (16, 16, 1), (16, 32, 2), (32, 32, 1), (32, 96, 2), (96, 96, 1), (96, 256, 2))


@dataclass(frozen=True)
class SketchSpec:
    """The numbers of the sketch encoder. widths: channels of the U-Net's levels, finest first."""

    widths: tuple[int, ...] = (320, 640, 1280, 1280)

    def build(self) -> SketchEncoder:
        """Make the encoder."""
        return SketchEncoder(self)


class SketchEncoder(nn.Module):
    """Sketches (B, 3, H, W) in [-1, 1], lines 1 on paper -1, into maps at 1/8, 1/16, 1/32, 1/64 and 1/64."""

    recomputed = True

    def __init__(self, spec: SketchSpec) -> None:
        super().__init__()
        first = spec.widths[0]
        layers: list[nn.Module] = []
        for inputs, outputs, stride in STEM:
            layers += [nn.Conv2d(inputs, outputs, 3, stride, 1), nn.SiLU()]
        self.model = nn.Sequential(*layers, nn.Conv2d(STEM[-1][1], first, 3, padding=1))
        self.zero_layer = nn.Sequential(zero(nn.Conv2d(first, first, 1)))
        self.output_blocks, self.zero_blocks = nn.ModuleList(), nn.ModuleList()
        before = (first, *spec.widths[:-1])
        for level, (inputs, outputs) in enumerate(zip(before, spec.widths, strict=True)):
            stride = 2 if level < len(spec.widths) - 1 else 1
            halve = nn.Conv2d(inputs, outputs, 3, stride, 1)
            keep = nn.Conv2d(outputs, outputs, 3, padding=1)
            self.output_blocks.append(nn.Sequential(nn.SiLU(), halve, nn.SiLU(), keep))
            self.zero_blocks.append(nn.Sequential(zero(nn.Conv2d(outputs, outputs, 1))))

    def forward(self, sketch: Tensor) -> tuple[Tensor, ...]:
        """Return the five maps, the finest first."""
        h = self.model(sketch)
        maps = [self.zero_layer(h)]
        for block, out in zip(self.output_blocks, self.zero_blocks, strict=True):
            h = block(h)
            maps.append(out(h))
        return tuple(maps)
