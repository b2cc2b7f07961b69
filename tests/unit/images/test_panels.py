"""Panels and bubbles of made-up pages are found where they are, and nothing is found in single drawings."""

from __future__ import annotations

from dataclasses import replace

import cv2
import inked
import numpy as np
import pytest
import volumes

from colorize.images.page_masks import find_bubbles, keep_mask
from colorize.images.panels import Panel, find_panels

SMALL = (1000, 700)


def filled(polygon: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros(size, np.uint8)
    cv2.fillPoly(mask, [np.rint(polygon).astype(np.int32)], 1)
    return mask > 0


def overlap(made: volumes.Made, found: tuple[Panel, ...]) -> float:
    """Mean over the panels of intersection over union with the best of those found."""
    masks = [filled(panel.polygon, made.gray.shape) for panel in found]
    scores = []
    for panel in made.panels:
        true = filled(panel, made.gray.shape)
        scores.append(max((true & mask).sum() / (true | mask).sum() for mask in masks))
    return float(np.mean(scores))


@pytest.mark.parametrize(
    ("layout", "least"), [("grid", 0.95), ("slanted", 0.85), ("bleed", 0.88), ("black", 0.98), ("borderless", 0.85)]
)
def test_panels_are_found(layout: str, least: float) -> None:
    made = [volumes.page(number, 1, SMALL, layout) for number in range(10, 13)]
    scores = [overlap(one, find_panels(one.gray)) for one in made]
    assert np.mean(scores) >= least


@pytest.mark.parametrize("edges", [(12, 10, 18, 5), (0, 0, 20, 0), (25, 0, 0, 0)])
@pytest.mark.parametrize("layout", ["grid", "slanted", "black"])
def test_black_edges_of_a_scanner_are_no_black_gutters(layout: str, edges: tuple[int, int, int, int]) -> None:
    top, bottom, left, right = edges
    made = volumes.page(10, 1, SMALL, layout)
    gray = np.pad(made.gray, ((top, bottom), (left, right)), constant_values=12)
    moved = tuple(panel + np.array((left, top)) for panel in made.panels)
    found = find_panels(gray)
    assert len(found) == len(moved)
    assert overlap(replace(made, gray=gray, panels=moved), found) > 0.9


def test_a_double_spread_is_read_page_by_page() -> None:
    right, left = (volumes.page(number, 1, SMALL, "grid") for number in (10, 11))
    gray = np.hstack((left.gray, right.gray))
    panels = (*(panel + np.array((SMALL[1], 0)) for panel in right.panels), *left.panels)
    found = find_panels(gray)
    assert len(found) == len(panels)
    assert overlap(replace(right, gray=gray, panels=panels), found) > 0.95
    sides = [panel.box[0] >= SMALL[1] - 5 for panel in found]
    assert sides == sorted(sides, reverse=True)


def test_panels_are_found_on_worn_scans_of_any_depth_and_size() -> None:
    made = volumes.page(10, 1, (1001, 703), "grid")
    dull = volumes.worn(made.gray)
    for gray in (dull, dull.astype(np.uint16) * 257, dull / 255):
        found = find_panels(gray)
        assert len(found) == len(made.panels)
        assert overlap(made, found) > 0.93


@pytest.mark.parametrize("number", range(3))
def test_panels_are_read_from_the_right_or_from_the_left(number: int) -> None:
    made = volumes.page(10 + number, 1, SMALL, "grid")
    middles = np.array([panel.mean(0) for panel in made.panels])
    found = [panel.polygon.mean(0) for panel in find_panels(made.gray)]
    nearest = [int(np.linalg.norm(middles - one, axis=1).argmin()) for one in found]
    assert nearest == sorted(nearest)
    mirrored = find_panels(np.ascontiguousarray(made.gray[:, ::-1]), order="left")
    assert [panel.box[1] for panel in mirrored] == pytest.approx(
        [panel.box[1] for panel in find_panels(made.gray)], abs=4
    )


def test_four_panels_above_each_other_are_read_column_by_column() -> None:
    gray = np.full((1000, 700), 255, np.uint8)
    for left in (60, 370):
        for top in range(40, 960, 230):
            cv2.rectangle(gray, (left, top), (left + 270, top + 216), 0, 3)
            cv2.circle(gray, (left + 130, top + 100), 50, 90, cv2.FILLED)
    found = find_panels(gray)
    assert [panel.box[0] > 350 for panel in found] == [True] * 4 + [False] * 4


def test_a_splash_page_is_one_panel() -> None:
    for number in range(3):
        made = volumes.page(number, 0, SMALL, "splash")
        (panel,) = find_panels(made.gray)
        assert panel.box == (0, 0, 700, 1000)


@pytest.mark.parametrize("seed", range(4))
def test_a_single_drawing_is_never_split(seed: int) -> None:
    drawing = inked.scene((640, 480), np.random.default_rng(seed), 2, False)[..., 0]
    assert len(find_panels(drawing)) == 1
    framed = np.pad(np.pad(drawing, 3), 40, constant_values=255)
    assert len(find_panels(framed)) == 1


@pytest.mark.parametrize("shade", [0, 128, 255])
@pytest.mark.parametrize("size", [(1, 1), (40, 900), (900, 700)])
def test_an_empty_sheet_is_one_panel_without_bubbles(shade: int, size: tuple[int, int]) -> None:
    gray = np.full(size, shade, np.uint8)
    assert len(find_panels(gray)) == 1
    assert not find_bubbles(gray).any()


@pytest.mark.parametrize("worn", [False, True])
def test_bubbles_are_found_with_their_letters_and_little_else(worn: bool) -> None:
    right = found_ = true = 0
    for made in volumes.volume(6, 3, SMALL):
        found = find_bubbles(volumes.worn(made.gray) if worn else made.gray)
        right += (found & made.bubbles).sum()
        found_, true = found_ + found.sum(), true + made.bubbles.sum()
    assert right / found_ > 0.93
    assert right / true > 0.75


def test_tones_are_no_bubbles() -> None:
    page = np.full((1000, 700), 255, np.uint8)
    for x in range(206, 400, 12):
        for y in range(206, 400, 12):
            cv2.circle(page, (x, y), 3, 0, cv2.FILLED)
    cv2.rectangle(page, (195, 195), (405, 405), 0, 3)
    assert not find_bubbles(page).any()


def test_spikes_belong_to_their_bubble_to_the_tip() -> None:
    made = volumes.page(14, 0, (2000, 1400))
    stays = keep_mask(made.gray, find_panels(made.gray), find_bubbles(made.gray))
    assert made.bubbles.any()
    assert stays[made.bubbles].all()


def test_what_is_kept_reaches_frames_and_outlines_but_not_beyond() -> None:
    made = volumes.page(10, 1, SMALL, "grid")
    stays = keep_mask(made.gray, find_panels(made.gray), made.bubbles)
    assert stays[made.gutters].mean() > 0.99
    assert stays[made.bubbles].all()
    drawn = ~made.gutters & ~cv2.dilate(made.bubbles.astype(np.uint8), np.ones((9, 9))).astype(bool)
    assert stays[drawn & (made.gray > 60)].mean() < 0.005
    assert stays[made.gutters | made.bubbles].all()


def test_between_panels_on_black_no_white_is_kept() -> None:
    made = volumes.page(10, 1, SMALL, "black")
    stays = keep_mask(made.gray, find_panels(made.gray), np.zeros(SMALL, bool))
    assert stays[made.gutters].mean() > 0.98
    assert stays[(made.gray > 128) & ~made.gutters].mean() < 0.01
