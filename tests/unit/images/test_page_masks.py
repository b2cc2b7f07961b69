"""Captions, open lettering, thin outlines of bubbles, and what lies between bubbles and frames."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from colorize.images import page_masks
from colorize.images.panels import find_panels

SIZE = (1280, 900)
FRAME = (40, 40, 860, 1240)  # left, top, right, bottom


def page(tone: int = 255) -> np.ndarray:
    """One panel of a tone on white."""
    gray = np.full(SIZE, 255, np.uint8)
    left, top, right, bottom = FRAME
    cv2.rectangle(gray, (left, top), (right, bottom), tone, cv2.FILLED)
    cv2.rectangle(gray, (left, top), (right, bottom), 0, 5)
    return gray


def lettered(gray: np.ndarray, x: int, y: int, words: str, size: int = 26) -> None:
    """Write centered at (x, y)."""
    picture = Image.fromarray(gray)
    ImageDraw.Draw(picture).multiline_text((x, y), words, 0, ImageFont.load_default(size), "mm", align="center")
    gray[:] = np.asarray(picture)


def bubble(gray: np.ndarray, x: int, y: int, width: int = 2) -> None:
    cv2.ellipse(gray, (x, y), (110, 75), 0, 0, 360, 255, cv2.FILLED)
    cv2.ellipse(gray, (x, y), (110, 75), 0, 0, 360, 0, width)
    lettered(gray, x, y, "HELLO\nTHERE")


@pytest.mark.parametrize("grain", [0, 4])
def test_tinted_captions_are_found_with_their_letters_and_nothing_else_is(grain: int) -> None:
    gray = page()
    cv2.rectangle(gray, (60, 1120), (420, 1220), 210, cv2.FILLED)
    cv2.rectangle(gray, (60, 1120), (420, 1220), 0, 2)
    lettered(gray, 240, 1170, "MEANWHILE\nLATER ON")
    cv2.rectangle(gray, (500, 600), (800, 900), 210, cv2.FILLED)  # a wall
    noise = np.random.default_rng(0).normal(0, grain, SIZE) if grain else 0
    found = page_masks.find_captions(np.clip(gray + noise, 0, 255).astype(np.uint8))
    assert found[1126:1214, 66:414].mean() > 0.97
    assert found.sum() < 1.02 * 100 * 360


def test_open_lettering_is_found_with_what_it_encloses_and_eyes_are_not() -> None:
    gray = page()
    lettered(gray, 300, 300, "BOOM", 60)
    for x in (300, 360):
        cv2.circle(gray, (x, 600), 14, 0, cv2.FILLED)
    found = page_masks.find_lettering(gray, np.zeros(SIZE, bool))
    assert (found >= (gray < 100))[250:350, 190:410].all()
    assert not found[400:].any()
    rows, columns = (np.flatnonzero(found.any(axis)) for axis in (1, 0))
    assert 255 < rows[0] <= rows[-1] < 345
    middle = found[290:310, columns[0] : columns[-1]]
    assert middle.mean() > 0.85  # what the letters enclose is in it, what lies between them is not


@pytest.mark.parametrize("size", [(1280, 900), (1700, 1200)])
def test_what_stays_around_a_bubble_ends_at_its_outline_however_thin(size: tuple[int, int]) -> None:
    gray = cv2.resize(page(), size[::-1], interpolation=cv2.INTER_AREA)
    scale = size[0] / 1280
    x, y, *axes = (int(value * scale) for value in (400, 500, 110, 75))
    cv2.ellipse(gray, (x, y), axes, 0, 0, 360, 0, 1)
    lettered(gray, x, y, "HELLO\nTHERE", int(26 * scale))
    kept = page_masks.keep_mask(gray, find_panels(gray), page_masks.find_bubbles(gray))
    inside = np.zeros(size, np.uint8)
    cv2.ellipse(inside, (x, y), [axis + 2 for axis in axes], 0, 0, 360, 1, cv2.FILLED)
    near = slice(size[0] // 4, size[0] // 2), slice(size[1] // 4, 2 * size[1] // 3)
    assert (kept & (inside > 0))[near].sum() > 0.95 * inside.sum()
    assert not (kept & (inside == 0) & (gray > 200))[near].any()


def test_pockets_take_the_paper_that_they_open_to_or_stay_if_they_are_closed() -> None:
    gray = page()
    bubble(gray, 400, 125)  # 7 pixels below the frame: open to both sides
    cv2.rectangle(gray, (600, 40), (720, 52), 0, 2)  # closed off
    bubbles = page_masks.find_bubbles(gray)
    inside = np.zeros(SIZE, bool)
    inside[43:1238, 43:858] = True
    cv2.rectangle(taken := bubbles.astype(np.uint8), (600, 54), (720, 70), 1, cv2.FILLED)
    source, closed = page_masks.pockets(page_masks.tones(gray), inside & ~(taken > 0), taken > 0, inside, 1280)
    assert source is not None
    assert source[46, 400] >= 0
    at = np.unravel_index(source[46, 400], SIZE)
    assert gray[at] == 255
    assert not page_masks.pockets(page_masks.tones(gray), inside, np.zeros(SIZE, bool), inside, 1280)[1].any()
    assert closed[47, 660]
    assert not closed[600:].any()
