"""Divide manga pages into panels that a model can color, and assemble the colored panels into pages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor

from colorize.coloring import inputs
from colorize.coloring.batch import FILM, Painted
from colorize.coloring.inputs import HintSource, Kind, ModelInput
from colorize.coloring.options import Job, Named, SampleOptions
from colorize.errors import ColorizeError
from colorize.images import finish, flat_regions, ink, kinds, page_masks, paper, shading
from colorize.images.hint_files import resize
from colorize.images.image import Picture, Pixels
from colorize.images.metadata import MARK
from colorize.images.page_masks import find_bubbles, find_captions, find_lettering
from colorize.images.panels import Panel, bands, find_panels
from colorize.images.paper import Sheet
from colorize.recipes.recipe import Recipe

SMALLEST = 400  # pixels of a page's longer side; smaller pictures are single drawings
PORTRAIT = 1.1  # height of a single page over its width, at least; wider ones are spreads, strips or drawings
SPREAD = 4  # panels that a spread without bubbles has, at least
FRAME = 0.025  # of a panel's shorter side; so near to its edge lies nothing but its frame
CONTEXT = 0.04  # of a panel's longer side that the model sees around it
MOSTLY = 0.5  # of the panels' area; a page with more in gray is gray
COLORED = 0.5  # of the panels' area; a page with more in color is in color
SHADE = 0.55  # of the range from black to white: how far the luma of line art may fall by its colors
LUMA = (0.2126, 0.7152, 0.0722)

Slices = tuple[slice, slice]


@dataclass(frozen=True)
class Part:
    """A panel to color: where its picture with surroundings is on the page, and where it goes.

    crop, box: rows and columns of the page. mask: (h, w), the pixels of the box that are colored. kind: of
    this panel. hinted: whether the user gave it a color hint. pockets: (h, w), between its frame and bubbles near it.
    """

    crop: Slices
    box: Slices
    mask: np.ndarray
    kind: Kind
    hinted: bool = False
    pockets: np.ndarray | None = None


@dataclass(frozen=True)
class Page:
    """A page and its panels in reading order.

    canvas: what colors go onto, the original but for ink that lay on nothing. clean: the canvas without letters, as
    models see it. panels: the number of all, also those left alone. hints: (1, 4, H, W) or None. sheet: the paper, None
    if it is white.
    """

    canvas: Picture
    clean: Picture
    panels: int
    parts: tuple[Part, ...]
    hints: Tensor | None
    notes: tuple[str, ...]
    sheet: Sheet | None = None


def divide(drawing: Named, job: Job, hints: HintSource | None, recipe: Recipe, options: SampleOptions) -> Page | None:
    """Return a drawing as a page, or None if it is to be colored as one picture.

    Raises ColorizeError as `inputs.model_input` does, and (wrong usage) where panels are asked for together with
    what works on one picture only.
    """
    picture = drawing.picture
    if not _is_wanted(picture, job, options):
        return None
    inputs.check_drawing(drawing, options)
    sheet, gray = _on_even_paper(picture)
    bubbles, banded = _found(gray)
    panels = [panel.lower(rows.start) for rows, own in banded for panel in own]
    if options.panels == "auto" and not _is_page(picture, len(panels), bool(bubbles.any())):
        return None
    captions = np.concatenate([find_captions(gray[rows]) for rows, _ in banded])
    kept = captions | np.concatenate([page_masks.keep_mask(gray[at], own, bubbles[at]) for at, own in banded])
    bare = kept & ~captions
    plain = paper.emptied(picture, captions, bare if bare.any() else ~captions)
    sheet = sheet and _sheet(picture, bare)
    white = sheet.whitened(plain) if sheet else plain
    found = [_detected(white, _box(panel), recipe, options) for panel in panels]
    kind, notes = _page_kind(drawing, panels, found, recipe, options)
    each = _each(drawing, job, panels, found, kind, recipe, options)
    canvas = ink.on_paper(picture) if "line" in each else picture
    clean = paper.emptied(plain if canvas is picture else canvas, bubbles, bubbles)
    clean = paper.without_letters(clean, find_lettering(gray, kept))
    if canvas.alpha is not None:
        kept |= canvas.alpha < canvas.peak  # where paper shines through, a color would be laid on twice
    hint_map, more = inputs.hint_map(drawing, hints, job.dots, kind == "line")
    if hint_map is not None:
        hint_map = resize(hint_map, picture.size)
    seen = page_masks.tones(gray)
    parts = tuple(
        _part(panel, seen, kept, own, hint_map, bubbles)
        for panel, what, own in zip(panels, found, each, strict=True)
        if (options.force or what in ("line", "gray")) and not page_masks.is_empty(seen, panel, kept)
    )
    if not parts:
        return None
    notes += (*more, *_notes(parts, hint_map, options))
    return Page(canvas, clean, len(panels), parts, hint_map, notes, sheet)


def _each(
    drawing: Named,
    job: Job,
    panels: Sequence[Panel],
    found: Sequence[kinds.Kind],
    kind: Kind,
    recipe: Recipe,
    options: SampleOptions,
) -> list[Kind]:
    """As what each panel is colored, whose page is of a kind."""
    each: list[Kind] = [
        inputs.resolve_kind(drawing.name, what, recipe, options)[0] if what in ("line", "gray") else kind
        for what in found
    ]
    if options.kind == "auto" and "hints" not in job.given:
        areas = sum(panel.area for panel, one in zip(panels, each, strict=True) if one == "gray")
        if areas > MOSTLY * sum(panel.area for panel in panels):
            each = ["gray"] * len(each)  # line art is left as white as the gray panels are
    return each


def _on_even_paper(picture: Picture) -> tuple[Sheet | None, np.ndarray]:
    """The paper of a picture, None if it is white, and the brightness of the picture on white paper, (H, W)."""
    sheet = paper.find(inputs.shrink(picture, 2 * shading.SIDE))
    seen = (sheet.whitened(picture) if sheet else picture).on_white()
    return sheet, np.ascontiguousarray(seen.pixels.min(2))  # the darkest channel: colored ink is dark, too


def _sheet(picture: Picture, bare: np.ndarray) -> Sheet | None:
    """The paper of a page, which is seen where it is bare, (H, W)."""
    small = inputs.shrink(picture, 2 * shading.SIDE)
    known = cv2.resize(np.where(bare, np.uint8(255), np.uint8(0)), small.size[::-1], interpolation=cv2.INTER_AREA)
    return paper.find(small, known == 255)


def _found(gray: np.ndarray) -> tuple[np.ndarray, list[tuple[slice, Sequence[Panel]]]]:
    """The bubbles of a page (H, W), and the panels of each band of a strip; other pages are one band."""
    bubbles, found = np.zeros(gray.shape, bool), bands(gray)
    least = 2 if len(found) == 1 else 1
    for rows in found:
        bubbles[rows] = find_bubbles(gray[rows])
    return bubbles, [(rows, find_panels(gray[rows], bubbles=bubbles[rows], least=least)) for rows in found]


def panel_inputs(
    page: Page, name: str, recipe: Recipe, options: SampleOptions, reference: Tensor | None
) -> Iterator[ModelInput]:
    """Fit every part of a page to the model, see `inputs.model_input`; it sees bubbles without letters."""
    for part in page.parts:
        flat = options.flat and part.kind == "line"
        own = replace(options, kind=part.kind, force=True, flat=flat)  # its kind has been checked
        hints = None if page.hints is None else page.hints[:, :, *part.crop].clone()
        seen = _cut(page.clean, part.crop)
        if hints is not None:
            hints[:, 3, ~torch.from_numpy(_inside(seen, part))] = -1  # a neighbor's, or in the gutter
            hints = hints if bool((hints[:, 3] > 0).any()) else None
        sheet = page.sheet.cut(part.crop, page.canvas.size) if page.sheet else None
        seen = sheet.whitened(seen) if sheet else seen
        if recipe.chooses and part.kind == "line":
            seen = _without_border(seen, part)
        fitted = inputs.model_input(Named(name, seen), recipe, own, reference, hints)
        original = _cut(page.canvas, part.crop)
        original = finish.negative(original) if fitted.inverted else original
        yield replace(fitted, original=original, notes=page.notes, sheet=sheet if part.kind == "gray" else None)


def _inside(seen: Picture, part: Part) -> np.ndarray:
    """What lies within the outline of a panel, bubbles included: (H, W) bool."""
    top, left = part.crop[0].start, part.crop[1].start
    inside = np.zeros(seen.size, np.uint8)
    rows, columns = part.box
    inside[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = part.mask
    outlines, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    whole = cv2.drawContours(np.zeros_like(inside), outlines, -1, 1, cv2.FILLED)
    return np.asarray(whole > 0)


def _without_border(seen: Picture, part: Part) -> Picture:
    """A panel without its border line, which is replaced by what lies within: lines go on to the picture's edge.

    To a model that chooses by regions, what the border encloses would be a figure. A figure that the border cuts off
    stays apart from its background.
    """
    edge = 2 * max(2, round(FRAME * min(part.mask.shape))) + 1
    inside = _inside(seen, part)
    core = cv2.erode(inside.astype(np.uint8), np.ones((edge, edge), np.uint8), borderValue=0) > 0
    left = inside.astype(np.uint8)
    left[
        tuple(slice(one.start - at.start, one.stop - at.start) for one, at in zip(part.box, part.crop, strict=True))
    ] &= ~part.mask
    free = core & (cv2.dilate(left, np.ones((5, 5), np.uint8)) == 0)  # or a bubble near the border would leave stripes
    if not free.any():
        return seen
    flat = seen.pixels.reshape(-1, seen.pixels.shape[-1])
    bare = flat[flat_regions.nearest_region(free)].reshape(seen.pixels.shape)
    return replace(seen, pixels=np.where(core[..., None], seen.pixels, bare))


def _is_wanted(picture: Picture, job: Job, options: SampleOptions) -> bool:
    """Whether to look for panels; refuses them together with what works on one picture only."""
    wanted = {"layers": options.layers, "regions": options.save_regions}
    hindered = [name for name, path in wanted.items() if path]
    if any(one is not None for one in (job.mask, job.reference_mask, job.background)):
        hindered.append("masks and backgrounds")
    if options.panels == "on" and hindered:
        hint = f"leave {hindered[0]} out, or color the page as one picture with --panels off"
        raise ColorizeError(f"{hindered[0]} work on single pictures, not on panels", hint, code=2)
    large = max(picture.size) >= SMALLEST
    return options.panels == "on" or (options.panels == "auto" and large and not hindered)


def _is_page(picture: Picture, panels: int, bubbles: bool) -> bool:
    """Whether what was found on a picture makes it a page; wide pictures need more to be one."""
    height, width = picture.size
    if height >= PORTRAIT * width:
        return panels > 1 or bubbles
    return panels >= (2 if bubbles else SPREAD)


def _page_kind(
    drawing: Named, panels: Sequence[Panel], found: Sequence[kinds.Kind], recipe: Recipe, options: SampleOptions
) -> tuple[Kind, tuple[str, ...]]:
    """The kind of a page, and notes. A page that is in color but for some panels is of their kind."""
    whole = _detected(drawing.picture, (slice(None), slice(None)), recipe, options)
    areas = np.array([panel.area for panel in panels])
    if whole == "color" and areas[[one == "color" for one in found]].sum() <= COLORED * areas.sum():
        whole = "gray" if "gray" in found else "line"
    kind, _, notes = inputs.resolve_kind(drawing.name, whole, recipe, options)
    return kind, notes


def _notes(parts: Sequence[Part], hint_map: Tensor | None, options: SampleOptions) -> tuple[str, ...]:
    """What a user should know of white paper, and of hints that lie where nothing is colored."""
    notes = []
    if options.kind == "auto" and any(part.kind == "gray" for part in parts):
        notes.append("gray panels keep their white; --kind line lets the model color it, too")
    if options.flat and any(part.kind == "gray" for part in parts):
        notes.append("gray panels are shaded and not flat; --kind line makes them flat, too")
    if hint_map is not None:
        free = np.zeros(hint_map.shape[-2:], np.uint8)
        for part in parts:
            free[part.box] |= part.mask
        count, marks = cv2.connectedComponents((hint_map[0, 3] > 0).numpy().astype(np.uint8))
        lost = sum(not free[marks == label].any() for label in range(1, count))
        if lost:
            hints = "1 hint lies" if lost == 1 else f"{lost} hints lie"
            notes.append(f"{hints} in bubbles, gutters or empty panels, where nothing is colored")
    return tuple(notes)


def _part(
    panel: Panel, seen: np.ndarray, kept: np.ndarray, kind: Kind, hint_map: Tensor | None, bubbles: np.ndarray
) -> Part:
    """A panel of a page (H, W) and as much around it as the model is to see."""
    size = seen.shape
    left, top, right, bottom = panel.box
    more = round(CONTEXT * max(right - left, bottom - top))
    rows = slice(max(0, top - more), min(size[0], bottom + more))
    columns = slice(max(0, left - more), min(size[1], right + more))
    box = _box(panel)
    inside = page_masks.panel_mask(panel)
    mask = inside & ~kept[box]
    marked = hint_map is not None and bool((hint_map[0, 3][box].numpy() > 0)[mask].any())
    pockets = None
    if kind == "line" and not marked and bubbles[box].any():
        pockets, closed = page_masks.pockets(seen[box], mask, bubbles[box], inside, max(size))
        mask &= ~closed
    return Part((rows, columns), box, mask, kind, marked, pockets)


def _box(panel: Panel) -> Slices:
    left, top, right, bottom = panel.box
    return slice(top, bottom), slice(left, right)


def _cut(picture: Picture, where: Slices) -> Picture:
    """A rectangle of a picture, on white."""
    alpha = None if picture.alpha is None else picture.alpha[where]
    return replace(picture, pixels=picture.pixels[where], alpha=alpha).on_white()


def _detected(picture: Picture, where: Slices, recipe: Recipe, options: SampleOptions) -> kinds.Kind:
    """What a rectangle of a picture is."""
    part = _cut(picture, where)
    return inputs.detect_kind(part, inputs.shrink(part, 2 * shading.SIDE).tensor(), recipe, options)


def assemble(page: Page, done: Sequence[Painted]) -> Painted:
    """Return a page in color, and how it was made, from its panels; `done` has one for each part."""
    first = done[0]
    meta = {**first.meta, "panels": page.panels}
    whole = merge(page, [one.picture for one in done])
    return replace(
        first,
        picture=replace(whole, text={**whole.text, MARK: json.dumps(meta, ensure_ascii=False)}),
        seconds=sum(one.seconds for one in done),
        calls=sum(one.calls for one in done),
        meta=meta,
        frames=film(page, [one.frames for one in done]),
    )


def merge(page: Page, colored: Sequence[Picture]) -> Picture:
    """Return the page with its panels in color: RGB of the original's depth, alpha, EXIF and texts.

    colored: a picture per part, of its crop. Everything outside of the panels is the original's, to the bit. The
    luma of line art falls by at most SHADE, except in panels with hints; gray ones keep their lightness.
    """
    canvas = page.canvas
    pixels = np.array(np.broadcast_to(canvas.pixels, (*canvas.size, 3)))
    for part, one in zip(page.parts, colored, strict=True):
        top, left = (box.start - crop.start for box, crop in zip(part.box, part.crop, strict=True))
        high, wide = part.mask.shape
        new, old = one.pixels[top : top + high, left : left + wide], pixels[part.box]
        if part.kind == "line" and not part.hinted:
            new = _limit_shade(old, new)
        if part.pockets is not None:
            new = _opened(old, new, part.pockets)
        old[part.mask] = new[part.mask]
    return replace(canvas, pixels=pixels, icc=None if canvas.gray else canvas.icc)


def film(page: Page, frames: Sequence[Sequence[Picture]]) -> tuple[Picture, ...]:
    """Return the films of the panels, `frames`, as one film of the page."""
    if not frames[0]:
        return ()
    small = inputs.shrink(page.canvas, FILM).eight_bit()
    scale = np.array(small.size) / page.canvas.size
    still = np.array(np.broadcast_to(small.pixels, (*small.size, 3)))
    pages = []
    for at in zip(*frames, strict=True):
        small_page = still.copy()
        for part, one in zip(page.parts, at, strict=True):
            _paste(small_page, part, one, scale)
        pages.append(Picture(small_page))
    return tuple(pages)


def _paste(small_page: Pixels, part: Part, one: Picture, scale: np.ndarray) -> None:
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
    small_page[rows, columns][mask] = pixels[mask]


def _opened(old: Pixels, new: Pixels, pockets: np.ndarray) -> Pixels:
    """New pixels (h, w, 3) whose pockets have the color of the paper that they open to.

    pockets: (h, w), for each pixel the flat number of the one whose color it takes, or -1.
    """
    there = pockets >= 0
    source = pockets[there]
    share = new.reshape(-1, 3)[source] / np.maximum(old.reshape(-1, 3)[source].astype(np.float32), 1)
    filled = new.copy()
    filled[there] = np.rint(np.minimum(old[there] * share, np.iinfo(new.dtype).max))
    return filled


def _limit_shade(old: Pixels, new: Pixels) -> Pixels:
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
