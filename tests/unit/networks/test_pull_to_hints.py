"""Hints are obeyed: by areas of line art, by shades of gray pictures, and nowhere else."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from colorize.hints import Hints
from colorize.images import finish
from colorize.images.color import luminance
from colorize.networks.spaces import RGB, Field

HUE = torch.tensor([0.5, -0.5, 0.25])


def hints(side: int, *dots: tuple[int, int, Tensor]) -> Tensor:
    """Single cells with a color each."""
    made = torch.zeros(1, 4, side, side)
    made[:, 3] = -1
    for y, x, color in dots:
        made[0, :3, y, x], made[0, 3, y, x] = color, 1
    return made


def walled(side: int = 16, at: int = 8) -> Tensor:
    """Paper with a line from top to bottom."""
    paper = torch.ones(1, 1, side, side)
    paper[..., at] = -1
    return paper


def test_an_area_that_a_hint_reaches_follows_it_and_the_others_stay() -> None:
    result = finish.along_lines(torch.zeros(1, 3, 16, 16), hints(16, (4, 3, HUE)), walled())
    torch.testing.assert_close(result[0, :, 12, 5], HUE)
    assert (result[..., 9:] == 0).all()


def test_the_hint_itself_has_its_very_color_in_an_uneven_field() -> None:
    field = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 0.3
    given = hints(16, (4, 3, HUE), (12, 6, -HUE))
    result = finish.along_lines(field, given, walled())
    torch.testing.assert_close(result[0, :, 4, 3], HUE)
    torch.testing.assert_close(result[0, :, 12, 6], -HUE)


def test_a_colored_stroke_across_a_line_colors_both_sides() -> None:
    given = hints(16, *((4, x, HUE) for x in range(6, 11)))
    result = finish.along_lines(torch.zeros(1, 3, 16, 16), given, walled())
    assert (result[0, 0, :12, :8] > 0.2).all()
    assert (result[0, 0, :12, 9:] > 0.2).all()


def test_shades_that_are_alike_take_the_color_of_their_hint() -> None:
    gray = torch.full((1, 1, 16, 16), 0.6)
    gray[..., 8:] = -0.6
    chroma = HUE - luminance(HUE.view(1, 3, 1, 1))[0, 0, 0, 0]
    given = hints(16, (4, 7, HUE), (12, 8, -HUE))
    result = finish.along_shades(gray.expand(1, 3, 16, 16), given, gray)
    found = result - luminance(result)
    torch.testing.assert_close(found[0, :, 4, 7], chroma, atol=0.02, rtol=0)
    assert ((found[0, :, :, :8] - chroma[:, None, None]).abs() < 0.25).all()
    assert ((found[0, :, :, 8:] + chroma[:, None, None]).abs() < 0.25).all()


def test_shades_keep_their_luma_and_pictures_without_hints_stay() -> None:
    rng = torch.Generator().manual_seed(0)
    color = torch.rand(2, 3, 12, 12, generator=rng) - 0.5
    gray = torch.rand(2, 1, 12, 12, generator=rng)
    given = torch.cat((hints(12, (3, 3, HUE)), hints(12)))
    result = finish.along_shades(color, given, gray)
    torch.testing.assert_close(luminance(result), luminance(color))
    assert torch.equal(result[1], color[1])


def test_many_hinted_cells_are_thinned_evenly(monkeypatch) -> None:
    gray = torch.zeros(1, 1, 16, 16)
    given = torch.cat((HUE.view(1, 3, 1, 1).expand(1, 3, 16, 16), torch.ones(1, 1, 16, 16)), 1)
    whole = finish.along_shades(gray.expand(1, 3, 16, 16), given, gray)
    monkeypatch.setattr(finish, "MOST", 10)
    thinned = finish.along_shades(gray.expand(1, 3, 16, 16), given, gray)
    torch.testing.assert_close(thinned, whole, atol=0.15, rtol=0)


def drawn() -> tuple[Tensor, Hints]:
    """A picture with a black line on pale paper, and one hint beside it."""
    line = walled(32, 16)
    color = torch.where(line > 0, 0.4, -1.0).expand(1, 3, 32, 32)
    return color, Hints(line=line, hints=hints(32, (8, 6, HUE)))


def test_whole_pictures_obey_up_to_the_line_and_keep_its_ink() -> None:
    color, given = drawn()
    result = RGB().decode(color, given)
    torch.testing.assert_close(result[0, :, 8, 6], HUE)
    assert ((result[..., :15] - HUE[:, None, None]).abs() < 0.01).all()
    assert (result[..., 16] == -1).all()
    torch.testing.assert_close(result[..., 18:], color[..., 18:])


def test_whole_gray_pictures_obey_and_keep_their_luma() -> None:
    gray = torch.linspace(-0.5, 0.5, 32).expand(1, 1, 32, 32)
    given = Hints(gray=gray, hints=hints(32, (8, 6, HUE * 0.4)))
    result = RGB().decode(gray.expand(1, 3, 32, 32), given)
    torch.testing.assert_close(luminance(result), gray)
    told = HUE * 0.4 - luminance(HUE.view(1, 3, 1, 1) * 0.4)[0, 0, 0, 0]
    torch.testing.assert_close((result - gray)[0, :, 8, 6], told, atol=0.02, rtol=0)


@pytest.mark.parametrize("space", [RGB(), Field()], ids=lambda space: type(space).__name__)
def test_hints_are_obeyed_by_their_strength_in_every_space(space: RGB | Field) -> None:
    color, given = drawn()
    x = space.encode(color, given)
    none, half, whole = (space.decode(x, given, strength) for strength in (0.0, 0.5, 1.0))
    torch.testing.assert_close(none, space.decode(x, Hints(line=given["line"])))
    torch.testing.assert_close(half, (none + whole) / 2)
    assert (whole - none).abs().max() > 0.5


def test_a_hint_reaches_the_far_corner_of_an_empty_sheet() -> None:
    result = finish.along_lines(torch.zeros(1, 3, 16, 16), hints(16, (0, 0, HUE)), torch.ones(1, 1, 16, 16))
    torch.testing.assert_close(result[0, :, 15, 15], HUE)
