"""Colors on the full-size original: what must stay, and what must not leak. Knows no networks."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from colorize.images.color import delta_e, rgb_to_lab
from colorize.images.finish import onto
from colorize.images.image import Picture, Pixels
from colorize.images.resize import along_edges, under_ink

DTYPES = st.sampled_from([np.uint8, np.uint16])
SIDES = st.integers(1, 40)
RED, BLUE = (0.9, 0.2, 0.15), (0.2, 0.3, 0.85)


def random_pixels(seed: int, height: int, width: int, channels: int, dtype: type) -> Pixels:
    rng = np.random.default_rng(seed)
    return rng.integers(0, np.iinfo(dtype).max, (height, width, channels), dtype, endpoint=True)


def random_color(seed: int, height: int = 5, width: int = 7) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def flat(rgb: tuple[float, float, float], height: int, width: int) -> Tensor:
    return (torch.tensor(rgb).view(1, 3, 1, 1) * 2 - 1).expand(1, 3, height, width).clone()


def lightness(pixels: Pixels) -> npt.NDArray[np.float64]:
    """L* in float64, by the formulas of CIE and IEC, independent of the code under test."""
    share = pixels.astype(np.float64) / np.iinfo(pixels.dtype).max
    linear = np.where(share > 0.04045, ((share + 0.055) / 1.055) ** 2.4, share / 12.92)
    weights = np.array([0.212671, 0.715160, 0.072169])
    y = linear @ weights if pixels.shape[2] == 3 else linear[..., 0]
    return np.where(y > 216 / 24389, 116 * np.cbrt(y) - 16, 24389 / 27 * y)


def divided(size: int, column: int, thick: int = 2) -> Picture:
    pixels = np.full((size, size, 1), 255, np.uint8)
    pixels[:, column : column + thick] = 0
    return Picture(pixels)


def two_colors(cells: int, share: float, left: int) -> Tensor:
    """Red on the left, blue on the right, and one column of cells between with both."""
    color = flat(BLUE, cells, cells)
    color[..., :left] = flat(RED, cells, left)
    mixed = share * flat(RED, cells, 1) + (1 - share) * flat(BLUE, cells, 1)
    color[..., left : left + 1] = mixed
    return color


def difference(pixels: Pixels, rgb: tuple[float, float, float]) -> float:
    """Largest CIEDE2000 between pixels (H, W, 3) and a color."""
    found = Picture(np.ascontiguousarray(pixels)).tensor()
    wanted = flat(rgb, *found.shape[-2:])
    return float(delta_e(rgb_to_lab(found), rgb_to_lab(wanted)).max())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999), SIDES, SIDES, st.sampled_from([1, 3]), DTYPES, st.booleans())
def test_ink_never_rises_and_falls_by_at_most_the_smallest_channel(
    seed: int, height: int, width: int, channels: int, dtype: type, inked: bool
) -> None:
    old = random_pixels(seed, height, width, channels, dtype)
    new = onto(Picture(old), random_color(seed), "line", inked).pixels.astype(np.int64)
    fall = old.astype(np.int64) - new
    assert (fall >= 0).all()
    assert (fall <= old.min(2, keepdims=True)).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999), SIDES, SIDES, st.sampled_from([1, 3]), DTYPES)
def test_gray_picture_keeps_its_lightness_to_half_a_level(
    seed: int, height: int, width: int, channels: int, dtype: type
) -> None:
    old = random_pixels(seed, height, width, channels, dtype)
    new = onto(Picture(old), random_color(seed), "gray", False).pixels
    assert np.abs(lightness(new) - lightness(old)).max() <= 0.5 / 255 * 100


def test_dark_green_keeps_its_lightness_though_a_level_of_green_is_coarse() -> None:
    old = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], 8, 1)
    new = onto(Picture(old), flat((0, 1, 0), 4, 4), "gray", False).pixels
    assert np.abs(lightness(new) - lightness(old)).max() <= 0.5 / 255 * 100


def test_gray_color_on_a_gray_picture_changes_nothing_in_16_bits() -> None:
    old = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64, 1)
    new = onto(Picture(old), flat((0.5, 0.5, 0.5), 8, 8), "gray", False).pixels
    assert np.abs(new.astype(int) - old).max() <= 2  # float32 Lab leaves 1e-5 of chroma


@pytest.mark.parametrize("kind", ["line", "gray"])
def test_alpha_depth_and_tags_stay(kind: str) -> None:
    pixels = random_pixels(1, 20, 30, 3, np.uint16)
    alpha = random_pixels(2, 20, 30, 1, np.uint16)[..., 0]
    original = Picture(pixels, alpha, b"icc", b"exif", {"Title": "t"}, ("note",))
    result = onto(original, random_color(0), "line" if kind == "line" else "gray", False)
    assert result.pixels.dtype == np.uint16
    assert result == replace(original, pixels=result.pixels)


def test_gray_profile_is_dropped_when_a_picture_becomes_rgb() -> None:
    original = Picture(np.full((8, 8, 1), 99, np.uint16), icc=b"gray profile")
    assert onto(original, random_color(0), "gray", False).icc is None


def test_drawing_that_is_only_alpha_becomes_visible_in_color() -> None:
    alpha = np.zeros((32, 32), np.uint8)
    alpha[16] = 255
    result = onto(Picture(np.zeros((32, 32, 1), np.uint8), alpha), flat(RED, 4, 4), "line", False)
    assert result.alpha is None
    assert difference(result.pixels[:15], RED) < 1


@pytest.mark.parametrize("thick", [1, 2, 4])
def test_colors_meet_at_a_thin_line_without_leaking(thick: int) -> None:
    result = onto(divided(128, 52, thick), two_colors(16, (4 + thick / 2) / 8, 6), "line", False).pixels
    assert difference(result[:, :52], RED) < 4
    assert difference(result[:, 52 + thick :], BLUE) < 4


def test_colors_do_not_leak_through_a_diagonal_of_single_pixels() -> None:
    size, cells = 128, 16
    pixels = np.where(np.eye(size, dtype=bool), 0, 255).astype(np.uint8)[..., None]
    color = flat(BLUE, cells, cells)
    below = torch.ones(cells, cells).tril(-1) + torch.eye(cells) / 2
    color = below * flat(RED, cells, cells) + (1 - below) * color
    result = onto(Picture(pixels), color, "line", False).pixels
    inside = np.tril(np.ones((size, size), bool), -1)[24:-24, 24:-24]
    assert difference(result[24:-24, 24:-24][inside][None], RED) < 4


def test_painted_ink_leaves_no_dark_rim() -> None:
    color = flat(RED, 16, 16)
    color[..., 6:7] = (color[..., 6:7] + 1) * 0.75 - 1  # the cell holds 2 of 8 columns of ink
    result = onto(divided(128, 51), color, "line", True).pixels
    assert difference(result[:, :51], RED) < 2


def test_blotches_of_chroma_go_from_even_surfaces_and_edges_stay() -> None:
    rng = np.random.default_rng(0)
    light = np.full((128, 128), 0.3, np.float32)
    light[:, 64:] = 0.8
    field = rng.normal(0, 5, (32, 32, 2)).astype(np.float32)
    field[:, 16:] += 40
    result = along_edges(field, light)
    for side in (result[:, :60], result[:, 68:]):
        assert side.std(axis=(0, 1)).max() < 2.5
    assert result[:, 66].mean() - result[:, 61].mean() > 38


def test_without_ink_an_edge_of_the_color_stays_as_sharp_as_cubic_makes_it() -> None:
    field = np.zeros((8, 8, 3), np.float32)
    field[:, 4:] = 1
    result = under_ink(field, np.ones((64, 64), np.float32))
    assert result[:, 24:40].std() > 0.25
    assert result[:, :24].max() < 1e-6


@settings(max_examples=20, deadline=None)
@given(SIDES, SIDES, st.integers(1, 9), st.integers(1, 9), st.booleans())
def test_flat_color_on_any_drawing_is_flat(height: int, width: int, rows: int, columns: int, wide: bool) -> None:
    pixels = random_pixels(height, height, width, 1, np.uint8) // 128 * 255
    result = onto(Picture(pixels), flat(RED, rows, columns), "line", False).pixels
    wanted = np.where(pixels > 0, np.rint(np.array(RED) * 255), 0)
    assert np.abs(result - wanted).max() <= 1


@pytest.mark.parametrize("kind", ["line", "gray"])
@pytest.mark.parametrize("size", [(1, 1), (1, 70), (67, 1), (13, 29), (3, 200)])
def test_any_size_is_finished(kind: str, size: tuple[int, int]) -> None:
    pixels = random_pixels(3, *size, 1, np.uint8)
    result = onto(Picture(pixels), random_color(1, 11, 5), "line" if kind == "line" else "gray", True)
    assert result.pixels.shape == (*size, 3)


def test_nearly_white_paper_becomes_white() -> None:
    result = onto(divided(64, 30), flat((0.99, 0.985, 0.987), 8, 8), "line", True).pixels
    assert (result[:, :30] == 255).all()


def test_large_picture_is_followed_at_a_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("colorize.images.finish.WORKED", 64 * 64)
    result = onto(divided(256, 104, 8), two_colors(16, 0.75, 6), "line", False).pixels
    assert difference(result[:, :103], RED) < 6


def test_finishing_in_strips_leaves_no_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    drawing, color = Picture(random_pixels(5, 61, 47, 1, np.uint8)), random_color(4)
    whole = onto(drawing, color, "line", False).pixels
    monkeypatch.setattr("colorize.images.image.STRIP", 100)
    np.testing.assert_array_equal(onto(drawing, color, "line", False).pixels, whole)


def test_wrong_cells_beside_a_slanted_line_make_no_beads() -> None:
    """Where a cell of the field holds a line, the color of either side may be in it."""
    size, cells = 640, 32
    pixels = np.full((size, size, 1), 255, np.uint8)
    cv2.line(pixels, (250, 0), (350, size), 0, 3)
    edge = (250 + 100 * (np.arange(cells) + 0.5) / cells) * cells / size
    right = torch.from_numpy(
        np.arange(cells)[None] + 0.5 > edge[:, None] + np.where(np.arange(cells) % 4 < 2, 0.6, -0.6)[:, None]
    )
    color = torch.where(right, flat(BLUE, cells, cells), flat(RED, cells, cells))
    result = onto(Picture(pixels), color, "line", False).pixels
    place = 250 + 100 * np.arange(size) / size
    left, beyond = (side * (np.arange(size)[None] - place[:, None]) > 4 for side in (-1, 1))
    assert difference(result[left][None], RED) < 12
    assert difference(result[beyond][None], BLUE) < 12
