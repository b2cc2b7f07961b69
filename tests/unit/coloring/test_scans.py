"""Scans as people have them: thin lines, strips, white on black, pencils under ink, transparency, text."""

from __future__ import annotations

import io
import zipfile
from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch

from colorize.coloring import inputs
from colorize.images import finish, kinds, paper
from colorize.images.decode import decode
from colorize.images.encode import encode
from colorize.images.image import Picture
from colorize.images.panels import bands, find_panels


def figure(side: int = 480, width: int = 4) -> np.ndarray:
    """A head over a body, black lines on white: (side, side) uint8."""
    page = np.full((side, side), 255, np.uint8)
    cv2.circle(page, (side // 2, side // 3), side // 6, 0, width, cv2.LINE_AA)
    cv2.rectangle(page, (side // 3, side // 2), (2 * side // 3, 9 * side // 10), 0, width, cv2.LINE_AA)
    return page


def seen(pixels: np.ndarray) -> torch.Tensor:
    return Picture(pixels if pixels.ndim == 3 else pixels[..., None]).tensor().expand(1, 3, -1, -1)


def test_white_lines_on_black_are_told_from_night_scenes_and_drawings() -> None:
    night = np.zeros((480, 480), np.uint8)
    cv2.circle(night, (240, 240), 120, 255, -1)
    bold = figure(width=9)
    cv2.circle(bold, (240, 160), 18, 0, -1)  # a nose, filled
    assert kinds.is_inverted(seen(255 - figure()))
    assert kinds.is_inverted(seen(255 - bold))
    assert not kinds.is_inverted(seen(figure()))
    assert not kinds.is_inverted(seen(night))


@pytest.mark.parametrize("deep", [np.uint8, np.uint16])
def test_areas_of_white_lines_on_black_get_color_and_the_rest_stays(deep: type) -> None:
    peak = np.iinfo(deep).max
    drawing = Picture((figure().astype(deep) * (peak // 255))[..., None])
    colored = np.repeat(drawing.pixels, 3, 2)
    colored[300:420, 200:280] = (peak, peak // 2, 0)
    back = finish.on_black(drawing, Picture(colored)).pixels
    assert (back[10, 10] == 0).all()
    assert (back[drawing.pixels[..., 0] == 0] == peak).all()
    assert back[350, 240].tolist() == [peak, peak // 2, 0]


@pytest.mark.parametrize("pencil", [(120, 160, 230), (230, 110, 120)])
def test_ink_over_colored_pencil_is_line_art_and_the_pencil_no_line(pencil: tuple[int, int, int]) -> None:
    page = np.full((480, 480, 3), 255, np.uint8)
    page[np.roll(figure(), (6, -9), (0, 1)) < 128] = pencil
    page[figure() < 128] = 0
    assert kinds.kind(seen(page)) == "line"
    assert kinds.has_construction(seen(page))
    line = paper.ink_of(seen(page))
    assert float(line[0, 0][torch.from_numpy((page == pencil).all(2))].min()) > 0.6
    assert float(line.min()) == -1


def test_areas_in_color_are_no_construction_lines() -> None:
    page = np.repeat(figure()[..., None], 3, 2)
    page[260:420, 170:310] = (40, 90, 220)
    assert kinds.kind(seen(page)) == "color"
    assert not kinds.has_construction(seen(page))


@pytest.mark.parametrize("dpi", [150, 300, 600])
def test_thin_lines_stay_lines_when_shrunk(dpi: int) -> None:
    side = dpi * 8  # 0.1 mm is 0.4 % of an inch
    wide = np.full((side, side), 255, np.uint8)
    cv2.line(wide, (side // 4, 0), (side // 4, side), int(255 * max(0, 1 - dpi * 0.004)), max(1, round(dpi * 0.004)))
    picture = Picture(wide[..., None])
    small = inputs.shrink(picture, 1024).tensor()
    gray = torch.nn.functional.interpolate(small, (256, 256), mode="bilinear", antialias=True)
    assert float(paper.darken(gray, picture)[0, 0, 128, 60:68].min()) < 0


@pytest.mark.parametrize("pen", [(0, 0, 0), (20, 40, 230), (220, 30, 30)])
def test_thin_lines_of_any_pen_stay_lines(pen: tuple[int, int, int]) -> None:
    page = np.full((2400, 2400, 3), 255, np.uint8)
    cv2.line(page, (600, 0), (600, 2400), pen, 1)
    picture = Picture(page)
    gray = inputs.shrink(picture, 256).tensor().mean(1, keepdim=True)
    assert float(paper.darken(gray, picture)[0, 0, 128, 60:68].min()) < 0


def test_strips_are_cut_between_their_pictures() -> None:
    one = np.full((700, 800), 255, np.uint8)
    cv2.rectangle(one, (20, 40), (780, 640), 0, 4)
    cv2.circle(one, (400, 340), 150, 0, 4)
    strip = np.concatenate([one] * 20)
    found = bands(strip)
    assert found[0].start == 0
    assert found[-1].stop == len(strip)
    assert all(low.stop == high.start for low, high in pairwise(found))
    assert all(rows.stop - rows.start <= 1600 for rows in found)
    for rows in found[:-1]:
        assert strip[rows.stop].min() == 255
        for panel in find_panels(strip[rows], least=1):
            assert panel.lower(rows.start).box[0] == pytest.approx(20, abs=8)
    assert bands(one) == [slice(0, 700)]
    assert bands(strip[:, :64]) == [slice(0, len(strip))]


@pytest.mark.parametrize("height", [2401, 3203, 3209, 4811])
def test_no_band_of_a_strip_is_too_low_to_be_colored(height: int) -> None:
    assert min(rows.stop - rows.start for rows in bands(np.full((height, 800), 200, np.uint8))) >= 32


def _layer(opaque_outside: bool) -> Picture:
    line = figure()
    outside = np.zeros((480, 480), np.uint8)
    mask = np.zeros((482, 482), np.uint8)
    cv2.floodFill(line.copy(), mask, (0, 0), 255, flags=4 | (1 << 8) | cv2.FLOODFILL_MASK_ONLY)
    outside[mask[1:-1, 1:-1] > 0] = 1
    light = outside if opaque_outside else np.zeros_like(outside)
    alpha = np.maximum(255 - line, light * 255)
    alpha[150:170, 230:250] = 255  # an eye that is painted white
    pixels = np.where((light > 0) | (alpha == 255) & (line > 128), 255, 0).astype(np.uint8)
    return Picture(np.repeat(pixels[..., None], 3, 2), alpha)


@pytest.mark.parametrize("opaque_outside", [True, False])
def test_transparency_that_lines_enclose_is_paper(opaque_outside: bool) -> None:
    paper = finish.on_paper(_layer(opaque_outside))
    inside = paper.alpha is None or int(paper.alpha[300, 240]) == 255
    assert inside
    assert (paper.pixels[300, 240] == 255).all()


def test_a_hole_in_an_opaque_figure_stays_a_hole() -> None:
    alpha = np.zeros((480, 480), np.uint8)
    alpha[60:420, 60:420] = 255
    alpha[200:240, 200:240] = 0
    picture = Picture(np.full((480, 480, 3), 250, np.uint8), alpha)
    assert finish.on_paper(picture).alpha[220, 220] == 0  # type: ignore[index]


def test_pages_of_text_are_told_from_drawings() -> None:
    page = np.full((1000, 700), 235, np.uint8)
    for row in range(60, 960, 30):
        cv2.putText(page, "the quick brown fox jumps over it", (60, row), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 20, 2)
    assert kinds.is_text(seen(page))
    assert not kinds.is_text(seen(figure()))


def test_the_merged_picture_of_layered_files_is_read() -> None:
    picture = Picture(np.repeat(figure()[..., None], 3, 2))
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("mimetype", "image/openraster")
        archive.writestr("mergedimage.png", encode(picture, ".png"))
    assert np.array_equal(decode(data.getvalue(), "a.ora").pixels[..., 0], figure())


def test_a_result_without_color_says_what_to_try() -> None:
    drawing = Picture(figure()[..., None])
    colored = np.repeat(drawing.pixels, 3, 2)
    assert finish.uncolored(drawing, Picture(colored))
    colored[300:420, 200:280, 0] = 100
    assert not finish.uncolored(drawing, Picture(colored))
