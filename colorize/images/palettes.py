"""Palettes: a few colors out of a picture, and a picture made of a few colors.

A network sees a palette as a reference without shapes: small squares of its colors in random order, so that it cannot
read a layout out of it.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from colorize.errors import ColorizeError
from colorize.images.color import lab_to_rgb, rgb_to_lab
from colorize.images.color_names import parse_color

CELLS = 16  # squares a side of a mosaic
LONGEST = 32  # colors a user may give
EXAMPLE = 'write colors as "#3b5fa0,#f2c6a0" or by their English names, or give a picture'
MOST = 8  # colors of a simulated palette
SWATCH = 128  # pixels a side of a palette shown as a picture
PAPER = 0.94  # in [-1, 1]; a pixel whose darkest channel is lighter is paper and no color
THUMB = 64  # pixels a side in which colors are counted
COMPARED = 16  # cells a side in which the colors of two pictures are compared
INK = 20.0  # L of Lab; darker cells are ink
FLAT = 0.03  # of 2; how much the middle of a square of a palette may vary, as JPEG makes it
CELL = 4  # pixels a side that are averaged before colors are picked, so that ink does not count


def simulate(picture: Tensor, rng: Generator) -> Tensor:
    """Make a mosaic of 2 to 8 colors picked out of each picture, as a user would pick them.

    picture: (B, 3, H, W) in [-1, 1]. Returns (B, 3, H, W). Colors are picked at random places, each the more colorful
    one of two.
    """
    batch, _, height, width = picture.shape
    flat = F.avg_pool2d(picture, min(CELL, height, width)).flatten(2)  # (B, 3, N)
    places = torch.randint(flat.shape[2], (batch, 2 * MOST), generator=rng).to(flat.device)
    pairs = flat.gather(2, places[:, None].expand(-1, 3, -1)).view(batch, 3, 2, MOST)
    chroma = pairs.amax(1) - pairs.amin(1) - 2 * (pairs.amin(1) >= PAPER).to(pairs)  # (B, 2, MOST)
    colors = torch.where((chroma[:, 0] > chroma[:, 1])[:, None], pairs[:, :, 0], pairs[:, :, 1])
    counts = torch.randint(2, MOST + 1, (batch,), generator=rng)
    return mosaic(colors, counts, (height, width), rng)


def mosaic(colors: Tensor, counts: Tensor, size: tuple[int, int], rng: Generator) -> Tensor:
    """Lay colors in small squares: each fills the same area, in random order.

    colors: (B, 3, N) in [-1, 1]; counts: (B,), how many of them each row uses, from 1 to N. size: height and width of
    the result (B, 3, height, width) in pixels.
    """
    batch = colors.shape[0]
    order = torch.rand(batch, CELLS * CELLS, generator=rng).argsort(1)
    which = (order % counts[:, None].to(order)).to(colors.device)
    cells = colors.gather(2, which[:, None].expand(-1, 3, -1)).view(batch, 3, CELLS, CELLS)
    return F.interpolate(cells, size, mode="nearest")


def shared(first: Tensor, second: Tensor) -> Tensor:
    """How much of each first picture has a color that the second one has too: (B,) in [0, 1].

    first, second: (B, 3, H, W) in [-1, 1], of any sizes. White paper and ink count for nothing; a picture of nothing
    else shares nothing.
    """
    small = [F.adaptive_avg_pool2d(picture, (COMPARED, COMPARED)).clamp(-1, 1) for picture in (first, second)]
    lab = [rgb_to_lab(one).flatten(2).mT.float() for one in small]  # (B, N, 3)
    weight = [(one.amin(1) < PAPER).flatten(1) & (of[..., 0] > INK) for one, of in zip(small, lab, strict=True)]
    apart = torch.cdist(lab[0], lab[1])  # (B, N, N)
    apart = apart.masked_fill(~weight[1][:, None], torch.inf).amin(2)
    found = ((apart < 14.0) & weight[0]).float().sum(1)  # Lab units; two cells nearer to each other show the same color
    share: Tensor = found / weight[0].float().sum(1).clamp(min=1)
    return share


def parse(text: str) -> Tensor:
    """Read colors such as `#3b5fa0, #fc0, navy`: (N, 3) in [-1, 1], in the order given.

    Colors are separated by commas or blanks. Raises ColorizeError (wrong usage) for none, for more than 32, and for
    what is no hex color or CSS color name.
    """
    words = text.replace(",", " ").split()
    if not 1 <= len(words) <= LONGEST:
        message = f"the palette `{text}` has {len(words)} colors"
        raise ColorizeError(message, f"give 1 to {LONGEST}: {EXAMPLE}", code=2)
    return torch.tensor([parse_color(word, "the palette", EXAMPLE) for word in words]) / 127.5 - 1


def swatches(colors: Tensor) -> Tensor:
    """Show a palette as a picture: (N, 3) in [-1, 1] to (1, 3, 128, 128), always in the same order."""
    counts = torch.tensor([len(colors)])
    return mosaic(colors.T[None], counts, (SWATCH, SWATCH), Generator().manual_seed(0))


def is_palette(picture: Tensor) -> Tensor:
    """Tell which pictures (B, 3, H, W) in [-1, 1] are palettes as `swatches` shows them: (B,) bool."""
    side = 4 * CELLS
    fine = F.interpolate(picture[:, :3], (side, side), mode="nearest-exact")
    cells = fine.reshape(len(fine), 3, CELLS, 4, CELLS, 4)[:, :, :, 1:3, :, 1:3]
    spread = cells.amax((3, 5)) - cells.amin((3, 5))
    return spread.flatten(1).amax(1) < FLAT


def dominant(picture: Tensor, count: int = 6) -> Tensor:
    """Find the colors a picture is made of, the most frequent first: (N, 3) in [-1, 1], N <= count.

    picture: (1, 3, H, W) in [-1, 1]. K-means in Lab on a small copy, without white paper, started from the colors that
    lie farthest apart (Gonzalez 1985), so that it gives the same every time.
    """
    small = F.adaptive_avg_pool2d(picture, (THUMB, THUMB)).clamp(-1, 1)
    pixels = small[0].flatten(1)
    colored = pixels[:, pixels.amin(0) < PAPER]
    pixels = colored if colored.shape[1] >= count else pixels
    points = rgb_to_lab(pixels[None, :, :, None])[0, :, :, 0].T.contiguous().float()  # (P, 3)
    # Group points around at most `count` of them that lie far apart.
    first = points.mean(0, keepdim=True).sub(points).square().sum(1).argmin()
    distance = (points - points[first]).square().sum(1)
    nearest = torch.zeros(len(points), dtype=torch.int32)
    for label in range(1, count):
        if float(distance.max()) < 4.0**2:  # Lab units; colors nearer to each other are one
            break
        away = (points - points[distance.argmax()]).square().sum(1)
        nearest = torch.where(away < distance, label, nearest)
        distance = torch.minimum(distance, away)
    labels = nearest.numpy().astype(np.int32)[:, None]
    groups = int(labels.max()) + 1
    stop = (cv2.TERM_CRITERIA_MAX_ITER | cv2.TERM_CRITERIA_EPS, 20, 0.5)
    _, found, centers = cv2.kmeans(points.numpy(), groups, labels, stop, 1, cv2.KMEANS_USE_INITIAL_LABELS)
    order = np.bincount(found.ravel(), minlength=groups).argsort()[::-1].copy()
    lab = torch.from_numpy(np.asarray(centers, np.float32)[order]).T[None, :, :, None]
    return lab_to_rgb(lab)[0, :, :, 0].T.clamp(-1, 1).contiguous()
