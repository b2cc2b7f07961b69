"""Scribbles as tokens: every hint is seen, and both sides of attention know places alike."""

from __future__ import annotations

import pytest
import torch

from colorize.hints import Hints
from colorize.networks.conditions import ScribbleTokens, places

SPEC = ScribbleTokens((8, 8, 16, 16), waves=3, patch=2)


def hints(height: int = 48, width: int = 64, x: int = 8, y: int = 8) -> Hints:
    """One red scribble on white paper with a frame."""
    line = torch.ones(1, 1, height, width)
    line[..., 2, :] = -1
    given = torch.zeros(1, 4, height, width)
    given[:, 3] = -1
    given[..., y : y + 4, x : x + 4] = torch.tensor([1.0, -1.0, -1.0, 1.0])[None, :, None, None]
    return Hints(line=line, hints=given)


def encoder(spec: ScribbleTokens = SPEC) -> torch.nn.Module:
    torch.manual_seed(0)
    made = spec.build()
    with torch.no_grad():  # the second convolutions start at zero
        for weight in made.parameters():
            weight.add_(torch.randn_like(weight) * 0.05)
    return made


def test_there_is_a_token_for_each_cell_of_eight_pixels() -> None:
    cond = encoder()(hints())
    assert cond.tokens.shape == (1, 6 * 8, 16)
    assert cond.stack.shape == (1, SPEC.stacked, 24, 32)


@pytest.mark.parametrize("size", [(33, 47), (31, 64)])
def test_odd_sizes_are_padded(size: tuple[int, int]) -> None:
    cond = encoder()(hints(*size))
    assert cond.tokens.shape[1] == -(-size[0] // 8) * -(-size[1] // 8)
    assert cond.stack.shape[-2:] == (-(-size[0] // 2), -(-size[1] // 2))


def test_a_black_scribble_is_not_the_same_as_none() -> None:
    # A picture with scribbles on it, as published, cannot tell black ones from ink.
    black = hints()
    black["hints"][:, :3] = torch.where(black["hints"][:, 3:] > 0, -1.0, 0.0)
    none = Hints(line=black["line"])
    model = encoder()
    assert not torch.allclose(model(black).tokens, model(none).tokens, atol=1e-3)


def test_a_scribble_is_seen_in_the_tokens_near_it() -> None:
    model, none = encoder(), Hints(line=hints()["line"])
    change = (model(hints(x=48, y=32)).tokens - model(none).tokens).abs().sum(2).view(6, 8)
    # Norms over whole groups tell of it everywhere, but less.
    assert change[3:6, 5:8].mean() > 1.5 * change[:2, :4].mean()


def test_places_of_other_cells_are_the_same_places() -> None:
    fine, coarse = places((64, 64), 2, 3), places((64, 64), 8, 3)
    # The middle of a cell of 8 lies between its middle two cells of 2, whose mean is nearly it.
    mean = torch.nn.functional.avg_pool2d(fine[None], 4)[0]
    assert (mean - coarse).abs().max() < 0.12
    assert (places((64, 64), 8, 3) == places((128, 96), 8, 3)[:, :8, :8]).all()


def test_every_place_within_512_pixels_has_its_own_numbers() -> None:
    cells = places((512, 512), 8, 3).flatten(1).T
    assert len(cells.mul(1000).round().unique(dim=0)) == 64 * 64


def test_no_waves_add_no_planes() -> None:
    spec = ScribbleTokens((8, 8, 16), waves=0)
    cond = encoder(spec)(hints())
    assert cond.stack is None
    assert spec.stacked == 0


def test_strength_scales_the_tokens() -> None:
    assert encoder()(hints(), {}, {"hints": 0.25}).token_scale == 0.25
