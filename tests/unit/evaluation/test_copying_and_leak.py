"""Copied layouts and colors that run over lines are punished, and nothing else is. Bug guarded: flattering means."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from colorize.evaluation import baselines
from colorize.evaluation.metrics import METRICS, copying
from colorize.evaluation.regions import leak
from colorize.evaluation.samples import Sample

SIDE = 64
RED, BLUE, YELLOW = (0.8, -0.6, -0.6), (-0.6, -0.6, 0.8), (0.9, 0.8, -0.7)


def squares(*places: tuple[int, int, tuple[float, float, float]], side: int = 22) -> torch.Tensor:
    """Squares of flat colors at (top, left) on white, (1, 3, SIDE, SIDE)."""
    picture = torch.ones(1, 3, SIDE, SIDE)
    for top, left, color in places:
        picture[..., top : top + side, left : left + side] = torch.tensor(color).view(3, 1, 1)
    return picture


def outlines(*places: tuple[int, int], side: int = 22) -> torch.Tensor:
    """The line art of such squares, two pixels wide, outside of the color: (1, 1, SIDE, SIDE)."""
    line = torch.ones(1, 1, SIDE, SIDE)
    for top, left in places:
        line[..., top - 2 : top + side + 2, left - 2 : left + side + 2] = -1
        line[..., top : top + side, left : left + side] = 1
    return line


def blurred(picture: torch.Tensor, radius: int) -> torch.Tensor:
    padded = F.pad(picture, (radius,) * 4, "replicate")
    return F.avg_pool2d(padded, 2 * radius + 1, 1)


TRUTH = squares((8, 6, RED), (8, 36, BLUE))
LINE = outlines((8, 6), (8, 36))
STRANGER = squares((34, 6, YELLOW), (34, 36, RED))


def copied(result: torch.Tensor, truth=TRUTH, reference=STRANGER) -> float:
    return copying(result, truth, reference).item()


def test_the_truth_copies_nothing():
    assert copied(TRUTH) == 0


def test_gray_copies_nothing():
    assert copied(LINE.expand(-1, 3, -1, -1)) == 0


def test_the_reference_itself_is_the_worst_copy():
    # R^2 of STRANGER by TRUTH is below 0.3: the paper around both is all they share.
    assert copied(STRANGER) > 0.7


def test_the_baseline_that_copies_scores_high():
    sample = Sample("a.png", "", "line", TRUTH, LINE, STRANGER, mode="shuffled")
    assert copied(baselines.reference_copy(sample)) > 0.6


def test_half_a_copy_lies_between():
    assert 0.1 < copied((TRUTH + STRANGER) / 2) < copied(STRANGER)


def test_colors_of_the_reference_in_the_places_of_the_truth_are_no_copy():
    assert abs(copied(squares((8, 6, YELLOW), (8, 36, RED)))) < 0.15


def test_a_layout_that_truth_and_reference_share_is_no_copy():
    recolored = squares((8, 6, BLUE), (8, 36, YELLOW))
    assert copied(recolored, reference=recolored) == pytest.approx(0, abs=0.02)


def test_a_faint_copy_is_nearly_none():
    faint = 0.005 * STRANGER  # varies by less than one ab unit
    assert abs(copied(faint)) < 0.5 * copied(STRANGER)


def test_copying_takes_references_of_any_size():
    small = F.interpolate(STRANGER, (48, 32), mode="area")
    assert copied(STRANGER, reference=small) == pytest.approx(copied(STRANGER), abs=0.02)


@pytest.mark.parametrize("mode", ["same", "palette", "none", "hints"])
def test_copying_is_scored_only_where_the_reference_has_another_layout(mode):
    sample = Sample("a.png", "", "line", TRUTH, LINE, STRANGER, mode=mode)
    assert METRICS["copying"].score(STRANGER, sample) is None


def test_flat_regions_leak_nothing():
    assert leak(TRUTH, TRUTH, LINE) == 0


def test_flat_regions_of_other_colors_leak_nothing():
    under = squares((8, 6, YELLOW), (8, 36, RED))
    assert leak(torch.minimum(under, LINE), TRUTH, LINE) == 0


def test_the_truth_out_of_place_leaks():
    moved = torch.roll(TRUTH, 4, 3)  # over two pixels of ink and two of paper
    found = leak(moved, TRUTH, LINE)
    assert found is not None
    assert found > 0.1


def test_blur_leaks_and_more_blur_leaks_more():
    less, more = (leak(blurred(TRUTH, radius), TRUTH, LINE) for radius in (4, 8))
    assert less is not None
    assert more is not None
    assert 0.1 < less < more


def test_small_pictures_are_judged_too():
    small = [F.interpolate(picture, (32, 32)) for picture in (torch.roll(TRUTH, 4, 3), TRUTH, LINE)]
    found = leak(*small)
    assert found is not None
    assert found > 0.1


def test_where_the_truth_crosses_a_line_itself_nothing_is_judged():
    moved = torch.roll(TRUTH, 4, 3)
    assert leak(moved, moved, LINE) == 0


def test_a_result_of_one_color_cannot_be_judged():
    assert leak(torch.zeros_like(TRUTH), TRUTH, LINE) is None


@pytest.mark.parametrize("shade", [-1.0, 1.0])
def test_a_drawing_without_lines_or_without_paper_cannot_be_judged(shade):
    assert leak(TRUTH, TRUTH, torch.full((1, 1, SIDE, SIDE), shade)) is None


def test_gray_pictures_have_no_lines_to_run_over():
    sample = Sample("a.png", "", "gray", TRUTH, LINE)
    assert METRICS["leak"].score(TRUTH, sample) is None
