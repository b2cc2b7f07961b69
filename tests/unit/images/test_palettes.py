"""Palettes: read, found in pictures, and shown as pictures without a layout."""

from __future__ import annotations

import pytest
import torch
from conftest import figure

from colorize.errors import ColorizeError
from colorize.images import palettes

RED, BLUE = torch.tensor([1.0, -1.0, -1.0]), torch.tensor([-1.0, -1.0, 1.0])


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def colors_of(picture: torch.Tensor) -> set[tuple[int, ...]]:
    return {tuple(row) for row in (picture.flatten(1).T * 100).round().int().tolist()}


def halves(count: int = 1, side: int = 64) -> torch.Tensor:
    """Red on the left, blue on the right quarter, white between."""
    picture = torch.ones(count, 3, side, side)
    picture[..., : side // 2] = RED[:, None, None]
    picture[..., -side // 4 :] = BLUE[:, None, None]
    return picture


@pytest.mark.parametrize("text", ["#ff0000,#00f", " red  blue ", "#F00, blue,"])
def test_colors_are_read_as_hex_or_by_name(text: str) -> None:
    assert torch.equal(palettes.parse(text), torch.stack((RED, BLUE)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("#ff000", "unknown color `#ff000` in the palette"),
        ("red,rgb(1,2,3)", "unknown color"),
        (" , ", "has 0 colors"),
        ("red " * 33, "has 33 colors"),
    ],
)
def test_what_is_no_palette_is_refused(text: str, message: str) -> None:
    with pytest.raises(ColorizeError, match=message) as caught:
        palettes.parse(text)
    assert caught.value.code == 2


def test_swatches_show_every_color_equally_and_nothing_else() -> None:
    shown = palettes.swatches(torch.stack((RED, BLUE)))
    assert shown.shape == (1, 3, palettes.SWATCH, palettes.SWATCH)
    assert colors_of(shown[0]) == {(100, -100, -100), (-100, -100, 100)}
    assert abs(float(shown.mean((2, 3))[0, 0])) < 1e-6


def test_swatches_have_no_layout() -> None:
    shown = palettes.swatches(torch.stack((RED, BLUE)))
    coarse = torch.nn.functional.adaptive_avg_pool2d(shown, 2)
    assert coarse.std((2, 3)).max() < 0.25


def test_dominant_colors_are_found_without_the_paper() -> None:
    found = palettes.dominant(halves(), 6)
    assert torch.allclose(found, torch.stack((RED, BLUE)), atol=0.02)  # the more frequent first


def test_a_white_picture_has_one_color() -> None:
    assert torch.allclose(palettes.dominant(torch.ones(1, 3, 20, 20)), torch.ones(1, 3), atol=1e-3)


def test_dominant_colors_repeat() -> None:
    picture = torch.rand(1, 3, 70, 50, generator=rng()) * 2 - 1
    assert torch.equal(palettes.dominant(picture), palettes.dominant(picture))
    assert palettes.dominant(picture).shape == (6, 3)


def test_simulated_palettes_hold_only_colors_of_their_own_picture() -> None:
    both = torch.cat((halves(), -halves()))
    made = palettes.simulate(both, rng())
    assert made.shape == both.shape
    for picture, source in zip(made, both, strict=True):
        assert colors_of(picture) <= colors_of(source)


def test_simulated_palettes_vary_in_size() -> None:
    noise = torch.rand(32, 3, 64, 64, generator=rng()) * 2 - 1
    sizes = {len(colors_of(one)) for one in palettes.simulate(noise, rng())}
    assert min(sizes) == 2
    assert max(sizes) == palettes.MOST


def test_a_picture_shares_all_its_colors_with_itself_and_none_with_its_negative() -> None:
    both = halves()
    assert palettes.shared(both, both.flip(3)).item() == 1
    green = torch.where(both == 1, both, torch.tensor([-1.0, 0.5, -1.0]).view(3, 1, 1))
    assert palettes.shared(both, green).item() < 0.1


def test_the_share_of_colors_is_that_of_the_first_picture() -> None:
    red = halves()
    red[..., -16:] = 1  # without its blue quarter
    assert palettes.shared(red, halves()).item() == 1
    assert 0.5 < palettes.shared(halves(), red).item() < 0.8


def test_paper_is_no_color_to_share() -> None:
    paper = torch.ones(1, 3, 32, 32)
    assert palettes.shared(paper, halves()).item() == 0
    assert palettes.shared(halves(), paper).item() == 0


def test_a_palette_is_told_from_a_picture_at_any_size() -> None:
    shown = palettes.swatches(torch.tensor([[0.5, -0.2, 0.1], [-0.9, 0.3, 0.8], [0.1, 0.2, 0.9]]))
    for size in (128, 256, 100, 64):
        scaled = torch.nn.functional.interpolate(shown, (size, size), mode="bilinear")
        assert palettes.is_palette(scaled).tolist() == [True], size
    drawn = figure(3, 96)[None] * 2 - 1
    assert palettes.is_palette(drawn).tolist() == [False]
    both = torch.cat([shown, torch.nn.functional.interpolate(drawn, 128)])
    assert palettes.is_palette(both).tolist() == [True, False]
