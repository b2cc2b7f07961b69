"""Kinds of pictures, on drawings made here: each test is a picture that once was, or may be, misjudged."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from colorize.images.kinds import kind

Array = npt.NDArray[np.float32]
SIZE = 160
SEPIA = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]]) / 1.35


def tensor(picture: Array) -> Tensor:
    """(H, W) or (H, W, 3) in [0, 1] as (1, 3, H, W) in [-1, 1]."""
    rgb = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, 2)
    planes = np.ascontiguousarray(rgb.clip(0, 1).transpose(2, 0, 1), np.float32)
    return torch.from_numpy(planes)[None] * 2 - 1


def drawing(scale: int = 1, thick: int = 2) -> Array:
    sheet = np.full((SIZE * scale, SIZE * scale), 255, np.uint8)
    for radius in (20, 45, 70):
        cv2.circle(sheet, (80 * scale, 80 * scale), radius * scale, 0, thick, cv2.LINE_AA)
    cv2.line(sheet, (0, 12 * scale), (150 * scale, 150 * scale), 0, thick, cv2.LINE_AA)
    return (sheet / 255).astype(np.float32)


def icon(fill: float = 0.85) -> Array:
    """An outlined disk of one flat light gray on white: little tone, and nothing dark in it."""
    sheet = np.full((SIZE, SIZE), 255, np.uint8)
    cv2.circle(sheet, (80, 80), 30, round(fill * 255), -1, cv2.LINE_AA)
    cv2.circle(sheet, (80, 80), 30, 0, 3, cv2.LINE_AA)
    return (sheet / 255).astype(np.float32)


def shades() -> Array:
    rows, columns = np.mgrid[0:1:160j, 0:1:160j]
    return (0.2 + 0.6 * rows * (0.5 + 0.5 * np.sin(9 * columns))).astype(np.float32)


def noisy(picture: Array, quality: int = 50) -> Array:
    """Paper grain, then JPEG."""
    rng = np.random.default_rng(0)
    grain = picture + rng.normal(0, 0.012, picture.shape)
    levels = (grain.clip(0, 1) * 255).astype(np.uint8)
    file = cv2.imencode(".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return (cv2.imdecode(file, cv2.IMREAD_UNCHANGED) / 255).astype(np.float32)


def rgb(gray: Array, tint: tuple[float, float, float]) -> Array:
    return (gray[..., None] * np.array(tint)).astype(np.float32)


def test_thin_ink_is_line() -> None:
    assert kind(tensor(drawing())) == "line"


def test_noise_and_jpeg_do_not_make_ink_gray() -> None:
    assert kind(tensor(noisy(drawing()))) == "line"


def test_black_areas_are_ink() -> None:
    sheet = drawing()
    sheet[30:90, 30:90] = 0
    assert kind(tensor(sheet)) == "line"


def test_soft_gray_pencil_is_line() -> None:
    soft = cv2.GaussianBlur(1 - (1 - drawing(2, 3)) * 0.5, (0, 0), 0.8)
    assert kind(tensor(np.asarray(soft, np.float32))) == "line"


def test_yellowed_paper_is_line() -> None:
    assert kind(tensor(noisy(rgb(drawing(), (0.72, 0.9, 0.97))[..., ::-1]))) == "line"


def test_shadow_across_the_sheet_is_line() -> None:
    shadow = np.linspace(1, 0.8, SIZE, dtype=np.float32)
    assert kind(tensor(drawing() * shadow)) == "line"


def test_one_colored_pencil_is_line() -> None:
    blue = 1 - (1 - drawing()[..., None]) * np.array([0.8, 0.55, 0.2])
    assert kind(tensor(blue.astype(np.float32))) == "line"


def test_large_scan_of_fine_lines_is_line() -> None:
    assert kind(tensor(drawing(scale=8, thick=4))) == "line"


@pytest.mark.parametrize("fill", [0.4, 0.7, 0.85])
def test_sparse_flat_gray_icon_is_gray(fill: float) -> None:
    assert kind(tensor(icon(fill))) == "gray"


def test_continuous_tone_is_gray() -> None:
    assert kind(tensor(noisy(shades()))) == "gray"


def test_sepia_is_gray() -> None:
    toned = np.repeat(shades()[..., None], 3, 2) @ SEPIA.T
    assert kind(tensor(noisy(toned[..., ::-1].astype(np.float32))[..., ::-1])) == "gray"


def test_fine_screentone_is_gray() -> None:
    rows, columns = np.mgrid[0:1024, 0:1024]
    dots = ((rows % 6 < 3) & (columns % 6 < 3)).astype(np.float32)
    page = drawing(scale=8, thick=6)[:1024, :1024]
    page[200:700, 200:700] *= 1 - dots[200:700, 200:700]
    assert kind(tensor(page)) == "gray"


@pytest.mark.parametrize("color", [(1.0, 0.9, 0.1), (0.9, 0.2, 0.2), (0.4, 0.6, 0.9)])
def test_one_filled_area_is_color(color: tuple[float, float, float]) -> None:
    picture = np.repeat(icon()[..., None], 3, 2)
    picture[60:100, 60:100] = color
    assert kind(tensor(picture)) == "color"


def test_pale_colors_of_two_hues_are_color() -> None:
    picture = np.repeat(shades()[..., None], 3, 2)
    picture[:, :80] *= np.array([1, 0.85, 0.8])
    picture[:, 80:] *= np.array([0.8, 0.9, 1])
    assert kind(tensor(picture)) == "color"


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_sheet_of_one_level_is_blank(level: float) -> None:
    assert kind(tensor(noisy(np.full((64, 48), level, np.float32), 80))) == "blank"


def test_a_single_pixel_is_blank() -> None:
    assert kind(torch.zeros(1, 3, 1, 1)) == "blank"


def test_a_strip_one_pixel_wide_has_a_kind() -> None:
    assert kind(tensor(np.linspace(0, 1, 90, dtype=np.float32)[None])) in ("line", "gray")
