"""Regions: their list, their numbered picture, and results recolored by them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from drawings import sketch

from colorize.errors import ColorizeError
from colorize.images import files, layers, region_files, regions
from colorize.images.image import Picture


def two_colors() -> torch.Tensor:
    """Red above, blue below."""
    color = torch.tensor([0.8, -0.8, -0.8])[:, None, None].expand(3, 16, 12).clone()
    color[:, 8:] = torch.tensor([-0.6, -0.6, 0.9])[:, None, None]
    return color[None]


def test_regions_tell_where_they_lie_and_what_color_they_have() -> None:
    sheet = layers.divide(sketch(), two_colors(), inked=False)
    found, numbers = regions.find(sheet)
    assert [region.number for region in found] == list(range(1, len(found) + 1))
    assert [region.area for region in found] == sorted((region.area for region in found), reverse=True)
    assert numbers.shape == sheet.drawing.size
    assert sum(region.area for region in found) == numbers.size
    flat = layers.merged(sheet, flat=True).pixels
    for region in found:
        x, y = region.at
        rows, columns = np.nonzero(numbers == region.number)
        assert numbers[y, x] == region.number
        assert f"#{bytes(flat[y, x]).hex()}" == region.color
        assert region.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


def test_a_spot_of_another_color_in_a_region_gets_no_glaring_one() -> None:
    old, new = np.array([[[20, 64, 192]], [[224, 48, 48]]], np.uint8)
    before = np.tile(old, (8, 8, 1))
    before[0] = (255, 255, 255)  # a shine, or what leaked in
    before[1] = (10, 54, 182)  # shade
    drawing = Picture(np.full((8, 8, 1), 255, np.uint8))
    after = regions.recolored(drawing, Picture(before), np.ones((8, 8), np.int32), old, new).pixels
    assert (after[2:] == new).all()
    assert (after[1] == (214, 38, 38)).all()
    assert after[0].min() > 150  # light and dull as it was; a plain shift makes it yellow


def test_the_numbered_picture_shows_every_region_in_its_color_with_a_number() -> None:
    sheet = layers.divide(sketch(300, 200), two_colors(), inked=False)
    found, numbers = regions.find(sheet)
    shown = regions.numbered(sheet, found, numbers)
    scale = max(shown.size) / max(numbers.shape)
    assert max(shown.size) == 1024
    for region in found:
        x, y = (int((one + 0.5) * scale) for one in region.at)
        around = shown.pixels[max(0, y - 90) : y + 90, max(0, x - 90) : x + 90].reshape(-1, 3)
        color = np.array(list(bytes.fromhex(region.color[1:])))
        assert (around == color).all(1).any()
        written = 0 if color @ (0.2126, 0.7152, 0.0722) > 110 else 255
        assert (around == written).all(1).any()


def test_a_number_without_room_stands_beside_its_region() -> None:
    pixels = np.full((400, 400, 1), 255, np.uint8)
    pixels[200:212, 100:102] = pixels[200:212, 110:112] = pixels[200:202, 100:112] = pixels[210:212, 100:112] = 0
    sheet = regions.divide(Picture(pixels), None)
    found, numbers = regions.find(sheet)
    assert len(found) == 2
    shown = regions.numbered(sheet, found, numbers).pixels
    without = regions.numbered(sheet, found[:1], numbers[..., :].clip(max=1)).pixels
    left, top, right, bottom = (round(one * 1024 / 400) for one in found[1].box)
    outside = (shown != without).any(2)
    outside[top - 2 : bottom + 2, left - 2 : right + 2] = False
    assert outside.sum() > 50


def test_shaded_results_list_alike_colors_as_one_and_flat_results_exactly() -> None:
    pixels, rng = np.full((200, 300, 1), 255, np.uint8), np.random.default_rng(0)
    for left in (20, 120, 220):
        pixels[20:180, left : left + 60] = 0
        pixels[24:176, left + 4 : left + 56] = 255
    drawing = Picture(pixels)
    flat = regions.divide(drawing, None)
    colors = rng.integers(100, 104, (len(flat.table), 3)).astype(np.float32) / 255
    exact = layers.merged(replace(flat, table=colors), flat=True)
    assert len(np.unique(regions.divide(drawing, exact).table[1:], axis=0)) > 1
    noisy = exact.pixels + rng.integers(0, 20, (*drawing.size, 1)) * (drawing.pixels == 255)
    found, _ = regions.find(regions.divide(drawing, Picture(noisy.astype(np.uint8))))
    assert len({region.color for region in found}) == 1


def test_a_file_of_regions_is_read_as_it_was_written(tmp_path: Path) -> None:
    sheet = layers.divide(sketch(), two_colors(), inked=False)
    found, numbers = regions.find(sheet)
    odd = (replace(found[0], name='"hat" \\ ünï', source=("a b.png", "hint")), *found[1:])
    result = layers.merged(sheet, flat=False)
    region_files.write(odd, numbers, tmp_path / "a.toml", ("sketch.png", sketch()), (tmp_path / "x" / "r.png", result))
    file = region_files.read(tmp_path / "a.toml")
    assert (file.numbers == numbers).all()
    assert file.names[0] == '"hat" \\ ünï'
    assert [f"#{bytes(one).hex()}" for one in file.colors] == [region.color for region in found]
    assert (file.old == file.colors).all()
    assert file.colored == tmp_path / "x" / "r.png"
    assert file.state.made == ()  # the result does not say that this program made it


def test_a_map_that_is_damaged_is_refused(tmp_path: Path) -> None:
    sheet = layers.divide(sketch(), two_colors(), inked=False)
    region_files.write(*regions.find(sheet), tmp_path / "a.toml", ("sketch.png", sketch()), None)
    chart = files.read(region_files.map_of(tmp_path / "a.toml"))
    files.write(replace(chart, pixels=chart.pixels * np.uint16(0)), region_files.map_of(tmp_path / "a.toml"))
    with pytest.raises(ColorizeError, match="is not the map"):
        region_files.read(tmp_path / "a.toml")
