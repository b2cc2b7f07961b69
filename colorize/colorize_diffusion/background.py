"""Figure and background told apart by masks: tokens in halves (1.5), and encoders of background and style (2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from colorize.colorize_diffusion.condition import LatentCond, Manner, Split
from colorize.colorize_diffusion.latent_space import on_board
from colorize.colorize_diffusion.unet_blocks import proportions
from colorize.errors import ColorizeError
from colorize.hints import Hints

if TYPE_CHECKING:
    from colorize.colorize_diffusion.controls import LatentDoors

Encode = Callable[[Tensor], Tensor]
CELL = 8  # pixels of the drawing a side for one cell of a latent
OUTSIDE = -1.0  # of masks on the canvas around a drawing: background


def halved(
    doors: LatentDoors, cond: LatentCond, hints: Hints, rows: Tensor, how: Manner, latent: Encode | None
) -> LatentCond:
    """Return a condition whose tokens are read in halves if there is a mask, with what version 2 adds."""
    halves, sides = how.halves, doors.spec.sides
    if halves.style and sides is None:
        raise ColorizeError("this model has no encoder of styles", "leave it out, or name a model of version 2", code=2)
    if halves.style and "reference" in hints:
        cond = replace(cond, style=_style(doors, cond, hints, how, seen(latent)))
    if "mask" not in hints:
        return cond
    picture = backdrop(hints, halves.reference)
    back = _back(doors, picture, rows, how, "background" in hints)
    front = cond.tokens
    assert front is not None
    if how.compat and doors.spec.threshold is not None:
        front = front + rows * doors.threshold(rows.new_tensor([halves.drawing]))
    back = back.repeat(1, front.shape[1] // back.shape[1], 1)  # copies read as one
    split = Split(
        mask_of(hints, doors.multiple),
        halves.drawing,
        halves.figure,
        halves.background,
        halves.merge,
        (halves.tuned, True),
    )
    cond = replace(cond, tokens=torch.cat([front, back], dim=1), split=split)
    if sides is None:
        return cond
    said = _side(doors.background, doors, picture, cond, how, seen(latent))
    return replace(cond, background=tuple(halves.factor * one for one in said))


def _back(doors: LatentDoors, picture: Tensor, rows: Tensor, how: Manner, given: bool) -> Tensor:
    """Tokens of the background, (B, N, T); zeros where rows are 0."""
    tokens = doors.read(picture, how)[:, 1:]
    if doors.spec.threshold is not None:
        tokens = tokens + doors.threshold(rows.new_tensor([how.halves.reference]))
    if doors.spec.clusters is not None and not (how.compat and given):
        tokens = doors.clusters(tokens)
    found: Tensor = rows * tokens
    return found


def _style(doors: LatentDoors, cond: LatentCond, hints: Hints, how: Manner, latent: Encode) -> tuple[Tensor, ...]:
    """What version 2's style encoder says of the reference, mixed with the background's if one is given."""
    styles = _side(doors.style, doors, hints["reference"][:, :3], cond, how, latent)
    if "background" not in hints or not how.halves.merge:
        return styles
    others = _side(doors.style, doors, hints["background"], cond, how, latent)
    return tuple(torch.lerp(one, other, how.halves.merge) for one, other in zip(styles, others, strict=True))


def _side(
    encoder: torch.nn.Module, doors: LatentDoors, picture: Tensor, cond: LatentCond, how: Manner, latent: Encode
) -> tuple[Tensor, ...]:
    """Ask an encoder of version 2 about a picture (B, 3, h, w)."""
    sides = doors.spec.sides
    assert sides is not None
    cells = cond.maps[0].shape[-2:]
    size = (cells[0] * CELL, cells[1] * CELL)
    labels = proportions((picture.shape[-2], picture.shape[-1]), size, sides.labels).to(picture)
    seen_as = latent(squashed(picture, cond.maps[0]))
    tokens = doors.read(picture, how)[:, 1:]
    said: tuple[Tensor, ...] = encoder(seen_as, labels.expand(len(picture), -1), tokens)
    return said


def backdrop(hints: Hints, threshold: float) -> Tensor:
    """The picture of the background, (B, 3, h, w): the one given, or the reference with a white figure.

    Raises ColorizeError if there is neither.
    """
    given, reference, mask = (hints.get(name) for name in ("background", "reference", "reference_mask"))
    if given is not None:
        return given
    if reference is None:
        raise ColorizeError(
            "a mask tells figure and background apart, but neither a background nor a reference is given",
            "add --background or --ref, or leave --mask out",
            code=2,
        )
    if mask is None:
        return reference[:, :3]
    figure = (mask + 1) / 2 >= threshold
    return torch.where(figure, torch.ones_like(reference[:, :3]), reference[:, :3])


def mask_of(hints: Hints, multiple: int) -> Tensor:
    """The drawing's mask at the latent's size, (B, 1, h, w) from about 0 to 1."""
    wide = on_board(hints["mask"], multiple, OUTSIDE)
    return F.interpolate((wide + 1) / 2, scale_factor=1 / CELL, mode="bicubic")


def squashed(picture: Tensor, cells: Tensor) -> Tensor:
    """Bring a picture to the size in pixels of a map of cells, whatever its proportions."""
    size = [side * CELL for side in cells.shape[-2:]]
    return F.interpolate(picture, size, mode="bicubic", antialias=True).clamp(-1, 1)


def seen(latent: Encode | None) -> Encode:
    """Return the autoencoder; it is always given where pictures are made."""
    if latent is None:
        raise TypeError("this manner needs `latent`, the autoencoder")
    return latent
