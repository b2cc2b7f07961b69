"""White specks are filled, white areas stay, small areas have one tone, and colors keep to their side of a line."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from colorize.region_diffusion.choosing import Drawing, Offer, _one_tone


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


def test_cells_beside_a_line_have_the_color_of_their_own_side() -> None:
    """Cells that hold some of a slanted line would else be beads of the other side's color."""
    picture = torch.ones(1, 1, 80, 80)
    for row in range(80):
        picture[..., row, 20 + row // 2] = -1
    labels = torch.zeros(1, 40, 40).long()
    labels[0] = (torch.arange(40)[None] > (10 + torch.arange(40) // 2)[:, None]).long()
    pieces = SimpleNamespace()
    drawing = Drawing(picture, False, labels, pieces, torch.zeros(1, 2, 2, 1), pieces, pieces)  # type: ignore[arg-type]
    drawing.__dict__["areas"] = torch.arange(2)
    pick = labels.flatten().clone()
    clear = drawing.inner == torch.arange(1600)
    pick[~clear] = 1 - pick[~clear]  # all cells beside the line are wrong
    assert 40 <= int((~clear).sum()) <= 200
    assert (pick[drawing.inner] == labels.flatten()).all()
    thin = replace(drawing, picture=-torch.ones(1, 1, 80, 80))
    thin.__dict__["areas"] = torch.arange(2)
    assert (thin.inner == torch.arange(1600)).all()  # all ink: nothing is clear of it


@pytest.mark.parametrize(
    ("share", "area", "one"),
    [(0.8, 0.2, True), (0.5, 0.2, False), (0.8, 0.5, False)],
    ids=["most of it", "half of it", "a large area"],
)
def test_tones_of_one_hue_in_a_small_area_become_one(share: float, area: float, one: bool) -> None:
    rgb = torch.tensor([[0.8, 0.1, 0.5], [0.5, -0.3, 0.1], [-0.5, -0.4, 0.6]])  # two pinks and a blue
    areas = (torch.arange(1000) >= 1000 * area).long()
    pick = torch.full((1000,), 2)
    inside = int(1000 * area)
    pick[:inside] = 0
    pick[int(share * inside) : inside] = 1
    pick[:3] = 2  # another hue stays
    found = _one_tone(pick, areas, rgb, torch.ones(1000))
    assert (found[:3] == 2).all()
    assert (found[inside:] == 2).all()
    assert bool((found[3:inside] == 0).all()) == one
    assert one or bool((found == pick).all())
