"""Turn color pictures into line art of many styles, and degrade line art as pens, scanners and paper do.

Line art is (B, 1, H, W), paper +1, ink -1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from colorize.images.color import luminance
from colorize.images.image import Picture, from_tensor
from colorize.images.metadata import MARK

CONTRAST = 0.03  # usual difference (root mean square) of two blurs of widths 1 : 2, in cartoons
DRAWN = 256  # pixels of a side of AnimeDiffusion's pictures
MIXED = 3  # styles that `mix` blends: all but canny, which leaves the device


def _gray(color: Tensor) -> Tensor:
    """Luminance in [0, 1]."""
    return (luminance(color) + 1) / 2


def _per_row(values: Tensor, like: Tensor) -> Tensor:
    """One value for each picture of a batch: (B,) to (B, 1, 1, 1)."""
    return values.view(-1, 1, 1, 1).to(like)


def _blur(gray: Tensor, sigma: Tensor | float, radius: int) -> Tensor:
    """Gaussian blur with a mirrored border, a sigma (pixels) for each row or one for all.

    gray: (B, 1, H, W). sigma: (B,) or a number. radius: the kernel has 2 radius + 1 taps.
    """
    batch, _, height, width = gray.shape
    sigmas = torch.as_tensor(sigma, dtype=torch.float64).expand(batch)
    steps = torch.arange(-radius, radius + 1, dtype=torch.float64)
    taps = torch.exp(-steps.square() / (2 * sigmas[:, None].square()))
    taps = (taps / taps.sum(1, keepdim=True)).to(gray)[:, None]  # (B, 1, taps)
    rows = gray.reshape(1, batch, height, width)
    mode = "reflect" if radius < min(height, width) else "replicate"
    wide = F.pad(rows, (radius, radius, radius, radius), mode=mode)
    wide = F.conv2d(wide, taps[:, :, None, :], groups=batch)
    return F.conv2d(wide, taps[..., None], groups=batch).view_as(gray)


def xdog(
    color: Tensor, sigma: float = 0.4, k: float = 3.5, p: float = 10.0, epsilon: float = 0.01, phi: float = 1e9
) -> Tensor:
    """Extended difference of Gaussians; the defaults are AnimeDiffusion's, strictly black or white.

    color: (B, 3 or 1, H, W). sigma in pixels (AnimeDiffusion draws 0.3, 0.4 or 0.5); k: ratio of the wider Gaussian; p:
    strength of edges; epsilon: threshold; phi: steepness, 10 is soft. Winnemoeller et al. 2012, with AnimeDiffusion's
    response: gray times (1 + p) G(s) - p G(k s).
    """
    gray = _gray(color)
    narrow, wide = (_blur(gray, s, _radius(s)) for s in (sigma, k * sigma))
    return _threshold(gray * ((1 + p) * narrow - p * wide), epsilon, phi) * 2 - 1


def extracted(picture: Picture) -> Picture:
    """Return the lines of a picture as AnimeDiffusion takes them of one whose shorter side is 256 pixels, in gray.

    What the file says of the picture stays, but not that this program made it.
    """
    lines = from_tensor(xdog(picture.tensor(), 0.4 * max(1.0, min(picture.size) / DRAWN)))
    text = {name: value for name, value in picture.text.items() if name != MARK}
    return replace(picture.eight_bit(), pixels=lines.pixels, icc=None, text=text)


def _radius(sigma: float) -> int:
    """OpenCV's kernel rule for float pictures: 8 sigma + 1 taps, rounded to an odd number."""
    return (round(8 * sigma + 1) | 1) // 2


def _threshold(response: Tensor, epsilon: Tensor | float, phi: Tensor | float) -> Tensor:
    """XDoG's soft threshold: 1 above epsilon, falling to 0 below it, in [0, 1]."""
    return torch.where(response >= epsilon, 1.0, 1 + torch.tanh(phi * (response - epsilon)))


def dog(color: Tensor, sigma: float = 0.6, k: float = 1.8, gain: float = 16.0) -> Tensor:
    """Difference of Gaussians: a line on the dark side of every edge, whatever the brightness.

    color: (B, 3 or 1, H, W). sigma in pixels; k: ratio of the wider Gaussian; gain: ink for a difference of 1. Dark
    areas stay paper.
    """
    narrow, wide = (_blur(_gray(color), s, _radius(s)) for s in (sigma, k * sigma))
    return 1 - 2 * _dog_ink(narrow, wide, gain)


def pencil(color: Tensor, sigma: float = 2.0, strength: float = 1.5) -> Tensor:
    """Soft gray pencil: how much darker a pixel is than its surroundings (color dodge).

    color: (B, 3 or 1, H, W). sigma: width of the surroundings in pixels.
    """
    gray = _gray(color)
    return 1 - 2 * _pencil_ink(gray, _blur(gray, sigma, _radius(sigma)), strength)


def _dog_ink(narrow: Tensor, wide: Tensor, gain: Tensor | float) -> Tensor:
    """Ink in [0, 1] where the narrow blur is darker than the wide one by more than noise."""
    return (gain * (wide - narrow - 0.01)).clamp(0, 1)


def _pencil_ink(gray: Tensor, around: Tensor, strength: Tensor | float) -> Tensor:
    """Ink in [0, 1]: one minus the dodge gray / around; 0.05 keeps noise in black areas down."""
    return (strength * (around - gray) / (around + 0.05) - 0.03).clamp(0, 1)


def canny(color: Tensor, low: float = 50, high: float = 120, sigma: float = 1.0) -> Tensor:
    """Canny's edges, one pixel wide, -1 or +1. Runs picture by picture on the CPU (OpenCV).

    color: (B, 3 or 1, H, W). low, high: gradient thresholds on a 0..255 scale. sigma in pixels.
    """
    gray = _blur(_gray(color), sigma, _radius(sigma)).clamp(0, 1)
    pictures = (gray * 255).round().to(torch.uint8).cpu().numpy()[:, 0]
    edges = np.stack([cv2.Canny(picture, low, high) for picture in pictures])
    return 1 - torch.from_numpy(edges)[:, None].to(gray) / 127.5


def mix(color: Tensor, rng: Generator) -> Tensor:
    """Line art in a random style per row, or a random blend of styles, at random settings.

    color: (B, 3 or 1, H, W) in [-1, 1]. Lines get wider with the picture, as when it was drawn larger. Each half of the
    rows: one of XDoG, DoG and pencil; a convex blend of the three.
    """
    batch, size = color.shape[0], min(color.shape[-2:])
    fine, ratio, edge, gain, soft, dodge = torch.rand(6, batch, generator=rng)
    per_row = partial(_per_row, like=color)
    sigma = (0.4 + 0.5 * fine) * max(1.0, size / 192)
    spread = (1.6 + 1.4 * ratio) * sigma
    gray = _gray(color)
    narrow = _blur(gray, sigma, round(3 * 0.9 * max(1.0, size / 192)))
    wide = _blur(gray, spread, round(2.5 * 2.7 * max(1.0, size / 192)))
    apart = narrow - wide
    rough = apart.square().mean((1, 2, 3), keepdim=True).sqrt()
    usual = CONTRAST * per_row(0.6 + 1.4 * ratio)
    boost = (usual / rough.clamp(min=1e-6)).clamp(0.7, 3)  # pale pictures get lines too
    sharp = narrow + boost * per_row(8 + 14 * edge) * apart
    inks = (
        1 - _threshold(sharp, per_row(0.02 + 0.13 * soft), per_row(2 + 6 * gain)).clamp(0, 1),
        _dog_ink(narrow, wide, boost * per_row(10 + 15 * gain)),
        _pencil_ink(narrow, wide, boost * per_row(2 + 3 * dodge)),
    )
    luck = -torch.rand(batch, MIXED, generator=rng).clamp(min=1e-6).log()
    one = F.one_hot(luck.argmax(1), MIXED).to(luck)
    share = torch.where(torch.rand(batch, 1, generator=rng) < 0.5, one, luck / luck.sum(1, keepdim=True))
    share = share.view(batch, MIXED, 1, 1).to(color)
    ink = sum(share[:, i : i + 1] * one for i, one in enumerate(inks))
    return 1 - 2 * torch.as_tensor(ink)


def degrade(line: Tensor, rng: Generator, chance: float = 0.3) -> Tensor:
    """Degrade line art as pens, scanners and paper do, each row in its own way.

    line: (B, 1, H, W), paper +1, ink -1. chance: that a row gets thicker or thinner lines, a soft blur, gaps, gray ink,
    grainy paper; each is drawn apart, so that many rows stay clean at 0.
    """
    batch = line.shape[0]
    luck = torch.rand(5, batch, generator=rng) < chance
    amount = torch.rand(5, batch, generator=rng) * luck
    per_row = partial(_per_row, like=line)
    thick = torch.where(torch.rand(batch, generator=rng) < 0.6, amount[0], -0.6 * amount[0])
    line = _thicken(line, per_row(thick))
    line = torch.lerp(line, _of_nine(line, torch.add) / 9, per_row(amount[1]))
    line = _gaps(line, per_row(amount[2]), rng)
    line = 1 - (1 - line) * per_row(1 - 0.65 * amount[3])
    return _paper(line, per_row(amount[4]), rng)


def _paper(line: Tensor, amount: Tensor, rng: Generator) -> Tensor:
    """Darken by grain and by shadows, up to 0.3 of 2."""
    shade = 0.15 * _noise(line, 2, rng) + 0.15 * _noise(line, 48, rng)
    return (line - amount * shade).clamp(-1, 1)


def _thicken(line: Tensor, amount: Tensor) -> Tensor:
    """Blend with lines one pixel wider on each side; with narrower ones if `amount` is negative."""
    wider, narrower = _of_nine(line, torch.minimum), _of_nine(line, torch.maximum)
    return line + amount.clamp(min=0) * (wider - line) - amount.clamp(max=0) * (narrower - line)


def _of_nine(line: Tensor, most: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Smallest, largest or sum of 3 x 3 pixels; several times as fast as max_pool2d on a CPU."""
    grown = F.pad(line, (1, 1, 1, 1), mode="replicate")
    rows = most(most(grown[..., :-2], grown[..., 1:-1]), grown[..., 2:])
    return most(most(rows[..., :-2, :], rows[..., 1:-1, :]), rows[..., 2:, :])


def _noise(line: Tensor, cell: int, rng: Generator) -> Tensor:
    """Smooth noise in [0, 1] as large as `line`, with spots of about `cell` pixels."""
    batch, _, height, width = line.shape
    coarse = torch.rand(batch, 1, height // cell + 2, width // cell + 2, generator=rng).to(line)
    return F.interpolate(coarse, size=(height, width), mode="bilinear", align_corners=True)


def _gaps(line: Tensor, amount: Tensor, rng: Generator) -> Tensor:
    """Lift the pen in spots; at amount 1 about a sixth of the ink is gone."""
    spots = (8 * (_noise(line, 6, rng) - 1 + 0.35 * amount)).clamp(0, 1)
    return torch.where(amount > 0, torch.lerp(line, torch.ones_like(line), spots), line)


WHITENED = 0.2  # of a side that a border loses; ColorizeDiffusion takes up to 100 of 512 pixels


def whiten_borders(line: Tensor, chosen: Tensor, rng: Generator) -> Tensor:
    """Turn the borders of some rows into paper: as much on the left as on the right, on top as below.

    line: (B, 1, H, W), paper 1. chosen: (B,) bool. Each row loses shares of its height and width of its own, from 0 to
    a fifth on either side.
    """
    lost = WHITENED * torch.rand(2, len(line), generator=rng)
    places = ((torch.arange(side) + 0.5) / side for side in line.shape[-2:])
    height, width = (torch.minimum(place, 1 - place) for place in places)  # from the nearer end, as a share
    outside = (height < lost[0, :, None])[:, :, None] | (width < lost[1, :, None])[:, None]
    blank = outside & chosen[:, None, None]
    return torch.where(blank[:, None].to(line.device), 1.0, line)


SHADES = 4  # screentones of a page, paper included
DARKEST = 0.75  # share of ink in the darkest screentone


def screen(line: Tensor, color: Tensor, rng: Generator) -> Tensor:
    """Print screentone over line art where the color picture is dark, each row in its own way.

    line: (B, 1, H, W). color: (B, 3, H, W) in [-1, 1]. A third of the rows get dots, a third parallel strokes, 2.5 to 6
    pixels apart at any angle; a third flat gray, as on a page that was shrunk. Bright areas stay paper.
    """
    batch, _, height, width = line.shape
    kind, angle, pitch, bright, dark = torch.rand(5, batch, generator=rng)
    per_row = partial(_per_row, like=line)
    light = (luminance(color) + 1) / 2
    shade = (per_row(0.6 + 0.35 * bright) - light).clamp(min=0) * SHADES
    ink = shade.ceil().clamp(max=SHADES - 1) / (SHADES - 1) * DARKEST * per_row(0.4 + 0.6 * dark)
    wave = per_row(2 * math.pi / (2.5 + 3.5 * pitch))
    turn = per_row(math.pi * angle)
    down = torch.arange(height, device=line.device)[:, None].to(line)
    right = torch.arange(width, device=line.device).to(line)
    along, across = (
        torch.cos(wave * (torch.cos(turn) * right + torch.sin(turn) * down)),
        torch.cos(wave * (torch.cos(turn) * down - torch.sin(turn) * right)),
    )
    dots = (along + across + 2) / 4  # its quantiles are near enough to even
    strokes = torch.acos(along.clamp(-1, 1)) / math.pi
    pattern = torch.where(per_row(kind) < 1 / 3, dots, strokes)
    printed = (4 * (ink - pattern) + 0.5).clamp(0, 1) * (ink > 0)
    printed = torch.where(per_row(kind) > 2 / 3, ink, printed)
    return torch.minimum(line, 1 - 2 * printed)
