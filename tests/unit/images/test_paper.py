"""The paper of scans: known by the lines on it, white while colors are chosen, and its own again below them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from colorize.images import paper
from colorize.images.image import Picture

YELLOW = (240, 225, 190)


def figure() -> np.ndarray:
    """A head over a body, black lines on white: (480, 480) uint8."""
    page = np.full((480, 480), 255, np.uint8)
    cv2.circle(page, (240, 160), 80, 0, 4, cv2.LINE_AA)
    cv2.rectangle(page, (160, 240), (320, 430), 0, 4, cv2.LINE_AA)
    return page


def scan(tone: np.ndarray | None = None, color: tuple[int, ...] = YELLOW, shade: float = 0.3) -> Picture:
    """A drawing on paper of a color, darker to the right."""
    drawing = figure() if tone is None else np.minimum(figure(), tone)
    light = drawing[..., None] / 255 * np.array(color) * (1 - shade * np.linspace(0, 1, 480))[None, :, None]
    return Picture(np.rint(light).astype(np.uint8))


def test_a_shaded_yellow_scan_is_as_on_white_paper() -> None:
    tone = np.full((480, 480), 255, np.uint8)
    tone[250:430, 170:310] = 128
    sheet = paper.find(scan(tone))
    assert sheet is not None
    white = sheet.whitened(scan(tone)).pixels.astype(int)
    assert np.abs(white[10:60] - 255).max() <= 6
    assert np.abs(white[300:400, 200:280] - 128).max() <= 6


def test_colors_lie_on_the_paper_of_the_scan_and_what_is_lighter_stays() -> None:
    drawn = scan().pixels.copy()
    drawn[20:40, 20:40] = 255  # white chalk
    drawn = Picture(drawn)
    sheet = paper.find(drawn)
    assert sheet is not None
    made = sheet.under(sheet.whitened(drawn), drawn).pixels.astype(int)
    assert np.abs(made - drawn.pixels).max() <= 2
    red = np.full((480, 480, 3), (255, 0, 0), np.uint8)
    assert np.abs(sheet.under(Picture(red), drawn).pixels[200, 5] - np.array((240, 0, 0))).max() <= 1


def test_white_paper_and_skies_without_lines_are_left_alone() -> None:
    assert paper.find(scan(color=(255, 255, 255), shade=0)) is None
    sky = np.tile(np.linspace(230, 170, 480)[:, None, None], (1, 480, 3)).astype(np.uint8)
    sky[300:] = 60
    assert paper.find(Picture(sky)) is None


def test_paper_that_is_known_needs_no_lines() -> None:
    page = np.full((300, 300, 3), (220, 210, 180), np.uint8)
    page[20:280, 20:280] = 90
    known = np.ones((300, 300), bool)
    known[20:280, 20:280] = False
    sheet = paper.find(Picture(page), known)
    assert sheet is not None
    assert np.abs(sheet.level * 255 - (220, 210, 180)).max() <= 3


@pytest.mark.parametrize("where", [(slice(0, 240), slice(120, 480)), (slice(100, 300), slice(0, 60))])
def test_a_part_of_a_sheet_is_that_of_the_part(where: tuple[slice, slice]) -> None:
    whole = paper.find(scan())
    assert whole is not None
    part = Picture(scan().pixels[where])
    found = whole.cut(where, (480, 480)).whitened(part).pixels.astype(int)
    assert np.abs(found - whole.whitened(scan()).pixels[where]).max() <= 4
    assert cv2.mean(found.astype(np.float32))[0] > 240
