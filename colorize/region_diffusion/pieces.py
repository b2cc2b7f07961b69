"""Main colors of pictures, their connected parts, and what regions and parts have in common: looks, place and size."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from colorize.images.color import lab_of

SIDE = 64  # cells a side in which the main colors and parts of a reference are found
COLORS = 14  # main colors of a reference, at most
PARTS = 40  # parts of a reference, at most
LEAST = 8  # cells; a rarer color belongs to the nearest other one
CRUMB = 4  # cells; smaller pieces are no parts
ALIKE = 7.0  # CIE76; of two main colors that are nearer to each other the rarer one is dropped
ROUNDS = 4  # of k-means
GEOMETRY = 10  # numbers that tell where a piece lies and how large it is


@dataclass(frozen=True)
class MainColors:
    """The main colors of pictures. rgb: (B, K, 3) in [-1, 1]. share: (B, K) of the area. valid: (B, K) bool.

    which: (B, S, S), the main color of every cell.
    """

    rgb: Tensor
    share: Tensor
    valid: Tensor
    which: Tensor


def main_colors(picture: Tensor, count: int = COLORS, side: int = SIDE) -> MainColors:
    """Find the main colors of pictures (B, 3, H, W) in [-1, 1]: k-means in Lab, the same every time.

    It starts from colors far apart (Gonzalez 1985), so that small areas of their own color are found.
    """
    small = F.interpolate(picture, (side, side), mode="nearest-exact").flatten(2).mT
    lab, least = lab_of(small), LEAST * (side / SIDE) ** 2
    centers = _centers(lab[:, ::3], count)
    nearest = torch.cdist(lab, centers).argmin(-1)
    valid = _apart(centers, _mass(nearest, count), least)
    nearest = torch.cdist(lab, centers).masked_fill(~valid[:, None], 1e4).argmin(-1)
    mass = _mass(nearest, count)
    sums = torch.zeros_like(centers).scatter_add_(1, nearest[..., None].expand(-1, -1, 3), small)
    rgb = sums / mass[..., None].clamp(min=1)
    return MainColors(rgb, mass / side**2, valid & (mass > 0), nearest.view(len(lab), side, side))


def _centers(lab: Tensor, count: int) -> Tensor:
    """K-means centers (B, count, 3) of points (B, N, 3)."""
    rows = torch.arange(len(lab), device=lab.device)
    median = lab.median(1, keepdim=True).values
    centers = lab[rows, (lab - median).square().sum(-1).argmin(1)][:, None]
    away = (lab - centers).square().sum(-1)
    for _ in range(count - 1):
        farthest = lab[rows, away.argmax(1)][:, None]
        centers = torch.cat([centers, farthest], 1)
        away = torch.minimum(away, (lab - farthest).square().sum(-1))
    for _ in range(ROUNDS):
        nearest = torch.cdist(lab, centers).argmin(-1)
        mass = _mass(nearest, count)[..., None]
        sums = torch.zeros_like(centers).scatter_add_(1, nearest[..., None].expand(-1, -1, 3), lab)
        centers = torch.where(mass > 0, sums / mass.clamp(min=1), centers)
    return centers


def _mass(nearest: Tensor, count: int) -> Tensor:
    """How many points (B, N) belong to each of `count` centers: (B, count)."""
    zeros = torch.zeros(len(nearest), count, device=nearest.device)
    return zeros.scatter_add_(1, nearest, torch.ones_like(nearest, dtype=torch.float32))


def _apart(centers: Tensor, mass: Tensor, least: float) -> Tensor:
    """Which centers (B, K, 3) stay: frequent ones, of two alike the more frequent one."""
    order = torch.arange(mass.shape[1], device=mass.device)
    tie = (mass[:, None, :] == mass[:, :, None]) & (order[None, None] < order[None, :, None])
    larger = (mass[:, None, :] > mass[:, :, None]) | tie
    alike = torch.cdist(centers, centers) < ALIKE
    return (mass >= least) & ~(alike & larger).any(-1)


def parts(colors: MainColors, most: int = PARTS) -> tuple[Tensor, Tensor]:
    """Divide pictures into connected pieces of one main color, the `most` largest of each.

    Returns labels (B, S, S), -1 for crumbs, and the main color of each part (B, most), -1 where there is none.
    """
    side = colors.which.shape[-1]
    crumb = CRUMB * (side / SIDE) ** 2
    labels = torch.full(colors.which.shape, -1, dtype=torch.long)
    owner = torch.full((len(labels), most), -1, dtype=torch.long)
    for row, plane in enumerate(colors.which.cpu().numpy().astype(np.uint8)):
        found = []
        for color in np.unique(plane):
            mask = (plane == color).astype(np.uint8)
            count, pieces, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
            found += [(-stats[at, 4], int(color), at, pieces) for at in range(1, count)]
        found.sort(key=lambda piece: piece[:3])
        for number, (area, color, at, pieces) in enumerate(found[:most]):
            if -area >= crumb:
                labels[row][torch.from_numpy(pieces == at)] = number
                owner[row, number] = color
    return labels, owner


def membership(labels: Tensor, count: int, size: tuple[int, int], weight: Tensor | None = None) -> Tensor:
    """How much of each cell of a coarser map lies in each piece: (B, count, h * w).

    labels: (B, H, W), negative for none. size: (h, w) of the map, which divides that of the labels
    about evenly. weight: (B, H, W), how much each pixel counts.
    """
    batch, height, width = labels.shape
    on = labels.device
    rows = torch.arange(height, device=on) * size[0] // height
    columns = torch.arange(width, device=on) * size[1] // width
    cell = (rows[:, None] * size[1] + columns).flatten()
    flat = labels.flatten(1)
    share = torch.ones(flat.shape, device=flat.device) if weight is None else weight.flatten(1).float()
    share = share * (flat >= 0)
    table = torch.zeros(batch, count * size[0] * size[1], device=on)
    table.scatter_add_(1, flat.clamp(min=0) * (size[0] * size[1]) + cell, share)
    return table.view(batch, count, -1)


def pooled(values: Tensor, members: Tensor) -> Tensor:
    """Mean of a map (B, C, h, w) over each piece: (B, N, C); 0 for a piece without cells."""
    mass = members.sum(-1, keepdim=True).clamp(min=1e-4)
    return (members / mass) @ values.float().flatten(2).mT


def means(values: Tensor, labels: Tensor, count: int, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Mean of values (B, C, H, W) over labels (B, H, W), negative for none: (B, count, C), and the mass (B, count)."""
    batch, channels = values.shape[:2]
    flat = labels.flatten(1)
    share = torch.ones(flat.shape, device=flat.device) if weight is None else weight.flatten(1).float()
    share = share * (flat >= 0)
    place = flat.clamp(min=0)
    mass = torch.zeros(batch, count, device=flat.device).scatter_add_(1, place, share)
    total = torch.zeros(batch, channels, count, device=flat.device)
    total.scatter_add_(2, place[:, None].expand(-1, channels, -1), values.float().flatten(2) * share[:, None])
    return (total / mass[:, None].clamp(min=1e-4)).mT, mass


def geometry(labels: Tensor, count: int, figure: Tensor) -> Tensor:
    """Where pieces lie and how large they are: (B, count, 10), about -4 to 4.

    labels: (B, H, W), negative for none. figure: (B, H, W) bool, where anything is drawn; its box is a
    frame of reference beside the picture's. In order: row, column in the picture; row, column in the box;
    extent along rows and columns; logarithm of the share of the picture and of the figure; share that lies
    on the picture's border; extent along rows in terms of the box.
    """
    batch, height, width = labels.shape
    on = labels.device
    y = ((torch.arange(height, device=on) + 0.5) / height)[:, None].expand(height, width)
    x = ((torch.arange(width, device=on) + 0.5) / width)[None].expand(height, width)
    rim = torch.ones(height, width, device=on)
    rim[1:-1, 1:-1] = 0
    planes = torch.stack([y, x, y * y, x * x, rim])[None].expand(batch, -1, -1, -1)
    mean, mass = means(planes, labels, count)
    drawn = figure.float()
    drawn = torch.where(drawn.sum((1, 2), keepdim=True) < 4, torch.ones_like(drawn), drawn)
    (top, tall), (left, wide) = _span(drawn.amax(2) > 0), _span(drawn.amax(1) > 0)
    row, column, row2, column2, border = mean.unbind(-1)
    extent_y = (row2 - row.square()).clamp(min=0).sqrt()
    extent_x = (column2 - column.square()).clamp(min=0).sqrt()
    share = mass / (height * width)
    inside = mass / drawn.sum((1, 2))[:, None]
    numbers = (
        row * 2 - 1,
        column * 2 - 1,
        (row - top) / tall * 2 - 1,
        (column - left) / wide * 2 - 1,
        extent_y * 4,
        extent_x * 4,
        (share + 1e-4).log() / 3,
        (inside + 1e-4).log() / 3,
        (border * 8).clamp(max=2),
        extent_y / tall * 4,
    )
    return torch.stack(numbers, -1).clamp(-4, 4)


def _span(there: Tensor) -> tuple[Tensor, Tensor]:
    """First place and length of what is True in rows (B, N), as shares of N: each (B, 1)."""
    place = torch.arange(there.shape[1], device=there.device) / there.shape[1]
    low = torch.where(there, place, 9.0).amin(1)
    high = torch.where(there, place, -9.0).amax(1)
    return low[:, None], (high - low).clamp(min=0.05)[:, None]


def contacts(labels: Tensor, count: int, clear: Tensor) -> Tensor:
    """How regions touch: (B, count, count, 2), shares of a region's outline that it has in common with another.

    labels: (B, H, W) from 0. clear: (B, H, W) bool, pixels without ink. The first number counts only
    where there is no ink between the two, the second everything.
    """
    batch = len(labels)
    touch = torch.zeros(2, batch, count * count, device=labels.device)
    pairs = (
        (labels[:, 1:], labels[:, :-1], clear[:, 1:] & clear[:, :-1]),
        (labels[:, :, 1:], labels[:, :, :-1], clear[:, :, 1:] & clear[:, :, :-1]),
    )
    for one, other, free in pairs:
        differ = (one != other).flatten(1).float()
        openly = differ * free.flatten(1)
        for first, second in ((one, other), (other, one)):
            code = (first * count + second).flatten(1)
            touch[0].scatter_add_(1, code, openly)
            touch[1].scatter_add_(1, code, differ)
    openly, total = touch.view(2, batch, count, count)
    outline = total.sum(2, keepdim=True).clamp(min=1)
    return torch.stack([openly / outline, total / outline], -1)
