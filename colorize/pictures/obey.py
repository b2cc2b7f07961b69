"""Draw a painted field towards the color hints: up to the lines of a drawing, or along the shades of a gray picture.

A field is (B, 3, H, W) in [-1, 1], hints are (B, 4, H, W), RGB and a mask. Knows nothing of networks.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from colorize.pictures.color import luminance
from colorize.pictures.field import WALL, spread

SMOOTH = 0.08  # radius of the smoothing of what hints correct, as a fraction of the longer side
NEAR = 8  # cells around a hint over which its own color fades into the area's
DEPTH = 2.0  # of a gray picture: black and white lie twice as far apart as its sides
REACH = 2.0  # at this distance a hint's color counts a third of what it counts at the hint
MOST = 2048  # hinted cells that a gray picture is colored by; of more an even choice is taken
ROWS = 4096  # cells handled at once, which bounds memory


def along_lines(color: Tensor, hints: Tensor, paper: Tensor, share: float = 0.5) -> Tensor:
    """Draw a field towards the hints, each of which speaks for the area that lines leave it.

    paper: (B, 1, H, W) in [-1, 1], see `spread`. The error at the hints is spread up to the lines,
    smoothed and taken away; then `share` of the flat hint color itself is mixed in, all of it at
    the hint. What no hint reaches stays as it is.
    """
    held = (hints[:, 3:] > 0).to(color)
    steps = sum(color.shape[-2:])  # from corner to corner of an empty sheet
    wrong = torch.cat([(hints[:, :3] - color) * held, hints[:, 3:]], dim=1)
    error = spread(wrong, paper, steps=steps)
    flat = spread(hints, paper, steps=steps)
    reached = (flat[:, 3:] > 0).to(color)
    radius = max(1, round(SMOOTH * max(color.shape[-2:])))
    smoothed, weight = (_mean(part, radius) for part in (error[:, :3] * reached, reached))
    mended = color + reached * smoothed / weight.clamp(min=1e-3)
    mixed = share + (1 - share) * _nearness(held, (paper > WALL).to(color))
    return mended + mixed * reached * (flat[:, :3] - mended)


def along_shades(color: Tensor, hints: Tensor, gray: Tensor) -> Tensor:
    """Draw the chroma of a field towards that of the hints, near in place and alike in gray; keep its luma.

    gray: (B, 1, H, W) in [-1, 1], the picture to be colored. As in Levin et al. 2004, neighbors of
    like gray are of like color; here by weights of inverse distance in place and gray together
    (Shepard 1968) over the hints' own chroma and, far from all hints, over what they correct.
    """
    pairs = zip(color, hints, gray, strict=True)
    return torch.stack([_shaded(*pair) if (pair[1][3] > 0).any() else pair[0] for pair in pairs])


def _shaded(color: Tensor, hints: Tensor, gray: Tensor) -> Tensor:
    """One picture: (3, H, W), (4, H, W), (1, H, W) to (3, H, W)."""
    height, width = color.shape[-2:]
    down, right = torch.meshgrid(
        torch.arange(height) / height, torch.arange(width) / width, indexing="ij"
    )
    place = torch.stack((down.to(color), right.to(color), DEPTH * gray[0])).flatten(1).T  # (N, 3)
    held = (hints[3] > 0).flatten().nonzero()[:, 0]
    held = held[:: -(-len(held) // MOST)]
    luma = luminance(color[None])[0]
    chroma = (color - luma).flatten(1).T
    told = (hints[:3] - luminance(hints[None, :3])[0]).flatten(1).T[held]
    wrong = told - chroma[held]
    rows = []
    for start in range(0, len(place), ROWS):
        near, own = place[start : start + ROWS], chroma[start : start + ROWS]
        square = torch.cdist(near, place[held]).square()
        weight = 1 / (square + 1e-5).square()
        weight = weight / weight.sum(1, keepdim=True)
        mended = own + weight @ wrong
        trust = (-square.amin(1, keepdim=True).sqrt() / REACH).exp()
        rows.append(torch.lerp(mended, weight @ told, trust))
    return torch.cat(rows).T.view_as(color) + luma


def _nearness(held: Tensor, free: Tensor) -> Tensor:
    """1 at hints, falling to 0 over NEAR cells of the free way from them: (B, 1, H, W)."""
    front, total = held, held
    for _ in range(NEAR):
        front = F.max_pool2d(front, 3, 1, 1) * torch.maximum(free, held)
        total = total + front
    return total / (NEAR + 1)


def _mean(values: Tensor, radius: int) -> Tensor:
    """Mean over a square of 2 radius + 1 pixels, zeros beyond the border."""
    return F.avg_pool2d(values, 2 * radius + 1, 1, radius)
