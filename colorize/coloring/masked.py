"""Color only inside a mask: what lies outside stays as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

import cv2
import numpy as np

from colorize.coloring.inputs import view
from colorize.coloring.options import Job, Named, SampleOptions
from colorize.errors import ColorizeError
from colorize.images import background, files, ink, kinds
from colorize.images.image import Picture
from colorize.recipes.recipe import Recipe

EMPTY = 0.5  # of [0, 1]; a mask that is darker everywhere is empty


@dataclass(frozen=True)
class Outside:
    """What stays outside of a mask. mask: (H, W) in [0, 1], 1 where the picture may change. picture: RGB."""

    mask: np.ndarray
    picture: Picture
    notes: tuple[str, ...] = ()

    def shrunk(self, size: tuple[int, int]) -> Outside:
        """The same for a frame of a film, at a smaller size."""
        mask = cv2.resize(self.mask, size[::-1], interpolation=cv2.INTER_AREA)
        flat = self.picture.on_white().eight_bit()
        pixels = cv2.resize(flat.pixels, size[::-1], interpolation=cv2.INTER_AREA)
        return Outside(mask, replace(flat, pixels=np.asarray(pixels, np.uint8)))

    def around(self, new: Picture) -> Picture:
        """Return a new picture with what stays around the mask, which at 0 is the old one to the bit."""
        old = _of_depth(self.picture, new)
        share = self.mask[..., None]
        pixels = np.rint(old.pixels + (new.pixels - old.pixels.astype(np.float32)) * share).astype(new.pixels.dtype)
        alpha = new.alpha
        if old.alpha is not None or alpha is not None:
            before, after = (np.full(self.mask.shape, new.peak) if a is None else a for a in (old.alpha, alpha))
            mixed = before + (after - before.astype(np.float32)) * self.mask
            alpha = np.rint(mixed).astype(new.pixels.dtype)
        return replace(new, pixels=pixels, alpha=alpha)


def outside(drawing: Named, job: Job, recipe: Recipe, options: SampleOptions) -> Outside | None:
    """Return what stays outside of a job's mask `only`, None without one, scaled to the drawing.

    It is the drawing if that is in color, else its latest result of its size, else the drawing in black and white.
    Raises ColorizeError for a mask that is black everywhere.
    """
    picture = drawing.picture
    if job.only is None:
        return None
    mask = background.read(job.only)[0, 0].add(1).div(2).numpy()
    if mask.max() < EMPTY:
        message = f"`{drawing.name}`: the mask of --only is black everywhere, so nothing would change"
        raise ColorizeError(message, "paint white what is to be colored")
    notes: tuple[str, ...] = ()
    if mask.shape != picture.size:
        (height, width), (tall, wide) = mask.shape, picture.size
        notes = (f"the mask of --only is {width} x {height} pixels and was scaled to {wide} x {tall}",)
    mask = cv2.resize(mask, picture.size[::-1], interpolation=cv2.INTER_LINEAR)
    if kinds.kind(view(picture, recipe, options)) != "color":
        picture = next(results(job, picture.size), ink.on_paper(picture))
    return Outside(mask, replace(picture, pixels=np.broadcast_to(picture.pixels, (*picture.size, 3))), notes)


def results(job: Job, size: tuple[int, int]) -> Iterator[Picture]:
    """Read the results of a job that have a size; those that cannot be read are left out."""
    for path in job.results:
        with suppress(ColorizeError):
            if (found := files.read(path)).size == size:
                yield found


def _of_depth(picture: Picture, like: Picture) -> Picture:
    """A picture in as many bits as another."""
    if picture.peak >= like.peak:
        return picture.eight_bit() if picture.peak > like.peak else picture
    alpha = None if picture.alpha is None else picture.alpha.astype(np.uint16) * 257
    return replace(picture, pixels=picture.pixels.astype(np.uint16) * 257, alpha=alpha)
