"""Sheets of ink and screentone are line art, at any dot size and however worn; shades of gray are not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from drawings import MINI, gray, one, sketch

from colorize.coloring.options import Job
from colorize.images.image import Picture
from colorize.images.shading import is_printed


def toned(pitch: int, share: float = 0.5, size: int = 512) -> np.ndarray:
    """Lines, and dots over the upper half, `pitch` pixels apart."""
    pixels = np.full((size, size), 255, np.uint8)
    down, across = np.mgrid[:size, :size] * (2 * np.pi / pitch)
    pixels[(np.cos(down) + np.cos(across) > 2 - 4 * share) & (down < np.pi * size / pitch)] = 0
    for at in range(40, size, 90):
        cv2.line(pixels, (at, 0), (size - at, size), 0, 3, cv2.LINE_AA)
    return pixels


def sheet(pixels: np.ndarray) -> Picture:
    return Picture(pixels[..., None])


@pytest.mark.parametrize("pitch", [4, 6, 9, 14])
@pytest.mark.parametrize("share", [0.2, 0.5])
def test_screentone_is_printed(pitch: int, share: float) -> None:
    pixels = toned(pitch, share)
    assert is_printed(sheet(pixels))
    _, worn = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 70])
    assert is_printed(sheet(cv2.imdecode(worn, cv2.IMREAD_GRAYSCALE)))
    assert is_printed(sheet((pixels * 0.9).astype(np.uint8)))  # dull paper


def test_sixteen_bits_and_alpha_are_read() -> None:
    pixels = toned(6).astype(np.uint16) * 257
    alpha = np.full(pixels.shape, 65535, np.uint16)
    assert is_printed(Picture(pixels[..., None], alpha))


def test_an_even_gray_is_not() -> None:
    pixels = toned(6)
    pixels[300:400, 100:300] = 140
    assert not is_printed(sheet(pixels))


@pytest.mark.parametrize("grain", [0, 5])
def test_a_photograph_is_not(grain: int) -> None:
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 255, 512) + rng.normal(0, grain, (512, 512))
    assert not is_printed(sheet(ramp.clip(0, 255).astype(np.uint8)))
    assert not is_printed(sheet(rng.integers(0, 256, (512, 512), np.uint8)))


def test_paper_between_dots_gets_color() -> None:
    page = sheet(toned(6))
    outcome = one(Job("page", page))
    assert outcome.painted[0].kind == "line"
    between = outcome.painted[0].picture.pixels[(page.pixels == 255)[..., 0]].astype(int)
    assert np.ptp(between, axis=1).max() > 20
    assert one(Job("photo", gray())).painted[0].kind == "gray"
    assert one(Job("drawing", sketch()), MINI).painted[0].kind == "line"
