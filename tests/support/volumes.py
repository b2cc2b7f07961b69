"""Made-up manga pages of which everything is known: panels, gutters, bubbles, lettering. Needs no files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import inked
import numpy as np
from numpy.random import Generator

LAYOUTS = ("grid", "slanted", "borderless", "bleed", "black", "splash")
USUAL = ("grid", "grid", "slanted", "grid", "bleed", "grid", "borderless", "slanted", "black", "splash")
GUTTER, MARGIN = 0.016, 0.045  # shares of the page's height
PEN = 600  # a pen line is this part of the page's height: 3 pixels of 2000


@dataclass(frozen=True)
class Made:
    """A page and the truth about it.

    gray: (H, W) uint8. panels: outlines (4, 2) of x and y with their frames, in reading order from right to left;
    none on a splash page. gutters, bubbles, letters: (H, W) bool; gutters are all that is outside of panels and
    bubbles, and bubbles are the white inside of their outlines with the lettering. color: (H, W, 3) uint8 of a page
    in color, else None.
    """

    layout: str
    gray: np.ndarray
    panels: tuple[np.ndarray, ...]
    gutters: np.ndarray
    bubbles: np.ndarray
    letters: np.ndarray
    color: np.ndarray | None = None

    @property
    def colored(self) -> bool:
        return self.color is not None


def page(
    number: int,
    seed: int = 0,
    size: tuple[int, int] = (2000, 1400),
    layout: str = "",
    colored: bool = False,
    contents: Sequence[np.ndarray] = (),
) -> Made:
    """One page; the same for the same number, seed and size.

    layout: one of LAYOUTS; without it the number chooses. colored: all but gutters, bubbles and ink is in color.
    contents: pictures (h, w) or (h, w, 3) uint8 that fill the panels instead of made-up scenes.
    """
    rng = np.random.default_rng([seed, number])
    layout = layout or USUAL[number % len(USUAL)]
    unit = max(1, round(size[0] / PEN))
    sheet = np.full((*size, 3), 0 if layout == "black" else 255, np.uint8)
    panels = _panels(layout, size, rng)
    inside = np.zeros(size, bool)
    whole = [np.array([(0, 0), (size[1], 0), (size[1], size[0]), (0, size[0])], float)]
    for at, panel in enumerate(panels or whole):
        given = contents[at % len(contents)] if contents else None
        framed = bool(panels) and not (layout == "borderless" and at % 3 == 0)
        inside |= _drawn(sheet, panel, rng, unit, (colored, framed), given)
    bubbles, letters = _bubbles(sheet, panels or whole, rng, unit)
    truth = tuple(panels), ~inside & ~bubbles, bubbles, letters
    return Made(layout, _gray(sheet), *truth, sheet if colored else None)


def volume(pages: int = 40, seed: int = 0, size: tuple[int, int] = (2000, 1400)) -> Iterator[Made]:
    """The pages of a volume: the first, its cover, and one in the middle are in color."""
    for number in range(pages):
        cover, inset = number == 0, number == pages // 2
        layout = "splash" if cover else "grid" if inset else ""
        yield page(number, seed, size, layout, colored=cover or inset)


def worn(gray: np.ndarray, seed: int = 0, paper: int = 236, quality: int = 60) -> np.ndarray:
    """The page (H, W) as a scan: duller paper, lighter ink, a shadow at one side, grain, JPEG."""
    rng = np.random.default_rng(seed)
    shadow = np.linspace(0.97, 1, gray.shape[1])[None]
    dull = (18 + gray / 255 * (paper - 18)) * shadow + rng.normal(0, 3, gray.shape)
    packed = cv2.imencode(".jpg", dull.clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE))


def _gray(sheet: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.cvtColor(sheet, cv2.COLOR_RGB2GRAY))


def _panels(layout: str, size: tuple[int, int], rng: Generator) -> list[np.ndarray]:
    """Outlines of the panels in reading order, not clipped to the page."""
    if layout == "splash":
        return []
    height, width = size
    margin = -MARGIN * height / 3 if layout == "bleed" else MARGIN * height
    low, high = np.full(2, margin), np.array([width, height]) - margin
    sheet = np.array([low, (high[0], low[1]), high, (low[0], high[1])], float)
    slant = 0.13 if layout == "slanted" else 0.0
    return list(_cut(sheet, int(rng.integers(2, 8)), GUTTER * height, slant, rng))


def _cut(quad: np.ndarray, count: int, gutter: float, slant: float, rng: Generator) -> Iterator[np.ndarray]:
    """Cut an outline (4, 2), from its upper left corner with the clock, into `count` panels in reading order."""
    if count == 1:
        yield quad
        return
    first = count // 2 if count % 2 == 0 else int(count // 2 + rng.integers(2))
    wide = np.linalg.norm(quad[1] - quad[0]) / np.linalg.norm(quad[3] - quad[0])
    share = first / count + rng.uniform(-0.08, 0.08)
    lean = slant * rng.choice([-1, 1]) * rng.uniform(0.4, 1)
    parts = _halves(quad, share, lean, gutter, upright=wide < 0.9)
    yield from _cut(parts[0], first, gutter, slant, rng)
    yield from _cut(parts[1], count - first, gutter, slant, rng)


def _halves(quad: np.ndarray, share: float, lean: float, gutter: float, upright: bool) -> tuple[np.ndarray, np.ndarray]:
    """Upper and lower, or right and left part of an outline, a gutter apart."""
    a, b, c, d = quad if upright else np.roll(quad, -1, 0)  # the cut joins the sides a-d and b-c

    def along(begin: np.ndarray, end: np.ndarray, at: float, off: float) -> np.ndarray:
        return begin + (end - begin) * (at + off * gutter / 2 / np.linalg.norm(end - begin))

    near = along(a, d, share + lean / 2, -1), along(b, c, share - lean / 2, -1)
    far = along(a, d, share + lean / 2, 1), along(b, c, share - lean / 2, 1)
    first, second = np.array([a, b, near[1], near[0]]), np.array([far[0], far[1], c, d])
    return (first, second) if upright else (np.roll(first, 1, 0), np.roll(second, 1, 0))


def _drawn(
    sheet: np.ndarray, panel: np.ndarray, rng: Generator, unit: int, how: tuple[bool, bool], given: np.ndarray | None
) -> np.ndarray:
    """Draw a panel; returns where it is, (H, W) bool. how: in color, and with a frame."""
    colored, framed = how
    low, high = np.floor(panel.min(0)).astype(int), np.ceil(panel.max(0)).astype(int)
    wide, tall = (high - low).tolist()
    content = inked.scene((tall, wide), rng, unit, colored) if given is None else _filling(given, (tall, wide))
    mask = np.zeros(sheet.shape[:2], np.uint8)
    outline = [np.rint(panel).astype(np.int32)]
    cv2.fillPoly(mask, outline, 1)
    at = np.maximum(low, 0)
    end = np.minimum(high, sheet.shape[1::-1])
    where = slice(at[1], end[1]), slice(at[0], end[0])
    part = content[at[1] - low[1] : end[1] - low[1], at[0] - low[0] : end[0] - low[0]]
    sheet[where] = np.where(mask[where][..., None] > 0, part, sheet[where])
    if framed:
        cv2.polylines(sheet, outline, True, inked.BLACK, round(unit * 1.6), cv2.LINE_AA)
        cv2.polylines(mask, outline, True, 1, round(unit * 1.6) + 1)
    return mask > 0


def _filling(given: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The middle of a picture scaled to fill a size, (H, W, 3)."""
    scale = max(size[0] / given.shape[0], size[1] / given.shape[1])
    new = [max(side, round(old * scale)) for side, old in zip(size, given.shape, strict=False)]
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    large = np.atleast_3d(cv2.resize(given, new[::-1], interpolation=how))
    top, left = (new[0] - size[0]) // 2, (new[1] - size[1]) // 2
    return np.broadcast_to(large[top : top + size[0], left : left + size[1]], (*size, 3))


def _bubbles(
    sheet: np.ndarray, panels: Sequence[np.ndarray], rng: Generator, unit: int
) -> tuple[np.ndarray, np.ndarray]:
    """Put up to two bubbles on every panel; returns where they and their letters are, (H, W) bool."""
    bubbles, letters = (np.zeros(sheet.shape[:2], bool) for _ in range(2))
    extent = np.array(sheet.shape[1::-1])
    for panel in panels:
        for _ in range(rng.integers(0, 3)):
            room = np.minimum(panel.max(0), extent) - np.maximum(panel.min(0), 0)
            half = np.minimum(room * rng.uniform(0.14, 0.22, 2), 44 * unit * np.ones(2))
            half = np.maximum(half, np.array([20, 18]) * unit)
            reach = room / 2 - half * 1.1 * (rng.random() > 0.25)  # a quarter may cross the frame
            center = panel.mean(0) + rng.choice([-0.9, 0.9], 2) * np.maximum(reach, 0)
            center = np.clip(center, half * 1.7, extent - half * 1.7)
            outline = inked.bubble_shape(center, half, rng, bool(rng.random() < 0.7))
            _bubble(sheet, outline, (center, half), rng, unit, (bubbles, letters))
    return bubbles, letters


def _bubble(
    sheet: np.ndarray,
    outline: np.ndarray,
    place: tuple[np.ndarray, np.ndarray],
    rng: Generator,
    unit: int,
    found: tuple[np.ndarray, np.ndarray],
) -> None:
    """Draw one bubble unless it would touch another one, and add it to the masks."""
    bubbles, letters = found
    area, border = np.zeros((2, *sheet.shape[:2]), np.uint8)
    outline = np.rint(outline).astype(np.int32)
    cv2.fillPoly(area, [outline], 1)
    cv2.polylines(border, [outline], True, 1, unit + 1)
    if (cv2.dilate(area, np.ones((5 * unit, 5 * unit))) > 0)[bubbles].any():
        return
    sheet[area > 0] = 255
    cv2.polylines(sheet, [outline], True, inked.BLACK, unit, cv2.LINE_AA)
    center, half = place
    low, high = np.rint(center - half * 0.62).astype(int), np.rint(center + half * 0.62).astype(int)
    ink = inked.lettering((high[1] - low[1], high[0] - low[0]), rng, unit, bool(rng.random() < 0.5))
    where = slice(low[1], high[1]), slice(low[0], high[0])
    sheet[where] = np.minimum(sheet[where], 255 - ink[..., None])
    bubbles |= (area > 0) & (border == 0)
    letters[where] |= ink > 0
