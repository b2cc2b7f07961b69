"""Claims about simulated hints and what users hand in through scribbles."""

import json

import numpy as np
import pytest
import torch

from colorize.errors import ColorizeError
from colorize.images import color_hints
from colorize.images.hint_files import parse, resize

RED, BLUE = ((0.8, -0.6, -0.6), (-0.6, -0.6, 0.8))


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def halves(batch: int = 8, size: int = 64) -> torch.Tensor:
    """Red on the left, blue on the right, thin black ink between."""
    color = torch.tensor(RED).view(1, 3, 1, 1).repeat(batch, 1, size, size)
    color[..., size // 2 :] = torch.tensor(BLUE).view(1, 3, 1, 1)
    color[..., size // 2] = -1
    return color


def hinted(hints: torch.Tensor) -> torch.Tensor:
    """Colors (N, 3) of all hinted pixels."""
    return hints[:, :3].movedim(1, 3)[hints[:, 3] > 0]


def point(**changes: object) -> str:
    return json.dumps({"points": [{"x": 4, "y": 2, "color": "#ff0000", "radius": 1} | changes]})


def test_picked_pixels_are_about_the_share_asked_for_and_never_gray():
    color = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    color[:, :, :, 32:] = color[:, :1, :, 32:]  # gray
    picked = color_hints.pick(color, 0.1, [3, 4])
    chosen = picked[:, 3:] > 0
    assert 0.04 < chosen.float().mean() < 0.06
    assert not chosen[..., 32:].any()
    assert torch.equal(picked[:, :3], torch.where(chosen, color, 0.0))
    assert torch.equal(picked[1:], color_hints.pick(color[1:], 0.1, [4]))  # whatever else is in the batch


def test_more_hints_can_be_asked_for() -> None:
    few, many = ((color_hints.simulate(halves(64), rng(), count)[:, 3] > 0).float().mean() for count in (3, 30))
    assert 5 * few < many < 15 * few  # of 64 pictures


def test_pixels_without_hint_are_zero():
    hints = color_hints.simulate(halves(), rng())
    assert (hints[:, :3].abs().sum(1)[hints[:, 3] < 0] == 0).all()


def test_the_mask_is_minus_one_or_one():
    assert set(color_hints.simulate(halves(), rng())[:, 3].unique().tolist()) == {-1.0, 1.0}


def test_hints_have_colors_of_areas_and_no_mixtures():
    """A mean across an edge would teach the network muddy hints; ink is no hint."""
    apart = torch.cdist(hinted(color_hints.simulate(halves(64), rng())), torch.tensor((RED, BLUE)))
    assert (apart.amin(1) < 1e-3).float().mean() > 0.99


def test_a_hint_is_flat_where_the_picture_is_not():
    grain = torch.rand(4, 3, 64, 64, generator=rng()) * 0.2
    colors = hinted(color_hints.simulate(grain, rng()))
    assert 0 < len(colors.unique(dim=0)) < len(colors) / 2


def test_most_pictures_have_few_hints_and_some_have_none():
    counts = torch.bincount(color_hints._draw(torch.zeros(2000, 3, 8, 8), rng(), color_hints.COUNT).row, minlength=2000)
    assert counts.max() <= color_hints.MOST * color_hints.COUNT
    assert 3 < counts.float().median() < 6
    assert (counts == 0).any()


def test_dots_grow_with_the_picture():
    small, large = (color_hints.simulate(halves(64, size), rng())[:, 3] > 0 for size in (64, 128))
    assert large.float().mean() == pytest.approx(small.float().mean().item(), rel=0.25)


def test_rows_do_not_take_colors_of_other_rows():
    color = torch.cat((halves(1), -torch.ones(1, 3, 64, 64)))
    assert (hinted(color_hints.simulate(color, rng())[1:]) == -1).all()


def test_equal_generators_make_equal_hints():
    assert torch.equal(color_hints.simulate(halves(), rng(1)), color_hints.simulate(halves(), rng(1)))


def test_scattered_hints_cover_the_share_asked_for():
    hints = color_hints.scatter(halves(1, 256), 0.005, seed=0)
    assert (hints[:, 3] > 0).float().mean().item() == pytest.approx(0.005, rel=0.02)


def test_scattered_hints_depend_on_their_seed_only():
    first, second, other = (color_hints.scatter(halves(1), 0.02, seed) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_scattered_hints_lie_at_the_same_places_in_every_row():
    mask = color_hints.scatter(halves(2), 0.02, seed=0)[:, 3]
    assert torch.equal(mask[0], mask[1])


def test_a_share_of_zero_gives_no_hint():
    assert (color_hints.scatter(halves(1), 0.0, seed=0)[:, 3] == -1).all()


def test_one_hinted_pixel_survives_shrinking_with_its_color():
    hints = color_hints.blank(torch.zeros(1, 3, 64, 64))
    hints[0, :, 10, 10] = torch.tensor((*RED, 1.0))
    small = resize(hints, (4, 4))
    torch.testing.assert_close(hinted(small), torch.tensor([RED]))


def test_shrinking_does_not_spread_hints_to_cells_they_barely_touch():
    hints = color_hints.blank(torch.zeros(1, 3, 128, 128))
    hints[0, 3, 32:65, 32:65] = 1  # four cells of 16 px, and one row and column more
    assert (resize(hints, (8, 8))[:, 3] > 0).sum() == 4


def test_enlarging_mixes_no_colors():
    large = resize(color_hints.scatter(halves(1), 0.05, seed=0), (150, 170))
    assert len(hinted(large).unique(dim=0)) <= 3


def test_a_json_point_becomes_a_dot_of_its_color():
    hints = parse(point(), (8, 8))
    assert hints[0, :, 2, 4].tolist() == [1, -1, -1, 1]
    assert 1 < (hints[:, 3] > 0).sum() < 10


def test_a_json_stroke_joins_its_points():
    text = '{"strokes": [{"points": [[1, 4], [14, 4]], "color": "#0000ff", "width": 1}]}'
    assert (parse(text, (16, 16))[0, 3, 4, 1:15] == 1).all()


def test_a_json_stroke_may_have_a_radius() -> None:
    text = '{"strokes": [{"points": [[1, 8], [14, 8]], "color": "#0000ff", "radius": 2}]}'
    assert (parse(text, (16, 16))[0, 3, :, 8] > 0).sum() == 5


def test_later_hints_lie_on_top():
    dots = [{"x": 4, "y": 4, "color": c, "radius": 1} for c in ("#ff0000", "#0000ff")]
    hints = parse(json.dumps({"points": dots}), (8, 8))
    assert hints[0, :3, 4, 4].tolist() == [-1, -1, 1]


def test_json_colors_may_be_names():
    named, hexed = (
        parse(f'{{"points": [{{"x": 4, "y": 2, "color": "{color}", "radius": 1}}]}}', (8, 8))
        for color in ("red", "#ff0000")
    )
    assert torch.equal(named, hexed)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"points": [', "not valid JSON: .* line 1"),
        ("[]", "a JSON list"),
        ("{}", "no points or strokes"),
        ('{"pionts": []}', "unknown key `pionts` .did you mean `points`"),
        (point(x=8), r"point 1 is at \(8, 2\), outside the drawing of 8 x 8"),
        (point(y=-1), r"\(4, -1\), outside"),
        (point(x=None), r"needs a place x, y, not `\(None, 2\)`"),
        (point(x=float("nan")), "outside the drawing"),
        (point(color="reddish"), "color of point 1 is `reddish`"),
        (point(radius=0), "radius of point 1 is `0`"),
        (point(colour="#ffffff"), "unknown key `colour`"),
        ('{"points": [5]}', "point 1 is `5`, not an object"),
        ('{"strokes": [{"color": "#ffffff"}]}', "stroke 1 has no points"),
        ('{"strokes": 3}', "must be lists"),
    ],
)
def test_json_mistakes_get_a_sentence(text, sentence):
    with pytest.raises(ColorizeError, match=sentence):
        parse(text, (8, 8))


def test_opaque_pixels_of_a_picture_are_hints():
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[2, 4] = (255, 0, 0, 255)
    hints = parse(rgba, (8, 8))
    assert hints[0, :, 2, 4].tolist() == [1, -1, -1, 1]
    assert (hints[:, 3] > 0).sum() == 1


def test_pictures_of_16_bit_have_the_same_colors():
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[2, 4] = (200, 100, 0, 255)
    deep = rgba.astype(np.uint16) * 257
    torch.testing.assert_close(parse(deep, (8, 8)), parse(rgba, (8, 8)))


@pytest.mark.parametrize(
    ("rgba", "sentence"),
    [
        (np.zeros((8, 8, 4), np.uint8), "there is no hint"),
        (np.full((8, 8, 4), 255, np.uint8), "opaque everywhere"),
        (np.zeros((8, 8, 3), np.uint8), "no transparency"),
        (np.zeros((8, 16, 4), np.uint8), "16 x 8 pixels, the drawing is 8 x 8"),
    ],
)
def test_picture_mistakes_get_a_sentence(rgba, sentence):
    with pytest.raises(ColorizeError, match=sentence):
        parse(rgba, (8, 8))
