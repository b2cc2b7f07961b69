"""A sheet shows every picture in its place, many of them small. Bug guarded: sheets too long to look at."""

from __future__ import annotations

import pytest
import torch

from colorize.evaluation import sheets

SIDE = 32


def test_the_sheet_lays_pictures_side_by_side():
    black = torch.full((1, 1, SIDE, SIDE), -1.0)
    made = sheets.contact_sheet([[black, -black], [-black, black]], ["drawing", "result"])
    pixels = made.pixels[sheets.CAPTION :]
    step = SIDE + sheets.GUTTER
    assert pixels.shape[1] == step + SIDE
    assert pixels[5, 5].max() == 0
    assert pixels[5, step + 5].min() == 255
    assert pixels[step + 5, step + 5].max() == 0


def test_48_rows_of_four_stand_in_four_blocks_of_small_pictures():
    rows = [[torch.full((1, 3, 256, 256), at / 24 - 1)] * 4 for at in range(48)]
    pixels = sheets.contact_sheet(rows, ["drawing", "given", "result", "truth"]).pixels
    step = 128 + sheets.GUTTER
    block = 4 * step + 2 * sheets.GUTTER
    assert pixels.shape[:2] == (sheets.CAPTION + 12 * step, 4 * block - 3 * sheets.GUTTER)
    first_of_second = pixels[sheets.CAPTION + 5, block + 5, 0]
    assert first_of_second == round((12 / 24) * 127.5)


@pytest.mark.parametrize("count", [13, 20, 48, 100])
@pytest.mark.parametrize("columns", [1, 3, 4])
def test_many_rows_give_a_sheet_of_about_four_to_three(count, columns):
    rows = [[torch.zeros(1, 3, 32, 32)] * columns] * count
    height, width = sheets.contact_sheet(rows, [""] * columns).pixels.shape[:2]
    assert 0.9 < width / height < 2


def test_twelve_rows_keep_their_size():
    rows = [[torch.zeros(1, 3, 128, 128)]] * 12
    assert sheets.contact_sheet(rows, ["result"]).pixels.shape[1] == 128


def test_squares_of_a_palette_stay_sharp_on_a_sheet():
    two = torch.cat((torch.full((1, 3, 4, 2), -1.0), torch.ones(1, 3, 4, 2)), 3)
    assert sheets.resized(two, 32).unique().tolist() == [-1, 1]
