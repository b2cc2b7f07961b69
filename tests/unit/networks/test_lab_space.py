"""Chroma alone is diffused: there and back, at the picture's own lightness; a map for every level."""

from __future__ import annotations

import pytest
import torch
from conftest import tiny

from colorize.hints import Hints
from colorize.images.color import delta_e, lab_to_rgb, luminance, rgb_to_lab
from colorize.networks.conditions import Pyramid
from colorize.networks.spaces import Lab


def picture(height: int = 32, width: int = 32) -> torch.Tensor:
    """Soft colors in blocks of 8 pixels, (1, 3, H, W)."""
    rng = torch.Generator().manual_seed(2)
    blocks = torch.rand(1, 3, -(-height // 8), -(-width // 8), generator=rng) * 0.8 - 0.4
    return blocks.repeat_interleave(8, 2).repeat_interleave(8, 3)[..., :height, :width]


def same_light(color: torch.Tensor) -> torch.Tensor:
    """Gray of the same L* as the picture, in [-1, 1]."""
    lab = torch.cat([rgb_to_lab(color)[:, :1], torch.zeros_like(color[:, 1:])], 1)
    return lab_to_rgb(lab)[:, :1]


@pytest.mark.parametrize("patch", [1, 4])
def test_there_and_back_is_the_picture(patch: int) -> None:
    color, space = picture(), Lab(patch=patch)
    hints = Hints(gray=same_light(color))
    back = space.decode(space.encode(color, hints), hints)
    small = torch.nn.functional.avg_pool2d(color, patch)
    assert delta_e(rgb_to_lab(back), rgb_to_lab(small)).max() < 0.5


def test_the_answer_has_the_lightness_of_the_gray_picture() -> None:
    gray = luminance(picture())
    space = Lab(patch=1)
    x = torch.zeros(space.shape(Hints(gray=gray)))
    back = space.decode(x, Hints(gray=gray))
    assert (rgb_to_lab(back) - rgb_to_lab(gray.expand(-1, 3, -1, -1)))[:, 0].abs().max() < 1


def test_chroma_is_standardized() -> None:
    published = Lab(patch=1, center=(0.0, 0.0), spread=(110.0, 110.0))
    chroma = rgb_to_lab(picture())[:, 1:]
    torch.testing.assert_close(published.encode(picture(), Hints()), chroma / 110)
    ours = Lab(patch=1, center=(2.0, 8.0), spread=(17.0, 24.0)).encode(picture(), Hints())
    torch.testing.assert_close(ours[:, 1], (chroma[:, 1] - 8) / 24)


def test_the_pyramid_has_a_map_of_every_level_of_the_network() -> None:
    cond = Pyramid(patch=4).build((8, 16, 24))(Hints(gray=torch.zeros(2, 1, 70, 50)))
    # 70 x 50 pixels are padded to multiples of 16.
    assert [tuple(one.shape) for one in cond.maps] == [(2, 8, 20, 16), (2, 16, 10, 8), (2, 24, 5, 4)]


def test_every_map_changes_the_answer() -> None:
    recipe = tiny("lab-diffusion")
    torch.manual_seed(0)
    model = recipe.build().eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.05)
        hints = Hints(gray=luminance(picture()))
        cond = model.condition(hints)
        x, t = torch.zeros(model.space.shape(hints)), torch.tensor([0.5])
        full = model.denoiser(x, t, cond)
        for level in range(len(cond.maps)):
            maps = tuple(one * (at != level) for at, one in enumerate(cond.maps))
            other = model.denoiser(x, t, type(cond)(cond.stack, cond.tokens, maps))
            assert not torch.allclose(full, other, atol=1e-4), level
