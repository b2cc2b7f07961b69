"""Put a small picture's colors on the full-size original, keeping its ink or its lightness.

Knows nothing of networks, or of where the colors come from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from colorize.pictures.color import XYZ, lab_to_rgb, rgb_to_lab
from colorize.pictures.enlarge import Array, along_edges, resized, under_ink
from colorize.pictures.field import fill, paper_white
from colorize.pictures.picture import Picture, Pixels
from colorize.pictures.touch import Touch, touched

WORKED = 2_000_000  # pixels that lines are followed at; beyond, a smooth enlargement is enough
STRIP = 60_000  # pixels finished at a time, which bounds memory and stays in the cache
DENSE = 0.25  # a cell with less paper is filled from its neighbors; others are divided by it
HALVINGS = 7  # of chroma on the way into the gamut: to 1 % of it
COARSE = 0.18  # of L*; half an 8-bit level is 0.2 on average
SHOWN = 0.01  # share of a sheet that is visible and light where alpha is not just the ink


def onto(
    original: Picture,
    color: Tensor,
    kind: Literal["line", "gray"],
    inked: bool,
    touch: Touch | None = None,
) -> Picture:
    """Return the original in color: same size, bit depth, alpha, EXIF and texts; always RGB.

    color: (1, 3, h, w) in [-1, 1], the whole original at any size. inked: the color still has the
    drawing's ink in it. "line": each value falls by at most the smallest of its pixel's three
    values, and none rises, so ink is never lighter and black stays black. "gray": L* stays to
    within 0.2 of 100 in 8 bits, and a and b come from the color. A drawing whose alpha is its ink,
    with no paper of its own, becomes opaque, or its colors would be invisible.
    """
    if kind == "line":
        sheet = on_paper(original)
        pixels = painted(sheet, colored_strips(under(sheet, color, inked), sheet.size, touch))
    else:
        sheet, pixels = original, _tinted(original, color, touch)
    icc = None if sheet.gray else sheet.icc  # a gray profile does not fit RGB pixels
    return replace(sheet, pixels=pixels, icc=icc)


def on_paper(drawing: Picture) -> Picture:
    """The drawing on white if all that is visible of it is ink, else the drawing itself."""
    if drawing.alpha is None or drawing.alpha.min() == drawing.peak:
        return drawing
    light = drawing.pixels.min(2) > drawing.peak // 2
    shown = drawing.alpha > drawing.peak // 2
    return drawing if (light & shown).mean() > SHOWN else drawing.on_white()


def under(drawing: Picture, color: Tensor, inked: bool) -> Array:
    """The color under the ink at working size: (H, W, 3) in [0, 1]."""
    height, width = _working(drawing.size, color)
    paper = paper_share(drawing, (height, width))
    field = _without_ink(color, paper) if inked else _planar(color)
    return under_ink(field, paper)


def _without_ink(color: Tensor, paper: Array) -> Array:
    """The color under the ink that a model has painted too: (h, w, 3) in [0, 1].

    Ink lies on color as a factor, the share of paper in a cell; dividing by it keeps the color of
    small areas between lines, which filling all inked cells from their neighbors would lose.
    """
    share = _shrunk(paper, color)
    divided = ((color.detach().cpu().float() + 1) / share.clamp(min=DENSE) - 1).clamp(-1, 1)
    return _planar(paper_white(fill(divided, share * 2 - 1, DENSE * 2 - 1)))


def _shrunk(paper: Array, color: Tensor) -> Tensor:
    """Mean share of paper in every cell of the color: (1, 1, h, w) in [0, 1]."""
    sheet = torch.from_numpy(paper)[None, None]
    return F.interpolate(sheet, color.shape[-2:], mode="area")


def _working(size: tuple[int, int], color: Tensor) -> tuple[int, int]:
    """The size (H, W) at which lines are followed: the picture's, up to a number of pixels."""
    allowed = max(WORKED, color.shape[-2] * color.shape[-1])
    scale = min(1.0, (allowed / (size[0] * size[1])) ** 0.5)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def paper_share(drawing: Picture, size: tuple[int, int]) -> Array:
    """How little ink a drawing on white has, beside its own paper: (H, W) in [0, 1]."""
    light = drawing.pixels.min(2)
    if drawing.alpha is not None:
        cover = drawing.alpha.astype(np.uint32)
        light = (light * cover + drawing.peak * (drawing.peak - cover)) // drawing.peak
        light = light.astype(drawing.pixels.dtype)
    small = cv2.resize(light, size[::-1], interpolation=cv2.INTER_AREA)
    share = np.asarray(small, np.float32) / np.float32(drawing.peak)
    tint = max(float(np.quantile(share, 0.95)), 0.5)  # of yellow or gray paper
    return np.asarray(np.minimum(share / np.float32(tint), 1), np.float32)


def _planar(color: Tensor) -> Array:
    """(1, 3, h, w) in [-1, 1] as (h, w, 3) in [0, 1]."""
    values = color.detach().cpu().float()[0].permute(1, 2, 0).add(1).div(2).clamp(0, 1)
    return np.ascontiguousarray(values.numpy())


def strips(field: Array, size: tuple[int, int]) -> Iterator[tuple[slice, Array]]:
    """Enlarge a field bilinearly to a size, some rows at a time: (rows, (n, W, C))."""
    height, width = size
    rows = max(1, STRIP // width)
    for start in range(0, height, rows):
        at = slice(start, min(start + rows, height))
        place = (np.arange(at.start, at.stop, dtype=np.float32) + 0.5) * (len(field) / height)
        place = np.clip(place - 0.5, 0, len(field) - 1)
        low = place.astype(np.intp)
        part = (place - low)[:, None, None].astype(np.float32)
        high = np.minimum(low + 1, len(field) - 1)
        mixed = field[low] * (1 - part) + field[high] * part
        yield at, resized(mixed, (at.stop - at.start, width))


def colored_strips(
    field: Array, size: tuple[int, int], touch: Touch | None
) -> Iterator[tuple[slice, Array]]:
    """Enlarge colors in [0, 1] as `strips` does, and set the touched pixels."""
    share = touch and replace(touch, color=np.asarray(touch.color / 2 + 0.5, np.float32))
    return touched(strips(field, size), share)


def painted(drawing: Picture, colors: Iterable[tuple[slice, Array]]) -> Pixels:
    """O - min(O) (1 - U): the paper's share of each pixel takes the color U, the ink stays.

    colors: rows and the color under the ink in them, (n, W, 3) in [0, 1], as `strips` yields them.
    """
    result = np.empty((*drawing.size, 3), drawing.pixels.dtype)
    for at, color in colors:
        old = drawing.pixels[at]
        paper = old.min(2, keepdims=True)
        taken = np.rint(paper * (1 - color)).astype(old.dtype)  # float32 holds 16 bits exactly
        result[at] = old - np.minimum(taken, paper)
    return result


def _tinted(original: Picture, color: Tensor, touch: Touch | None) -> Pixels:
    """The original's L* with the color's a and b, reduced where sRGB has no such color."""
    small = _working(original.size, color)
    chroma = rgb_to_lab(color.detach().cpu().float())[0, 1:].permute(1, 2, 0)
    light = resized(_lightness(original), small, cv2.INTER_AREA)[..., 0]
    field = along_edges(np.ascontiguousarray(chroma.numpy()), light)
    result = np.empty((*original.size, 3), original.pixels.dtype)
    for at, ab in touched(strips(field, original.size), touch and _chroma(touch)):
        result[at] = _colored(original.pixels[at], ab)
    return result


def _chroma(touch: Touch) -> Touch:
    """The touch whose colors are a and b of Lab."""
    lab = rgb_to_lab(torch.from_numpy(touch.color.T.copy())[None, :, :, None])
    return replace(touch, color=np.ascontiguousarray(lab[0, 1:, :, 0].numpy().T))


def _lightness(original: Picture) -> Array:
    """L* in [0, 1], (H, W, 1), to follow edges with: that of the mean gray of a pixel."""
    table = _light_of(_linear(original.peak)) / 100
    gray = original.pixels.mean(2, keepdims=True, dtype=np.float32)
    return np.asarray(table[np.rint(gray).astype(np.intp)], np.float32)


def _linear(peak: int) -> Array:
    """Light of each level, 0 to peak, in [0, 1]: sRGB decoded, (peak + 1,)."""
    share = np.linspace(0, 1, peak + 1)
    bent = ((share + 0.055) / 1.055) ** 2.4
    return np.where(share > 0.04045, bent, share / 12.92).astype(np.float32)


def _light_of(luminance: Array) -> Array:
    """L* in [0, 100] of relative luminance in [0, 1]."""
    root = np.where(
        luminance > 216 / 24389, np.cbrt(luminance), (24389 / 27 * luminance + 16) / 116
    )
    return (116 * root - 16).astype(np.float32)


def _colored(old: Pixels, ab: Array) -> Pixels:
    """Pixels (n, W, 3) of the lightness of `old` (n, W, 1|3) and chroma ab (n, W, 2).

    Red and blue are rounded first; green, which has 72 % of the luminance, makes up for their
    rounding and for all that was lost in the gamut.
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
    for _ in range(HALVINGS if wrong.numel() else 0):
        middle = (low + high) / 2
        fits = (_faded(wrong, middle).abs() <= 1).all(1, keepdim=True)
        low, high = torch.where(fits, middle, low), torch.where(fits, high, middle)
    rgb[:, :, outside] = _faded(wrong, low)[..., 0]
    return rgb.clamp(-1, 1)


def _faded(lab: Tensor, share: Tensor) -> Tensor:
    """Unclipped RGB of a share of the chroma."""
    return lab_to_rgb(torch.cat((lab[:, :1], lab[:, 1:] * share), 1), clip=False)
