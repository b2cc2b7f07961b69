"""Flat colors between the lines: which regions there are, what fills them, and where they end."""

from __future__ import annotations

import tracemalloc

import cv2
import numpy as np
import pytest
import torch
from drawings import Picture, gray, one, pixels, refused, sketch

from colorize.coloring.options import Job
from colorize.images import flat_regions, layers
from colorize.images.flat_regions import raised
from colorize.images.flats import flats

RED, BLUE, SKIN = (0.9, 0.2, 0.1), (0.1, 0.3, 0.8), (0.9, 0.7, 0.6)
SIDE = 128


def box(gap: int = 0) -> np.ndarray:
    """Paper (SIDE, SIDE) with a square of ink lines 32 to 96, open by so many pixels on its right."""
    paper = np.ones((SIDE, SIDE), np.float32)
    for at in (32, 94):
        paper[at : at + 2, 32:96] = paper[32:96, at : at + 2] = 0
    paper[60 : 60 + gap, 94:96] = 1
    return paper


def filled(inner: tuple[float, ...], outer: tuple[float, ...], noise: float = 0.0) -> np.ndarray:
    """A field of two colors that meet in the middle of the box's lines."""
    field = np.empty((SIDE, SIDE, 3), np.float32)
    field[:], field[33:95, 33:95] = outer, inner
    spots = np.random.default_rng(0).uniform(-noise, noise, field.shape)
    return (field + spots).clip(0, 1).astype(np.float32)


def color_at(found: object, row: int, column: int) -> np.ndarray:
    return found.table[found.labels[row, column]]


def drawing(paper: np.ndarray, scale: int = 1) -> Picture:
    large = np.kron(np.rint(paper * 255).astype(np.uint8), np.ones((scale, scale), np.uint8))
    return Picture(large[..., None])


def tensor(field: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(field).permute(2, 0, 1)[None] * 2 - 1


def test_a_region_gets_its_median_and_paper_is_exactly_white() -> None:
    found = flats(filled(RED, (0.97, 0.97, 0.97), noise=0.05), box())
    assert np.abs(color_at(found, 64, 64) - RED).max() < 0.01
    assert (color_at(found, 5, 5) == 1).all()
    assert len(np.unique(found.labels)) == 3  # ink, inside, outside


@pytest.mark.parametrize("gap", [1, 2, 3])
def test_a_gap_in_the_line_is_taken_for_closed(gap: int) -> None:
    found = flats(filled(RED, (1, 1, 1)), box(gap))
    assert np.abs(color_at(found, 64, 40) - RED).max() < 0.01
    assert (color_at(found, 64, 120) == 1).all()


def test_areas_of_like_colors_with_a_gap_between_them_have_one_color() -> None:
    found = flats(filled(SKIN, (0.92, 0.72, 0.62)), box(gap=3))
    assert (color_at(found, 64, 64) == color_at(found, 5, 5)).all()
    assert found.labels[64, 64] != found.labels[5, 5]


def test_a_line_that_ends_before_the_border_still_separates() -> None:
    paper = np.ones((SIDE, SIDE), np.float32)
    paper[: SIDE - 2, 64:66] = 0
    field = np.empty((SIDE, SIDE, 3), np.float32)
    field[:, :65], field[:, 65:] = RED, BLUE
    found = flats(field, paper)
    assert np.abs(color_at(found, 20, 20) - RED).max() < 0.01
    assert np.abs(color_at(found, 20, 100) - BLUE).max() < 0.01


def test_thin_pieces_keep_a_region_of_their_own() -> None:
    paper = np.ones((SIDE, SIDE), bool)
    paper[:, 60:62] = paper[:, 64:66] = False  # two pixels of paper between two lines
    labels = flat_regions.trapped(paper)
    assert len({labels[64, 10], labels[64, 62], labels[64, 120]}) == 3


def test_a_speck_joins_the_neighbor_most_like_it() -> None:
    paper = np.ones((256, 256), np.float32)
    paper[:, 120:136] = 0
    paper[100:101, 127:129] = 1  # two pixels of paper amid the line
    field = np.empty((256, 256, 3), np.float32)
    field[:, :127], field[:, 127:] = RED, BLUE
    assert np.abs(color_at(flats(field, paper), 100, 127) - BLUE).max() < 0.01


def test_an_open_scene_is_divided_into_a_few_flats() -> None:
    # One median over sky and ground would be neither.
    field = np.empty((SIDE, SIDE, 3), np.float32)
    field[:64], field[64:] = BLUE, SKIN
    found = flats(field, np.ones((SIDE, SIDE), np.float32))
    assert np.abs(color_at(found, 10, 64) - BLUE).max() < 0.05
    assert np.abs(color_at(found, 120, 64) - SKIN).max() < 0.05
    assert len(np.unique(found.labels)) <= 6


def test_a_pale_halo_on_open_paper_is_no_flat() -> None:
    field = np.ones((SIDE, SIDE, 3), np.float32)
    field[40:80, 40:80] = (0.97, 0.9, 0.92)
    found = flats(field, np.ones((SIDE, SIDE), np.float32))
    assert (found.table[found.labels] == 1).all()


def test_a_hint_colors_its_region_and_no_other() -> None:
    hints = np.zeros((SIDE, SIDE, 4), np.float32)
    hints[60:68, 60:68] = (*BLUE, 1)
    found = flats(filled(RED, (1, 1, 1)), box(), hints)
    np.testing.assert_allclose(color_at(found, 40, 40), BLUE, atol=1e-6)
    assert (color_at(found, 5, 5) == 1).all()


def test_a_hint_that_slips_over_the_line_stays_in_its_region() -> None:
    hints = np.zeros((SIDE, SIDE, 4), np.float32)
    hints[60:64, 72:98] = (*BLUE, 1)  # two pixels beyond the line
    found = flats(filled(RED, (1, 1, 1)), box(), hints)
    np.testing.assert_allclose(color_at(found, 40, 40), BLUE, atol=1e-6)
    assert (color_at(found, 62, 97) == 1).all()


def test_two_hints_share_a_region_by_nearness() -> None:
    hints = np.zeros((SIDE, SIDE, 4), np.float32)
    hints[62:66, 40:44], hints[62:66, 84:88] = (*BLUE, 1), (*SKIN, 1)
    found = flats(filled(RED, (1, 1, 1)), box(), hints)
    np.testing.assert_allclose(color_at(found, 50, 45), BLUE, atol=1e-6)
    np.testing.assert_allclose(color_at(found, 80, 80), SKIN, atol=1e-6)


@pytest.mark.parametrize("scale", [1, 2, 7])
def test_enlarged_regions_end_under_the_ink_and_leave_no_pixel_out(scale: int) -> None:
    small = cv2.connectedComponents((box() > 0.5).astype(np.uint8))[1]
    large = np.kron(box(), np.ones((scale, scale), np.float32))
    full = raised(small, large)
    assert full.min() > 0
    clear = large > 0.5
    expected = np.kron(small, np.ones((scale, scale), np.int32))
    inside = expected == small[64, 64]
    assert (full[inside & clear] == small[64, 64]).all()
    assert (full[~inside & clear] != small[64, 64]).all()


def test_regions_enlarged_in_bands_are_those_enlarged_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    small = flat_regions.trapped(box() > 0.5)
    large = cv2.GaussianBlur(np.kron(box(), np.ones((7, 7), np.float32)), (9, 9), 0)
    whole = raised(small, large)
    monkeypatch.setattr(flat_regions, "BAND", 1)
    np.testing.assert_array_equal(raised(small, np.asarray(np.rint(large * 255), np.uint8), 255.0), whole)


def test_enlarging_regions_takes_7_bytes_for_each_pixel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flat_regions, "BAND", 200_000)
    small = flat_regions.trapped(box() > 0.5)
    light = np.kron(np.asarray(box() * 255, np.uint8), np.ones((32, 32), np.uint8))
    tracemalloc.start()
    raised(small, light, 255.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 7 * light.size


def test_a_slanted_line_at_full_size_has_no_halo() -> None:
    # Regions are found at 1024 pixels; enlarged as they are, their stairs would show beside the ink.
    rows, columns = np.mgrid[:1536, :1536]
    away = np.abs(columns - 0.4 * rows - 450) / np.hypot(1, 0.4)
    paper = (away - 3).clip(0, 1)
    field = np.where((columns > 0.4 * rows + 450)[..., None], RED, BLUE)[::12, ::12]
    sheet = layers.divide(drawing(paper), tensor(field.astype(np.float32)), inked=False)
    right = columns > 0.4 * rows + 450
    shown = sheet.table[sheet.labels]
    assert np.abs(shown[right & (paper > 0.5)] - RED).max() < 0.03
    assert np.abs(shown[~right & (paper > 0.5)] - BLUE).max() < 0.03


@pytest.mark.parametrize("paper", [np.ones((40, 50), np.float32), np.zeros((40, 50), np.float32)])
def test_a_sheet_without_lines_or_without_paper_is_filled_too(paper: np.ndarray) -> None:
    sheet = layers.divide(drawing(paper), torch.full((1, 3, 10, 10), 0.2), inked=False)
    assert sheet.labels.shape == (40, 50)
    assert sheet.labels.min() > 0


def test_a_flat_result_has_few_colors_where_there_is_no_ink() -> None:
    drawn = sketch()
    free = drawn.pixels[..., 0] == 255
    plain, flat = (pixels(one(Job("a", drawn), flat=wanted))[free] for wanted in (False, True))
    assert len(np.unique(flat, axis=0)) <= 40 < len(np.unique(plain, axis=0))


def test_a_gray_picture_cannot_become_flat() -> None:
    error = refused(Job("a.png", gray()), flat=True)
    assert "`a.png` is a gray picture" in error.message
    assert "--kind line" in error.hint


def test_a_hint_on_open_paper_fills_all_of_it() -> None:
    # The model paints only around a hint; that must not divide the paper into two flats.
    field, hints = np.ones((SIDE, SIDE, 3), np.float32), np.zeros((SIDE, SIDE, 4), np.float32)
    field[:, :60], hints[60:68, 20:28] = BLUE, (*BLUE, 1)
    found = flats(field, np.ones((SIDE, SIDE), np.float32), hints)
    np.testing.assert_allclose(color_at(found, 64, 120), BLUE, atol=1e-6)


def closed_areas(paper: np.ndarray, gap: int) -> np.ndarray:
    """Number what a disk as wide as a gap can reach: (SIDE, SIDE), 0 where it does not fit."""
    distance = cv2.distanceTransform(np.pad(paper > 0.5, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    return cv2.connectedComponents((distance > (gap + 1) / 2).astype(np.uint8), connectivity=4)[1]


@pytest.mark.parametrize(("opening", "gap", "same"), [(4, 0, True), (4, 8, False), (12, 8, True), (12, 20, False)])
def test_the_widest_gap_that_counts_as_closed_is_chosen(opening: int, gap: int, same: bool) -> None:
    found = flats(filled(RED, (0.3, 0.8, 0.3)), box(opening), gap=gap / SIDE, whole=True, scenes=False)
    assert (color_at(found, 64, 40) == color_at(found, 5, 5)).all() == same


@pytest.mark.parametrize("gap", [2, 6, 12])
def test_what_is_connected_in_the_closed_drawing_has_one_flat_color(gap: int) -> None:
    spots = np.random.default_rng(1).uniform(0.2, 0.9, (6, 6, 3)).astype(np.float32)
    field = cv2.resize(spots, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
    paper = box(gap=4)
    paper[90:92, 40:60] = 0  # a line that ends inside
    found, areas = flats(field, paper, gap=gap / SIDE, whole=True, scenes=False), closed_areas(paper, gap)
    assert areas.max() >= 1
    for number in range(1, int(areas.max()) + 1):
        assert len(np.unique(found.table[found.labels[areas == number]], axis=0)) == 1
    assert len(np.unique(flats(field, paper, gap=gap / SIDE).table, axis=0)) > len(np.unique(found.table, axis=0))


@pytest.mark.parametrize("scale", [2, 12])  # regions of the larger one are found at a smaller size
def test_gaps_are_pixels_of_the_drawing(scale: int) -> None:
    color = tensor(filled(RED, (0.3, 0.8, 0.3)))
    for gaps, colors in ((14 * scale, 2), (4 * scale, 1), (0, 1)):
        sheet = layers.divide(
            drawing(box(gap=12), scale), color, inked=False, gaps=gaps, flat=color.clone(), whole=True
        )
        assert len(np.unique(sheet.table[np.unique(sheet.labels)], axis=0)) == colors


def test_gaps_of_the_options_reach_the_flats() -> None:
    job = Job("a", drawing(box(gap=12), 2))
    shown = [pixels(one(job, flat=True, gaps=gaps, kind="line", force=True)) for gaps in (0, 30)]
    counts = [len(np.unique(picture[drawing(box(gap=12), 2).pixels[..., 0] == 255], axis=0)) for picture in shown]
    assert counts[0] < counts[1]


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
@pytest.mark.parametrize(("gap", "closed"), [(2, True), (4, True), (8, True), (12, True), (24, False)])
def test_crumbs_in_a_gap_of_thick_lines_do_not_open_it(scale: int, gap: int, closed: bool) -> None:
    paper = np.kron(box(gap) > 0.5, np.ones((scale, scale), bool))
    areas = flat_regions.opened(flat_regions.trapped(paper, flat_regions.balls(14 / SIDE)), paper)
    assert (areas[64 * scale, 40 * scale] != areas[5, 5]) == closed


def test_what_is_open_to_white_paper_at_the_border_keeps_its_colors() -> None:
    paper = np.ones((SIDE, SIDE), np.float32)
    paper[30:100, 52:54] = paper[30:100, 74:76] = paper[30:32, 52:76] = 0  # a figure without a lower end
    field = np.ones((SIDE, SIDE, 3), np.float32)
    field[32:100, 54:74] = RED
    found = flats(field, paper, gap=26 / SIDE, whole=True, scenes=False)
    assert np.abs(color_at(found, 60, 60) - RED).max() < 0.01
    assert (color_at(found, 5, 5) == 1).all()
