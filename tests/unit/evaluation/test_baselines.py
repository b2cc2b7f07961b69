"""The baselines are as good as such simple methods can be, and no better than they say."""

from __future__ import annotations

import pytest
import torch

from colorize.errors import ColorizeError
from colorize.evaluation import baselines
from colorize.evaluation.samples import MODES, Sample
from colorize.images.color import luminance

SIDE = 64
RED = torch.tensor([0.8, -0.6, -0.6])
BLUE = torch.tensor([-0.6, -0.6, 0.8])


def boxes() -> torch.Tensor:
    """Line art of two closed boxes side by side, (1, 1, SIDE, SIDE)."""
    line = torch.ones(1, 1, SIDE, SIDE)
    for left in (6, 36):
        line[..., 10:54, left : left + 22] = -1
        line[..., 12:52, left + 2 : left + 20] = 1
    return line


def hints(*dots: tuple[int, int, torch.Tensor]) -> torch.Tensor:
    """Hints of 3 x 3 pixels at (y, x), each of one color."""
    made = torch.zeros(1, 4, SIDE, SIDE)
    made[:, 3] = -1
    for y, x, color in dots:
        made[0, :3, y - 1 : y + 2, x - 1 : x + 2] = color.view(3, 1, 1)
        made[0, 3, y - 1 : y + 2, x - 1 : x + 2] = 1
    return made


def sample(kind="line", drawing=None, **given) -> Sample:
    drawing = boxes() if drawing is None else drawing
    return Sample("a.png", "", kind, torch.ones(1, 3, SIDE, SIDE), drawing, **given)


def reference(color: torch.Tensor, ground: float = 1.0) -> torch.Tensor:
    """A square of one color with black outline on a ground of its own."""
    picture = torch.full((1, 3, SIDE, SIDE), ground)
    picture[..., 14:50, 14:50] = -1
    picture[0, :, 16:48, 16:48] = color.view(3, 1, 1)
    return picture


LEFT, RIGHT, PAPER = (32, 17), (32, 47), (3, 3)


def at(picture: torch.Tensor, place: tuple[int, int]) -> torch.Tensor:
    return picture[0, :, place[0], place[1]]


def test_each_region_takes_the_color_of_its_hint():
    out = baselines.nearest_hint(sample(hints=hints((*LEFT, RED), (*RIGHT, BLUE))))
    inside_left, inside_right = out[0, :, 12:52, 8:26], out[0, :, 12:52, 38:56]
    assert (inside_left - RED.view(3, 1, 1)).abs().max() < 1e-5
    assert (inside_right - BLUE.view(3, 1, 1)).abs().max() < 1e-5


def test_paper_outside_stays_white_unless_hinted():
    out = baselines.nearest_hint(sample(hints=hints((*LEFT, RED))))
    assert at(out, PAPER).min() == 1


def test_paper_outside_takes_a_hint_of_its_own():
    out = baselines.nearest_hint(sample(hints=hints((3, 30, BLUE))))
    assert torch.allclose(at(out, PAPER), BLUE, atol=1e-5)


def test_a_region_without_hints_takes_the_nearest():
    out = baselines.nearest_hint(sample(hints=hints((*LEFT, RED))))
    assert torch.allclose(at(out, RIGHT), RED, atol=1e-5)


def test_two_hints_in_a_region_share_it_by_nearness():
    out = baselines.nearest_hint(sample(hints=hints((16, 17, RED), (48, 17, BLUE))))
    assert (at(out, (15, 12)) - RED).abs().max() < 0.05
    assert (at(out, (49, 12)) - BLUE).abs().max() < 0.05


def test_a_small_gap_in_the_line_does_not_leak():
    leaky = boxes()
    leaky[..., 32, 6:8] = 1  # one pixel of the left wall
    out = baselines.nearest_hint(sample(drawing=leaky, hints=hints((*LEFT, RED))))
    assert at(out, PAPER).min() == 1


def test_a_hint_that_lies_on_ink_colors_nothing():
    black = torch.full((3,), -1.0)
    out = baselines.nearest_hint(sample(hints=hints((*LEFT, RED), (32, 37, black))))
    assert torch.allclose(at(out, RIGHT), RED, atol=1e-5)


def test_no_hint_at_all_leaves_the_drawing():
    out = baselines.nearest_hint(sample(hints=hints()))
    assert torch.equal(out, boxes().expand(-1, 3, -1, -1))


@pytest.mark.parametrize("mode", MODES)
def test_no_baseline_makes_ink_lighter(mode):
    given = {"reference": reference(RED), "hints": hints((*LEFT, RED))}
    ink = boxes() < 0
    for baseline in baselines.find(["all"], [mode]):
        out = baseline.paint(sample(**given))
        assert out[ink.expand(-1, 3, -1, -1)].max() <= -1 + 1e-6, baseline.name


@pytest.mark.parametrize("mode", MODES)
def test_gray_pictures_keep_their_luma(mode):
    ramp = torch.linspace(-1, 1, SIDE).expand(1, 1, SIDE, SIDE)
    given = {"reference": reference(RED), "hints": hints((*LEFT, RED), (*RIGHT, BLUE))}
    for baseline in baselines.find(["all"], [mode]):
        out = baseline.paint(sample("gray", ramp, **given))
        assert (luminance(out) - ramp).abs().max() < 1e-4, baseline.name


def test_statistics_fill_the_figure_without_the_ink_of_the_reference():
    out = baselines.reference_statistics(sample(reference=reference(RED)))
    assert torch.allclose(at(out, LEFT), RED, atol=1e-4)


def test_statistics_leave_paper_around_the_figure_white():
    out = baselines.reference_statistics(sample(reference=reference(RED)))
    assert at(out, PAPER).min() == 1


def test_statistics_color_the_ground_if_the_reference_has_one():
    out = baselines.reference_statistics(sample(reference=reference(RED, ground=0.2)))
    assert at(out, PAPER).max() < 1


def test_statistics_of_grays_give_each_luma_the_chroma_it_has_in_the_reference():
    both = torch.cat((reference(RED)[..., :32], reference(BLUE)[..., 32:]), 3)
    dark, light = sorted((RED, BLUE), key=lambda c: luminance(c.view(1, 3, 1, 1)).item())
    flat = luminance(dark.view(1, 3, 1, 1)).expand(1, 1, SIDE, SIDE)
    out = at(baselines.reference_statistics(sample("gray", flat, reference=both)), LEFT)
    assert (out - dark).abs().sum() < (out - light).abs().sum()


def test_a_copy_takes_colors_from_the_same_place():
    out = baselines.reference_copy(sample(reference=reference(RED)))
    assert (at(out, (32, 24)) - RED).abs().max() < 0.1


def test_gray_is_the_drawing():
    assert torch.equal(baselines.gray(sample()), boxes().expand(-1, 3, -1, -1))


def test_only_gray_applies_when_nothing_is_given():
    assert [one.name for one in baselines.find(["all"], ["none"])] == ["gray"]


def test_a_stranger_can_be_copied_and_a_palette_cannot():
    found = {mode: [one.name for one in baselines.find(["all"], [mode])] for mode in MODES}
    assert found["shuffled"] == ["gray", "reference-statistics", "reference-copy", "region-matcher"]
    assert found["palette"] == ["gray", "reference-statistics"]


def test_statistics_of_a_palette_leave_paper_white_and_fill_the_figure():
    swatches = RED.view(1, 3, 1, 1).expand(1, 3, 128, 128)
    out = baselines.reference_statistics(sample(reference=swatches, mode="palette"))
    assert at(out, PAPER).min() == 1
    assert torch.allclose(at(out, LEFT), RED, atol=1e-4)


def test_reference_baselines_do_not_apply_to_hints():
    assert [one.name for one in baselines.find(["all"], ["hints"])] == ["gray", "nearest-hint"]


def test_a_baseline_without_what_it_needs_says_so():
    with pytest.raises(ColorizeError, match="needs `hints`"):
        baselines.nearest_hint(sample())


def test_a_misspelt_baseline_gets_the_nearest_name():
    with pytest.raises(ColorizeError) as caught:
        baselines.find(["nearest-hin"], MODES)
    assert "nearest-hint" in caught.value.hint
