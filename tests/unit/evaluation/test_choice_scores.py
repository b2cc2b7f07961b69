"""Scores of a choice: the right color, stained paper, given colors used; and what can be reached without learning."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from colorize.evaluation import baselines, metrics
from colorize.evaluation.samples import Sample


def scene() -> tuple[Tensor, Tensor]:
    """A drawing (1, 1, 64, 64) of two boxes, and its truth (1, 3, 64, 64): one red, one blue."""
    line, truth = torch.ones(1, 1, 64, 64), torch.ones(1, 3, 64, 64)
    for left, color in ((6, (0.8, -0.8, -0.7)), (36, (-0.8, -0.6, 0.8))):
        truth[:, :, 10:54, left : left + 22] = torch.tensor(color)[:, None, None]
        line[..., 10:54, [left, left + 21]] = -1
        line[..., [10, 53], left : left + 22] = -1
    return line, torch.where(line < 0, -1.0, truth)


def test_the_truth_is_right_everywhere_and_stains_nothing() -> None:
    line, truth = scene()
    assert metrics.area_right(truth, truth, line) == 1
    assert metrics.stain(truth, truth, line) == 0
    assert metrics.hues(truth, truth) == 1


def test_a_wrong_box_costs_its_share_of_the_colored_area() -> None:
    line, truth = scene()
    result = truth.clone()
    result[:, :, :, 32:] = torch.where(line[..., 32:] < 0, -1.0, truth[:, :, 30:31, 10:11])
    assert metrics.area_right(result, truth, line) == pytest.approx(0.5, abs=0.01)
    assert metrics.stain(result, truth, line) > 0.3


def test_one_hue_over_everything_shows_in_hues_and_colors_used() -> None:
    _, truth = scene()
    one = torch.where((truth[:, 2:] > 0) & (truth[:, :1] < 0.9), truth[:, :, 30:31, 10:11], truth)
    assert metrics.hues(one, truth) < 1
    assert metrics.colors_used(truth, truth) == 1
    assert metrics.colors_used(one, truth) == 0.5


def test_scores_are_none_where_they_say_nothing() -> None:
    white = torch.ones(1, 3, 64, 64)
    assert metrics.area_right(white, white) is None
    assert metrics.colors_used(white, white) is None
    assert metrics.stain(white, torch.zeros(1, 3, 64, 64)) is None


def test_the_matcher_finds_the_same_place_in_a_reference_of_the_same_pose() -> None:
    line, truth = scene()
    sample = Sample("a.png", "", "line", truth, line, truth.flip(3).roll(2, 3).flip(3))
    made = baselines.region_matcher(sample)
    assert metrics.area_right(made, truth, line) > 0.9


def test_oracles_bound_what_can_be_reached() -> None:
    line, truth = scene()
    known = Sample("a.png", "", "line", truth, line, truth)
    for whole in (True, False):
        assert metrics.area_right(baselines.oracle(known, whole), truth, line) > 0.9  # cells
    red = torch.where(truth[:, 2:] > 0, 1.0, truth)  # a reference that has no blue
    known = Sample("a.png", "", "line", truth, line, red)
    assert metrics.area_right(baselines.oracle(known, False), truth, line) < 0.6
