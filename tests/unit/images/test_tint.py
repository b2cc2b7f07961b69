"""Sepia, cyanotypes and their like are told from color, on photographs that come with scikit-image."""

from __future__ import annotations

from io import BytesIO

import cv2
import numpy as np
import pytest
import torch
from drawings import one
from PIL import Image
from skimage import data
from sources import run, save
from torch import Tensor

from colorize.coloring.options import Job
from colorize.images import files
from colorize.images.image import from_tensor
from colorize.images.kinds import has_tint, kind

TONES = {  # colors from black to white
    "sepia": [(0, 0, 0), (173, 154, 120), (255, 240, 208)],
    "faded": [(55, 43, 34), (150, 128, 100), (238, 222, 190)],
    "cyanotype": [(0, 20, 50), (20, 80, 130), (120, 170, 200), (240, 245, 240)],
    "gold": [(30, 12, 5), (150, 95, 50), (240, 215, 175)],
    "selenium": [(20, 10, 25), (110, 95, 110), (200, 190, 180), (250, 246, 232)],
}
PHOTOS = ("astronaut", "coffee", "chelsea", "motorcycle_left")


def photo(name: str) -> np.ndarray:
    """(H, W, 3) uint8; `chelsea`, a brown cat, is nearly of one hue."""
    if name == "motorcycle_left":
        return data.stereo_motorcycle()[0]
    return getattr(data, name)()


def gray(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).convert("L"))


def tinted(pixels: np.ndarray, tone: str) -> np.ndarray:
    """A photograph in black and white, printed in a tone."""
    colors = np.array(TONES[tone], float)
    places = np.linspace(0, 255, len(colors))
    table = np.stack([np.interp(np.arange(256), places, row) for row in colors.T], 1)
    return table.round().astype(np.uint8)[gray(pixels)]


def stored(pixels: np.ndarray, quality: int = 75) -> Tensor:
    """As a JPEG file gives it back, (1, 3, H, W)."""
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    return files.read(stream.getvalue()).tensor()


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize("tone", TONES)
def test_a_toned_photograph_is_gray(name, tone):
    picture = stored(tinted(photo(name), tone))
    assert has_tint(picture)
    assert kind(picture) == "gray"


@pytest.mark.parametrize("name", PHOTOS)
def test_a_color_photograph_is_not_toned(name):
    assert not has_tint(stored(photo(name)))


def test_a_gray_photograph_has_no_tone():
    assert not has_tint(stored(photo("coffee").mean(2, keepdims=True).repeat(3, 2).astype(np.uint8)))


@pytest.mark.parametrize("tone", ["", "sepia"])
def test_one_red_bow_is_color(tone):
    """Two hundredths of the picture, all else gray or of one tint."""
    base = photo("astronaut")
    pixels = tinted(base, tone) if tone else gray(base)[..., None].repeat(3, 2)
    bow = cv2.ellipse(np.zeros((512, 512), np.uint8), (300, 330), (60, 30), 0, 0, 360, 1, -1)
    light = pixels.mean(2, keepdims=True) / 255
    red = (np.array([200, 30, 40]) * (0.6 + 0.4 * light)).astype(np.uint8)
    picture = stored(np.where(bow[..., None] > 0, red, pixels))
    assert not has_tint(picture)
    assert kind(picture) == "color"


def test_tints_uneven_over_the_print_are_of_one_tone_still():
    """Old prints are more yellow towards one side."""
    left, right = tinted(photo("coffee"), "sepia"), tinted(photo("coffee"), "faded")
    share = np.linspace(0, 1, left.shape[1])[None, :, None]
    assert has_tint(stored((left * (1 - share) + right * share).astype(np.uint8)))


def test_a_few_flat_colors_are_a_drawing():
    """Each has a lightness of its own, and so there is a tint for every lightness."""
    pixels = np.full((120, 120, 3), 255, np.uint8)
    for at, color in enumerate([(120, 80, 60), (150, 110, 80), (190, 150, 110)]):
        pixels[10 + 30 * at : 40 + 30 * at, 20:100] = color
    assert not has_tint(stored(pixels, 95))


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (32, 32)])
def test_the_smallest_pictures_have_no_tone(size):
    assert not has_tint(torch.full((1, 3, *size), 0.2))


def test_toned_photographs_are_left_out_of_training_data(tmp_path):
    for name in PHOTOS:
        save(photo(name), tmp_path / f"source/{name}.png")
        save(tinted(photo(name), "sepia"), tmp_path / f"source/old-{name}.jpg")
    save(gray(photo("coffee")), tmp_path / "source/gray.jpg")
    summary = run(tmp_path / "source", tmp_path / "data", size=128, near=-1)
    assert sum(summary.counts.values()) == len(PHOTOS)
    reasons = dict(summary.skipped)
    assert reasons.pop("gray.jpg") == "`gray.jpg` has no color"
    assert reasons == {f"old-{name}.jpg": f"`old-{name}.jpg` is gray with a tint, like sepia" for name in PHOTOS}


def test_a_toned_photograph_is_colored_and_the_user_is_told():
    picture = from_tensor(stored(tinted(photo("chelsea"), "cyanotype")))
    painted = one(Job("cat", picture)).painted[0]
    assert painted.kind == "gray"
    assert any("place of its tint" in note for note in painted.notes)


def test_a_gray_photograph_needs_no_note():
    pixels = gray(photo("chelsea"))[..., None].repeat(3, 2)
    painted = one(Job("cat", from_tensor(stored(pixels)))).painted[0]
    assert not any("tint" in note for note in painted.notes)
