"""The paper of a scan: found, taken for white while a drawing is colored, and put under its colors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from colorize.images import kinds
from colorize.images.color import luminance
from colorize.images.flat_regions import nearest_region
from colorize.images.image import Picture
from colorize.images.ink import strips
from colorize.images.resize import Array
from colorize.images.shading import paper_brightness

CELLS = 48  # a side of what is kept of a sheet, which is smooth
NEAR = 0.04  # of the paper's brightness, how far its pixels are off it
THIN, DARK, LINED = 7, 0.35, 0.005  # pixels of a line's width, its darkness; share of lines: photos have a fifth
BRIGHT, WHITE = 0.3, 0.985  # of 1; what is darker is no paper, and what is lighter is white
FADED = 0.5  # of its brightness that paper keeps in the corners of a photo
LEAST = 0.02  # of a page that is known to be paper
LIGHT, BLOCK, EVEN = 0.94, 32, 0.97  # of full brightness; pixels of blocks that hold paper; share where it is white
INKED = 0.85  # ink that the darkest lines have after shrinking, as in training
GAIN = 2.5  # by which shrunk lines are darkened at most; more would bring out the paper's grain
LUMA = (0.2126, 0.7152, 0.0722)


@dataclass(frozen=True)
class Sheet:
    """Paper that is not white. level: (h, w, 3) in [0, 1], its color everywhere, at any size."""

    level: Array

    def whitened(self, scan: Picture) -> Picture:
        """Return a scan as it would be on white paper, RGB; what is lighter than its paper is white, too."""
        pixels = np.empty((*scan.size, 3), scan.pixels.dtype)
        for at, level in strips(self.level, scan.size):
            pixels[at] = np.rint(np.minimum(scan.pixels[at] / level, scan.peak))
        return replace(scan, pixels=pixels)

    def under(self, colored: Picture, scan: Picture) -> Picture:
        """Return the colored picture of a whitened scan on the paper of the scan; what was lighter than it stays so."""
        pixels = np.empty_like(colored.pixels)
        for at, level in strips(self.level, scan.size):
            pixels[at] = np.rint(colored.pixels[at] * np.maximum(level, scan.pixels[at] / np.float32(scan.peak)))
        return replace(colored, pixels=pixels)

    def cut(self, where: tuple[slice, slice], size: tuple[int, int]) -> Sheet:
        """Return the sheet of some rows and columns of a picture (H, W)."""
        share = (np.arange(CELLS) + 0.5) / CELLS
        down, across = (
            ((one.start + share * (one.stop - one.start)) * (cells / side) - 0.5).astype(np.float32)
            for one, cells, side in zip(where, self.level.shape, size, strict=False)
        )
        x, y = np.meshgrid(across, down)
        return Sheet(np.asarray(cv2.remap(self.level, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)))


def find(small: Picture, known: np.ndarray | None = None) -> Sheet | None:
    """Return the paper of a picture of about 1,000 pixels a side, None if it is white, or a photo without any.

    known: (H, W) bool, where there is nothing but paper and ink, as between panels; without it, there must be lines on
    the paper, which tell it from a bright sky.
    """
    values = np.broadcast_to(small.pixels, (*small.size, 3)).astype(np.float32) / small.peak
    gray = np.asarray(values @ np.array(LUMA, np.float32))
    if known is not None and known.mean() < LEAST:
        return None
    level = paper_brightness(gray if known is None else np.where(known, gray, 0), FADED).astype(np.float32)
    share = gray / level
    paper = np.abs(share - 1) < NEAR
    if known is None:
        closed = cv2.morphologyEx(share, cv2.MORPH_CLOSE, np.ones((THIN, THIN), np.uint8))
        if ((closed > 1 - 2 * NEAR) & (closed - share > DARK)).mean() < LINED:
            return None
    else:
        paper &= known
    if not paper.any() or np.median(gray[paper]) < BRIGHT:
        return None
    color = np.median(values[paper] / gray[paper, None], 0)
    sheet = cv2.resize(level, (CELLS, CELLS), interpolation=cv2.INTER_AREA)[..., None] * color.astype(np.float32)
    return None if float(sheet.min()) > WHITE else Sheet(np.clip(sheet, BRIGHT / 2, 1))


def ink_of(seen: Tensor) -> Tensor:
    """The lines of a drawing (1, 3, H, W) as (1, 1, H, W): without colored pencils under ink, on even paper."""
    gray = seen.amax(1, keepdim=True) if kinds.has_construction(seen) else luminance(seen)
    if float((F.max_pool2d(gray, BLOCK, ceil_mode=True) > 2 * LIGHT - 1).float().mean()) > EVEN:
        return gray  # white paper
    share = ((gray + 1) / 2)[0, 0].numpy()
    paper = paper_brightness(share)
    if float(paper.min()) > LIGHT:
        return gray
    return torch.from_numpy(share / paper)[None, None].float().clamp(0, 1) * 2 - 1


def darken(line: Tensor, picture: Picture | None = None) -> Tensor:
    """Return line art (1, 1, H, W) whose lines went pale by shrinking, with dark lines again.

    A pen line of 2 pixels is a quarter as dark at an eighth of the size; models never saw such. Where lines are too
    thin for that, the drawing in full is shrunk by its darkest pixels.
    """
    ink = (1 - line) / 2
    paper = ink.median()
    dark = ink[ink > paper + 0.05]
    darkest = torch.quantile(dark, 0.9) if len(dark) else paper
    if picture is not None and (INKED - paper) > GAIN * (darkest - paper):
        return darken(_darkest(picture, line.shape[-2:]))
    if not len(dark):
        return line
    return 1 - 2 * (paper + ((INKED - paper) / (darkest - paper)).clamp(1, GAIN) * (ink - paper)).clamp(0, 1)


def _darkest(picture: Picture, size: Sequence[int]) -> Tensor:
    """A drawing on white at a smaller size (H, W), with lines at least a third of a pixel wide: (1, 1, H, W)."""
    wide = max(2, round(max(picture.size) / max(size) / 3) + 1)
    gray = cv2.erode(picture.on_white().pixels.min(2), np.ones((wide, wide), np.uint8))
    small = cv2.resize(gray, size[::-1], interpolation=cv2.INTER_AREA)
    return torch.from_numpy(small.astype(np.float32))[None, None] * (2 / picture.peak) - 1


def emptied(picture: Picture, where: np.ndarray, like: np.ndarray) -> Picture:
    """A picture with nothing but paper, of the color that it has in another place, in its bubbles or captions."""
    if not where.any():
        return picture
    pixels = picture.pixels.copy()
    pixels[where] = np.quantile(picture.pixels[like], 0.9, axis=0).astype(pixels.dtype)
    return replace(picture, pixels=pixels)


def without_letters(picture: Picture, letters: np.ndarray) -> Picture:
    """A picture in which the paper around letters goes on through them: their gaps are no regions."""
    if not letters.any():
        return picture
    flat = picture.pixels.reshape(-1, picture.pixels.shape[-1])
    return replace(picture, pixels=flat[nearest_region(~letters)].reshape(picture.pixels.shape))
