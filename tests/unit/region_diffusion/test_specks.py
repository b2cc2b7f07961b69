"""White specks in colored areas are filled, white areas stay."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from colorize.region_diffusion.choosing import Offer


@pytest.mark.parametrize(("side", "stays"), [(2, False), (5, True)])
def test_white_specks_take_the_color_around_them(side: int, stays: bool) -> None:
    drawing = SimpleNamespace(
        paper=lambda: torch.ones(100), areas=torch.zeros(1).long(), labels=torch.zeros(1, 10, 10).long(), size=(10, 10)
    )
    colors = torch.tensor([[[1.0, 1.0, 1.0], [0.5, -0.5, -0.5], [-0.5, -0.5, 0.5]]])
    offer = SimpleNamespace(drawing=drawing, votes=torch.zeros(3, 100), choices=SimpleNamespace(colors=colors))
    pick = torch.ones(10, 10).long()
    pick[:side, :side] = 0
    pick[-2:, -2:] = 2  # a speck of another color stays: it may be a detail
    found = Offer._filled(offer, pick.flatten()).view(10, 10)  # type: ignore[arg-type]
    assert bool((found[:side, :side] == 0).all()) == stays
    assert (found[-2:, -2:] == 2).all()
