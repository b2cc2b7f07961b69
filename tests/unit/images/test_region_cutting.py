"""Drawings cut into regions: closed between lines of any ink, and joined where they open widely."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from colorize.images import flat_regions


def boxes(ink: float = 1.0, gap: int = 0, paper: float = 1.0) -> torch.Tensor:
    """Two boxes side by side, 64 x 64, on paper; the wall between them has an opening of `gap` pixels."""
    line = torch.full((1, 1, 64, 64), paper)
    dark = paper - 2 * ink
    line[..., 8:56, [8, 9, 31, 32, 54, 55]] = dark
    line[..., [8, 9, 54, 55], 8:56] = dark
    line[..., 32 - gap // 2 : 32 + gap - gap // 2, 31:33] = paper
    return line


@pytest.mark.parametrize("ink", [1.0, 0.5, 0.25])
def test_pencil_and_gray_ink_are_lines_too(ink: float) -> None:
    labels = flat_regions.cut(boxes(ink), 50)[0]
    assert len({int(labels[y, x]) for y, x in ((1, 1), (16, 10), (16, 22))}) == 3


def test_gray_paper_is_no_ink() -> None:
    labels = flat_regions.cut(boxes(0.3, paper=0.4), 50)[0]
    assert len({int(labels[y, x]) for y, x in ((1, 1), (16, 10), (16, 22))}) == 3


def test_a_gap_in_a_line_is_closed() -> None:
    labels = flat_regions.cut(boxes(gap=4), 50)[0]
    assert labels[16, 10] != labels[16, 22]


def test_larger_regions_have_lower_numbers_and_small_ones_join_the_nearest() -> None:
    line = boxes()
    labels = flat_regions.cut(line, 50)[0]
    areas = torch.bincount(labels.flatten())
    assert (areas.diff() <= 0).all()
    assert int(flat_regions.cut(line, 2).max()) == 1


@pytest.mark.parametrize("value", [-1.0, 1.0])
def test_a_sheet_of_one_color_is_one_region(value: float) -> None:
    assert int(flat_regions.cut(torch.full((1, 1, 40, 30), value), 9).max()) == 0


def test_walls_stand_where_a_gray_picture_changes() -> None:
    gray = torch.zeros(1, 1, 8, 8)
    gray[..., 4:] = 0.5
    walls = flat_regions.walls(gray)
    assert (walls[..., 3] == -1).all()
    assert (walls[..., 5:] == 1).all()


def test_a_wide_passage_joins_two_regions_and_a_gap_does_not() -> None:
    labels = np.zeros((20, 40), np.int64)
    labels[:, 20:] = 1
    clear = np.ones((20, 40), bool)
    assert list(flat_regions.passages(labels, clear)) == [0, 0]
    clear[:, 19:21] = False
    clear[9:11, 19:21] = True
    assert list(flat_regions.passages(labels, clear)) == [0, 1]


def test_five_thousand_regions_are_counted_out_in_bounded_number() -> None:
    line = torch.ones(1, 1, 256, 256)
    line[..., ::3, :] = -1
    line[..., :, ::3] = -1
    assert int(flat_regions.cut(line, 400, step=1).max()) <= 399
