"""Divide manga pages into panels, and make of each a drawing that a model can color.

Knows nothing of noise, steps or devices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from torch import Tensor

from colorize.coloring import inputs
from colorize.coloring.color_hints import hinted
from colorize.coloring.inputs import Frame, Kind
from colorize.coloring.options import Job, Named, Options
from colorize.errors import ColorizeError
from colorize.images import finish, kinds
from colorize.images.hint_files import resize
from colorize.images.image import Picture
from colorize.images.manga_pages import paper
from colorize.images.manga_pages.bubbles import find_bubbles
from colorize.images.manga_pages.panels import Panel, find_panels
from colorize.recipes.recipe import Recipe

SMALLEST = 400  # pixels of a page's longer side; smaller pictures are single drawings
PORTRAIT = 1.1  # height of a single page over its width, at least; wider ones are spreads, strips or drawings
SPREAD = 4  # panels that a spread without bubbles has, at least
FRAME = 0.025  # of a panel's shorter side; so near to its edge lies nothing but its frame
CONTEXT = 0.04  # of a panel's longer side that the model sees around it
MOSTLY = 0.5  # of the panels' area; a page with more in gray is gray
COLORED = 0.5  # of the panels' area; a page with more in color is in color

Slices = tuple[slice, slice]


@dataclass(frozen=True)
class Part:
    """A panel to color: where its picture with surroundings is on the page, and where it goes.

    crop, box: rows and columns of the page. mask: (h, w), the pixels of the box that are colored. kind: of
    this panel. hinted: whether the user gave it a color hint.
    """

    crop: Slices
    box: Slices
    mask: np.ndarray
    kind: Kind
    hinted: bool = False


@dataclass(frozen=True)
class Page:
    """A page, what it is, and its panels in reading order.

    sheet: what colors go onto, the original but for ink that lay on nothing. clean: the sheet as models
    see it. panels: all there are, also those left alone. hints: (1, 4, H, W) or None.
    """

    original: Picture
    sheet: Picture
    clean: Picture
    kind: Kind
    panels: int
    parts: tuple[Part, ...]
    hints: Tensor | None
    notes: tuple[str, ...]


def divide(
    drawing: Named, job: Job, hints: Picture | str | Tensor | None, recipe: Recipe, options: Options
) -> Page | None:
    """Return a drawing as a page, or None if it is to be colored as one picture.

    Raises ColorizeError as `framing.frame` does, and (wrong usage) where panels are asked for beside
    what works on one picture only.
    """
    picture = drawing.picture
    if not _wanted(picture, job, options):
        return None
    inputs.check_drawing(drawing, options)
    gray = _gray(picture)
    bubbles = find_bubbles(gray)
    panels = find_panels(gray, bubbles=bubbles)
    if options.panels == "auto" and not _divided(picture, len(panels), bool(bubbles.any())):
        return None
    found = [_looked(picture, _box(panel), recipe, options) for panel in panels]
    kind, notes = _kind(drawing, panels, found, recipe, options)
    each = [_own(drawing.name, what, kind, recipe, options) for what in found]
    if options.kind == "auto" and "hints" not in job.given and _mostly_gray(panels, each):
        each = ["gray"] * len(each)
    sheet = finish.on_paper(picture) if "line" in each else picture
    kept = paper.keep_mask(gray, panels, bubbles)
    if sheet.alpha is not None:
        kept |= sheet.alpha < sheet.peak  # where paper shines through, a color would be laid on twice
    given, more = hinted(drawing, hints, job.dots)
    if given is not None:
        given = resize(given, picture.size)
    parts = tuple(
        _part(panel, gray.shape, kept, own, given)
        for panel, what, own in zip(panels, found, each, strict=True)
        if (options.force or what in ("line", "gray")) and not paper.is_empty(gray, panel, kept)
    )
    if not parts:
        return None
    clean = _without_letters(sheet, gray, bubbles)
    notes += (*more, *_told(parts, given, options))
    return Page(picture, sheet, clean, kind, len(panels), parts, given, notes)


def frames(page: Page, name: str, recipe: Recipe, options: Options, reference: Tensor | None) -> Iterator[Frame]:
    """Fit every part of a page to the model, see `framing.frame`; the model sees bubbles without letters."""
    for part in page.parts:
        flat = options.flat and part.kind == "line"
        own = replace(options, kind=part.kind, force=True, flat=flat)  # what it is has been seen to
        hints = None if page.hints is None else page.hints[:, :, *part.crop]
        if hints is not None and not bool((hints[:, 3] > 0).any()):
            hints = None
        seen = _cut(page.clean, part.crop)
        if recipe.chooses and part.kind == "line":
            seen = _unframed(seen, part)
        drawing = Named(name, seen)
        fitted = inputs.frame(drawing, recipe, own, reference, hints)
        yield replace(fitted, original=_cut(page.sheet, part.crop), notes=page.notes)


def _unframed(seen: Picture, part: Part) -> Picture:
    """A panel without its frame: to a model that chooses by regions, what reaches the border is paper."""
    top, left = part.crop[0].start, part.crop[1].start
    inside = np.zeros(seen.size, np.uint8)
    rows, columns = part.box
    inside[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = part.mask
    outlines, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    whole = cv2.drawContours(np.zeros_like(inside), outlines, -1, 1, cv2.FILLED)
    edge = 2 * max(2, round(FRAME * min(part.mask.shape))) + 1
    core = cv2.erode(whole, np.ones((edge, edge), np.uint8), borderValue=0)
    pixels = seen.pixels.copy()
    pixels[core == 0] = np.quantile(pixels[core > 0], 0.9) if core.any() else seen.peak
    return replace(seen, pixels=pixels)


def _wanted(picture: Picture, job: Job, options: Options) -> bool:
    """Whether panels are looked for; refuses them beside what works on one picture only."""
    hindrances = {
        "layers": options.layers,
        "masks and backgrounds": any(one is not None for one in (job.mask, job.reference_mask, job.background)),
    }
    hindered = [name for name, there in hindrances.items() if there]
    if options.panels == "on" and hindered:
        raise ColorizeError(
            f"panels are colored one by one, but {hindered[0]} are of one picture",
            f"leave {hindered[0]} out, or color the page as one with --panels off",
            code=2,
        )
    large = max(picture.size) >= SMALLEST
    return options.panels == "on" or (options.panels == "auto" and large and not hindered)


def _divided(picture: Picture, panels: int, bubbles: bool) -> bool:
    """Whether what was found on a picture makes it a page; wide pictures need more to be one."""
    height, width = picture.size
    if height >= PORTRAIT * width:
        return panels > 1 or bubbles
    return panels >= (2 if bubbles else SPREAD)


def _kind(
    drawing: Named, panels: Sequence[Panel], found: Sequence[kinds.Kind], recipe: Recipe, options: Options
) -> tuple[Kind, tuple[str, ...]]:
    """What a page is. A page that is in color but for some panels is what those are."""
    whole = _looked(drawing.picture, (slice(None), slice(None)), recipe, options)
    areas = np.array([panel.area for panel in panels])
    if whole == "color" and areas[[one == "color" for one in found]].sum() <= COLORED * areas.sum():
        whole = "gray" if "gray" in found else "line"
    kind, _, notes = inputs.settled(drawing.name, whole, recipe, options)
    return kind, notes


def _own(name: str, found: kinds.Kind, page: Kind, recipe: Recipe, options: Options) -> Kind:
    """What a panel is; one that is neither line art nor gray, and colored by force, is what its page is."""
    if found not in ("line", "gray"):
        return page
    return inputs.settled(name, found, recipe, options)[0]


def _mostly_gray(panels: Sequence[Panel], each: Sequence[Kind]) -> bool:
    """Whether gray panels cover most of a page; line art among them then is left as white as they are."""
    gray = sum(panel.area for panel, kind in zip(panels, each, strict=True) if kind == "gray")
    return gray > MOSTLY * sum(panel.area for panel in panels)


def _told(parts: Sequence[Part], given: Tensor | None, options: Options) -> tuple[str, ...]:
    """What a user should know of white paper, and of hints that lie where nothing is colored."""
    notes = []
    if options.kind == "auto" and any(part.kind == "gray" for part in parts):
        notes.append("gray panels keep their white; --kind line lets the model color it, too")
    if options.flat and any(part.kind == "gray" for part in parts):
        notes.append("gray panels are shaded and not flat; --kind line makes them flat, too")
    if given is not None:
        free = np.zeros(given.shape[-2:], np.uint8)
        for part in parts:
            free[part.box] |= part.mask
        count, marks = cv2.connectedComponents((given[0, 3] > 0).numpy().astype(np.uint8))
        lost = sum(not free[marks == label].any() for label in range(1, count))
        if lost:
            hints = "1 hint lies" if lost == 1 else f"{lost} hints lie"
            notes.append(f"{hints} in bubbles, gutters or empty panels, where nothing is colored")
    return tuple(notes)


def _part(panel: Panel, size: tuple[int, ...], kept: np.ndarray, kind: Kind, given: Tensor | None) -> Part:
    """A panel and as much around it as the model is to see."""
    left, top, right, bottom = panel.box
    more = round(CONTEXT * max(right - left, bottom - top))
    rows = slice(max(0, top - more), min(size[0], bottom + more))
    columns = slice(max(0, left - more), min(size[1], right + more))
    box = _box(panel)
    mask = paper.panel_mask(panel) & ~kept[box]
    marked = given is not None and bool((given[0, 3][box].numpy() > 0)[mask].any())
    return Part((rows, columns), box, mask, kind, marked)


def _box(panel: Panel) -> Slices:
    left, top, right, bottom = panel.box
    return slice(top, bottom), slice(left, right)


def _cut(picture: Picture, where: Slices) -> Picture:
    """A rectangle of a picture, on white."""
    alpha = None if picture.alpha is None else picture.alpha[where]
    return replace(picture, pixels=picture.pixels[where], alpha=alpha).on_white()


def _looked(picture: Picture, where: Slices, recipe: Recipe, options: Options) -> kinds.Kind:
    """What a rectangle of a picture is."""
    part = _cut(picture, where)
    return inputs.looked(part, inputs.shrunk(part, 2 * kinds.SIDE).tensor(), recipe, options)


def _gray(picture: Picture) -> np.ndarray:
    """The page on white, (H, W): its darkest channel, in which colored ink is dark, too."""
    return np.ascontiguousarray(picture.on_white().pixels.min(2))


def _without_letters(sheet: Picture, gray: np.ndarray, bubbles: np.ndarray) -> Picture:
    """The page as the model is to see it: nothing but paper in its bubbles."""
    if not bubbles.any():
        return sheet
    pixels = sheet.pixels.copy()
    pixels[bubbles] = np.quantile(gray[bubbles], 0.9).astype(pixels.dtype)
    return replace(sheet, pixels=pixels)
