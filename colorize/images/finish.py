"""Put a small picture's colors on the full-size original, keeping its ink or its lightness."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from colorize.images.color import XYZ, lab_to_rgb, luminance, rgb_to_lab
from colorize.images.image import Picture, Pixels, row_strips
from colorize.images.ink import HintPixels, colored_strips, on_paper, painted, paper_share, set_exact, strips
from colorize.images.resize import Array, along_edges, resized, under_ink
from colorize.images.under_ink import WALL, beside, fill, paper_white, spread

WORKED = 2_000_000  # pixels that lines are followed at; beyond, a smooth enlargement is enough
DENSE = 0.25  # a cell with less paper is filled from its neighbors; others are divided by it
COARSE = 0.18  # of L*; half an 8-bit level is 0.2 on average
UNCOLORED = (0.82, 0.93)  # of the paper's brightness in every channel; what is lighter got no color
SPARSE, FAINT, HARDLY = 3, 6, 0.005  # every n-th pixel; of 255, a difference no one sees; share of what is colored


def onto(
    original: Picture, color: Tensor, kind: Literal["line", "gray"], inked: bool, exact: HintPixels | None = None
) -> Picture:
    """Return the original in color: same size, bit depth, alpha, EXIF and texts; always RGB.

    color: (1, 3, h, w) in [-1, 1], the whole original at any size. inked: the color still has the drawing's ink in it.
    "line": each value falls by at most the smallest of its pixel's three values, and none rises, so ink is never
    lighter and black stays black. "gray": L* stays to within 0.2 of 100 in 8 bits, and a and b come from the color. A
    drawing whose alpha is its ink, with no paper of its own, becomes opaque, or its colors would be invisible.
    """
    if kind == "line":
        original = on_paper(original)
        colors = colored_strips(under(original, color, inked), original.size, exact)
        pixels = painted(original, colors)
    else:
        pixels = _tinted(original, color, exact)
    icc = None if original.gray else original.icc  # a gray profile does not fit RGB pixels
    return replace(original, pixels=pixels, icc=icc)


def uncolored(original: Picture, colored: Picture) -> tuple[str, ...]:
    """A note on a result that shows hardly any color, and what to try."""
    before, after = (one.eight_bit().pixels[::SPARSE, ::SPARSE].astype(np.int16) for one in (original, colored))
    if (np.abs(after - before).max(2) > FAINT).mean() >= HARDLY:
        return ()
    return ("hardly any color was laid; try a larger --size, --kind line or gray, or other colors with --ref",)


def negative(picture: Picture) -> Picture:
    """Black for white, of the same depth and alpha; white lines on black become a drawing on paper."""
    return replace(picture, pixels=picture.peak - picture.pixels)


def on_black(drawing: Picture, colored: Picture) -> Picture:
    """Return a colored negative of white lines on black as they were: lines white, areas in color, paper black.

    drawing: the negative, black on white, before it was colored.
    """
    pixels, peak = np.empty_like(colored.pixels), np.float32(drawing.peak)
    for rows in row_strips(drawing.size):
        paper = drawing.pixels[rows].astype(np.float32)
        color = colored.pixels[rows].astype(np.float32)
        white = (color / np.maximum(paper, peak / 20)).min(2, keepdims=True)
        share = np.clip((UNCOLORED[1] - white) / (UNCOLORED[1] - UNCOLORED[0]), 0, 1)
        pixels[rows] = np.rint(np.clip(peak - paper + color * share, 0, peak)).astype(pixels.dtype)
    return replace(colored, pixels=pixels)


def under(drawing: Picture, color: Tensor, inked: bool) -> Array:
    """The color under the ink at working size: (H, W, 3) in [0, 1].

    Ink that a model has painted too lies on color as a factor, the share of paper in a cell; dividing by it keeps the
    color of small areas between lines, which filling all inked cells from their neighbors would lose.
    """
    paper = paper_share(drawing, _working(drawing.size, color))
    color = color.detach().cpu().float()
    if inked:
        share = F.interpolate(torch.from_numpy(paper)[None, None], color.shape[-2:], mode="area")
        divided = ((color + 1) / share.clamp(min=DENSE) - 1).clamp(-1, 1)
        color = paper_white(fill(divided, share * 2 - 1, DENSE * 2 - 1))
    field = color[0].permute(1, 2, 0).add(1).div(2).clamp(0, 1)
    return under_ink(np.ascontiguousarray(field.numpy()), paper)


def _working(size: tuple[int, int], color: Tensor) -> tuple[int, int]:
    """The size (H, W) at which lines are followed: the picture's, up to a number of pixels."""
    allowed = max(WORKED, color.shape[-2] * color.shape[-1])
    scale = min(1.0, (allowed / (size[0] * size[1])) ** 0.5)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _tinted(original: Picture, color: Tensor, exact: HintPixels | None) -> Pixels:
    """The original's L* with the color's a and b, reduced where sRGB has no such color."""
    small = _working(original.size, color)
    chroma = rgb_to_lab(color.detach().cpu().float())[0, 1:].permute(1, 2, 0)
    table = _light_of(_linear(original.peak)) / 100
    light = np.empty((*original.size, 1), np.float32)
    for rows in row_strips(original.size):
        mean = original.pixels[rows].mean(2, keepdims=True, dtype=np.float32)
        light[rows] = table[np.rint(mean).astype(np.intp)]
    light = resized(light, small, cv2.INTER_AREA)[..., 0]
    field = along_edges(np.ascontiguousarray(chroma.numpy()), light)
    if exact is not None:
        lab = rgb_to_lab(torch.from_numpy(exact.color.T.copy())[None, :, :, None])
        exact = replace(exact, color=np.ascontiguousarray(lab[0, 1:, :, 0].numpy().T))
    result = np.empty((*original.size, 3), original.pixels.dtype)
    for at, ab in set_exact(strips(field, original.size), exact):
        result[at] = _colored(original.pixels[at], ab)
    return result


def _linear(peak: int) -> Array:
    """Light of each level, 0 to peak, in [0, 1]: sRGB decoded, (peak + 1,)."""
    share = np.linspace(0, 1, peak + 1)
    bent = ((share + 0.055) / 1.055) ** 2.4
    return np.where(share > 0.04045, bent, share / 12.92).astype(np.float32)


def _light_of(luminance: Array) -> Array:
    """L* in [0, 100] of relative luminance in [0, 1]."""
    root = np.where(luminance > 216 / 24389, np.cbrt(luminance), (24389 / 27 * luminance + 16) / 116)
    return (116 * root - 16).astype(np.float32)


def _colored(old: Pixels, ab: Array) -> Pixels:
    """Pixels (n, W, 3) of the lightness of `old` (n, W, 1|3) and chroma ab (n, W, 2).

    Red and blue are rounded first; green, which has 72 % of the luminance, makes up for their rounding and for all that
    was lost in the gamut.
    """
    peak = int(np.iinfo(old.dtype).max)
    table, weights = _linear(peak), np.array(XYZ[1], np.float32) / sum(XYZ[1])
    luminance = table[old] @ weights if old.shape[2] == 3 else table[old[..., 0]]
    lab = np.concatenate([_light_of(luminance)[..., None], ab], 2)
    rgb = _in_gamut(torch.from_numpy(lab).permute(2, 0, 1)[None])
    levels = np.rint((rgb[0].permute(1, 2, 0).numpy() + 1) * (peak / 2)).astype(old.dtype)
    red, blue = levels[..., 0], levels[..., 2]
    rest = luminance - weights[2] * table[blue]  # what red and green share
    green = _level((rest - weights[0] * table[red]) / weights[1], peak)
    off = _light_of(weights[0] * table[red] + weights[1] * table[green] - rest + luminance)
    coarse = np.abs(off - lab[..., 0]) > COARSE  # in dark greens one level of green is too much
    green -= (coarse & (off > lab[..., 0]) & (green > 0)).astype(green.dtype)
    better = _level((rest - weights[1] * table[green]) / weights[0], peak)
    return np.stack((np.where(coarse, better, red), green, blue), 2)


def _level(linear: Array, peak: int) -> Pixels:
    """The nearest level of light in [0, 1]: sRGB encoded, 0 to peak."""
    light = torch.from_numpy(linear.clip(0, 1))
    bent = 1.055 * light.clamp(min=1e-9).pow(1 / 2.4) - 0.055
    share = torch.where(light > 0.0031308, bent, light * 12.92)
    levels = share.mul(peak).round().numpy()
    return levels.astype(np.uint8 if peak == 255 else np.uint16)


def _in_gamut(lab: Tensor) -> Tensor:
    """RGB (1, 3, n, W) in [-1, 1] of the same lightness and hue, with the chroma that fits."""
    rgb = lab_to_rgb(lab, clip=False)
    outside = (rgb.abs() > 1).any(1)[0]
    wrong = lab[:, :, outside][..., None]  # (1, 3, N, 1)
    low, high = torch.zeros_like(wrong[:, :1]), torch.ones_like(wrong[:, :1])

    def unclipped(share: Tensor) -> Tensor:
        return lab_to_rgb(torch.cat((wrong[:, :1], wrong[:, 1:] * share), 1), clip=False)

    for _ in range(7 if wrong.numel() else 0):  # of chroma on the way into the gamut: to 1 % of it
        middle = (low + high) / 2
        fits = (unclipped(middle).abs() <= 1).all(1, keepdim=True)
        low, high = torch.where(fits, middle, low), torch.where(fits, high, middle)
    rgb[:, :, outside] = unclipped(low)[..., 0]
    return rgb.clamp(-1, 1)


def hint_pixels(hints: Tensor, strength: float = 1.0) -> HintPixels:
    """The hinted pixels of a hint map (1, 4, H, W) as large as the picture; colors (N, 3) in [-1, 1]."""
    values = hints[0].flatten(1).cpu().numpy()
    place = np.flatnonzero(values[3] > 0)
    return HintPixels(place, np.ascontiguousarray(values[:3, place].T, np.float32), strength)


SMOOTH = 0.08  # radius of the smoothing of what hints correct, as a fraction of the longer side
NEAR = 8  # cells around a hint over which its own color fades into the area's
DEPTH = 2.0  # of a gray picture: black and white lie twice as far apart as its sides
REACH = 2.0  # at this distance a hint's color counts a third of what it counts at the hint
MOST = 2048  # hinted cells that a gray picture is colored by; of more an even choice is taken
ROWS = 4096  # cells handled at once, which bounds memory


def along_lines(color: Tensor, hints: Tensor, paper: Tensor, share: float = 0.5) -> Tensor:
    """Pull a field to the hints, each of which speaks for the area that lines leave it.

    paper: (B, 1, H, W) in [-1, 1], see `spread`. The error at the hints is spread up to the lines, smoothed and taken
    away; then `share` of the flat hint color itself is mixed in, all of it at the hint. What no hint reaches stays as
    it is.
    """
    held = (hints[:, 3:] > 0).to(color)
    steps = sum(color.shape[-2:])  # from corner to corner of empty paper
    wrong = torch.cat([(hints[:, :3] - color) * held, hints[:, 3:]], dim=1)
    error = spread(wrong, paper, steps=steps)
    flat = spread(hints, paper, steps=steps)
    reached = (flat[:, 3:] > 0).to(color)
    radius = max(1, round(SMOOTH * max(color.shape[-2:])))
    means = (F.avg_pool2d(part, 2 * radius + 1, 1, radius) for part in (error[:, :3] * reached, reached))
    smoothed, weight = means  # zeros beyond the border
    mended = color + reached * smoothed / weight.clamp(min=1e-3)
    free = torch.maximum((paper > WALL).to(color), held)
    front, total = held, held  # 1 at hints, falling over NEAR cells of the free way from them
    for _ in range(NEAR):
        front = beside(front) * free
        total = total + front
    mixed = share + (1 - share) * total / (NEAR + 1)
    return mended + mixed * reached * (flat[:, :3] - mended)


def along_shades(color: Tensor, hints: Tensor, gray: Tensor) -> Tensor:
    """Pull the chroma of a field to that of the hints, near in place and alike in gray; keep its luma.

    gray: (B, 1, H, W) in [-1, 1], the picture to be colored. As in Levin et al. 2004, neighbors of like gray are of
    like color; here by weights of inverse distance in place and gray together (Shepard 1968) over the hints' own chroma
    and, far from all hints, over what they correct.
    """
    rows = zip(color, hints, gray, strict=True)
    return torch.stack([_shaded(*row) if (row[1][3] > 0).any() else row[0] for row in rows])


def _shaded(color: Tensor, hints: Tensor, gray: Tensor) -> Tensor:
    """One picture: (3, H, W), (4, H, W), (1, H, W) to (3, H, W)."""
    height, width = color.shape[-2:]
    down, right = torch.meshgrid(torch.arange(height) / height, torch.arange(width) / width, indexing="ij")
    place = torch.stack((down.to(color), right.to(color), DEPTH * gray[0])).flatten(1).T  # (N, 3)
    held = (hints[3] > 0).flatten().nonzero()[:, 0]
    held = held[:: -(-len(held) // MOST)]
    luma = luminance(color[None])[0]
    chroma = (color - luma).flatten(1).T
    wanted = (hints[:3] - luminance(hints[None, :3])[0]).flatten(1).T[held]
    wrong = wanted - chroma[held]
    rows = []
    for start in range(0, len(place), ROWS):
        near, own = place[start : start + ROWS], chroma[start : start + ROWS]
        square = torch.cdist(near, place[held]).square()
        weight = 1 / (square + 1e-5).square()
        weight = weight / weight.sum(1, keepdim=True)
        mended = own + weight @ wrong
        trust = (-square.amin(1, keepdim=True).sqrt() / REACH).exp()
        rows.append(torch.lerp(mended, weight @ wanted, trust))
    return torch.cat(rows).T.view_as(color) + luma
