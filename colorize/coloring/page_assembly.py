"""Bind the colored panels of a manga page to a page again. Knows nothing of how they were found or colored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from colorize.coloring import inputs
from colorize.coloring.batch import Painted
from colorize.coloring.pages import Page, Part
from colorize.images.image import Picture, Pixels
from colorize.images.metadata import MARK

SHADE = 0.55  # of the range from black to white: how far the luma of line art may fall by its colors
LUMA = (0.2126, 0.7152, 0.0722)
THIN = 7  # of so many pixels of paper one tells its tint
PALE = 0.85  # of the lightest paper; what is darker is ink
SLIGHT = 0.02  # of 1, how far a tint may be off neutral without being one
FILM = 512  # pixels of the longer side of a film's frames


def bound(page: Page, done: Sequence[Painted]) -> Painted:
    """Return a page in color, and how it was made, from its panels; `done` has one for each part."""
    first = done[0]
    meta = {**first.meta, "panels": page.panels}
    whole = merged(page, [one.picture for one in done])
    text = {**whole.text, MARK: json.dumps(meta, ensure_ascii=False)}
    return replace(
        first,
        picture=replace(whole, text=text),
        seconds=sum(one.seconds for one in done),
        calls=sum(one.calls for one in done),
        meta=meta,
        frames=film(page, [one.frames for one in done]),
    )


def merged(page: Page, colored: Sequence[Picture]) -> Picture:
    """Return the page with its panels in color: RGB of the original's depth, alpha, EXIF and texts.

    colored: a picture per part, of its crop. All that is kept is the original's, to the bit. The luma of
    line art falls by at most SHADE, but in panels with hints, which are obeyed; gray ones keep their lightness.
    """
    sheet = page.sheet
    pixels = np.array(np.broadcast_to(sheet.pixels, (*sheet.size, 3)))
    tint = _tint(page)
    for part, one in zip(page.parts, colored, strict=True):
        top, left = (box.start - crop.start for box, crop in zip(part.box, part.crop, strict=True))
        high, wide = part.mask.shape
        new, old = one.pixels[top : top + high, left : left + wide], pixels[part.box]
        if part.kind == "line" and not part.hinted:
            new = _bounded(old, new)
        elif part.kind == "gray" and tint is not None:
            new = np.rint(new * tint).clip(0, np.iinfo(old.dtype).max)
        old[part.mask] = new[part.mask]
    return replace(sheet, pixels=pixels, icc=None if sheet.gray else sheet.icc)


def film(page: Page, frames: Sequence[Sequence[Picture]]) -> tuple[Picture, ...]:
    """Return the films of the panels, `frames`, as one film of the page."""
    if not frames[0]:
        return ()
    small = inputs.shrunk(page.sheet, FILM).eight_bit()
    scale = np.array(small.size) / page.sheet.size
    still = np.array(np.broadcast_to(small.pixels, (*small.size, 3)))
    shots = []
    for at in zip(*frames, strict=True):
        shot = still.copy()
        for part, one in zip(page.parts, at, strict=True):
            _paste(shot, part, one, scale)
        shots.append(Picture(shot))
    return tuple(shots)


def _paste(shot: Pixels, part: Part, one: Picture, scale: np.ndarray) -> None:
    """Put a panel's frame onto a small page, without its surroundings."""
    size = [crop.stop - crop.start for crop in part.crop]
    places = []
    for axis in (0, 1):
        box, crop = part.box[axis], part.crop[axis]
        low, high = (int(end * scale[axis]) for end in (box.start, box.stop))
        want = (np.arange(low, high) + 0.5) / scale[axis] - crop.start
        place = (want * one.size[axis] / size[axis]).astype(int).clip(0, one.size[axis] - 1)
        inner = ((np.arange(low, high) + 0.5) / scale[axis] - box.start).astype(int)
        places.append((slice(low, high), place, inner.clip(0, box.stop - box.start - 1)))
    (rows, down, deep), (columns, across, wide) = places
    pixels = np.broadcast_to(one.eight_bit().pixels, (*one.size, 3))[np.ix_(down, across)]
    mask = part.mask[np.ix_(deep, wide)]
    shot[rows, columns][mask] = pixels[mask]


def _tint(page: Page) -> np.ndarray | None:
    """Factors (3,) for R, G and B that give neutral colors the tint of the paper around the panels; None without one.

    Gray panels lose the tint of their paper with their old colors; so it is put onto the new ones.
    """
    sheet = page.sheet
    outside = np.ones(sheet.size, bool)
    for part in page.parts:
        outside[part.box] &= ~part.mask
    paper = sheet.pixels[outside][::THIN].astype(np.float32)
    darkest = paper.min(1, initial=np.inf)
    if sheet.gray or not len(paper):
        return None
    white = np.median(paper[darkest >= PALE * np.quantile(darkest, 0.95)], 0)
    tint = white / max(1.0, float(white @ np.array(LUMA, np.float32)))
    return np.asarray(tint) if float(np.abs(tint - 1).max()) > SLIGHT else None


def _bounded(old: Pixels, new: Pixels) -> Pixels:
    """New pixels (h, w, 3) no darker than SHADE below the old ones, in luma."""
    weights = np.array(LUMA, np.float32)
    fall = (old @ weights - new @ weights) / np.iinfo(old.dtype).max
    far = fall > SHADE
    if not far.any():
        return new
    share = (SHADE / fall[far])[:, None]
    bounded = new.copy()
    bounded[far] = np.ceil(old[far] + (new[far] - old[far].astype(np.float32)) * share)
    return bounded
