"""Main colors, parts, and what pieces have in common."""

from __future__ import annotations

import torch

from colorize.region_diffusion import pieces


def flag() -> torch.Tensor:
    """A picture (1, 3, 64, 64): red above, blue below, a green square in the red."""
    picture = torch.full((1, 3, 64, 64), -1.0)
    picture[:, 0, :32] = 1
    picture[:, 2, 32:] = 1
    picture[:, :, 8:24, 8:24] = torch.tensor((-1.0, 0.2, -1.0))[:, None, None]
    return picture


def test_main_colors_are_those_of_the_picture_with_their_shares() -> None:
    found = pieces.main_colors(flag())
    rgb, share = found.rgb[found.valid], found.share[found.valid]
    assert len(rgb) == 3
    order = share.argsort(descending=True)
    assert torch.allclose(rgb[order[0]], torch.tensor((-1.0, -1.0, 1.0)), atol=1e-5)
    assert torch.allclose(share[order], torch.tensor((0.5, 0.4375, 0.0625)), atol=1e-6)


def test_colors_that_hardly_differ_are_one() -> None:
    picture = flag()
    picture[:, 2, 32:, 32:] = 0.97
    assert int(pieces.main_colors(picture).valid.sum()) == 3


def test_parts_are_connected_pieces_of_one_color_the_largest_first() -> None:
    picture = flag()
    picture[:, :, 40:44, 4:8] = picture[:, :, 40:44, 50:54] = 1.0
    labels, owner = pieces.parts(pieces.main_colors(picture))
    areas = torch.bincount(labels[labels >= 0])
    assert areas.tolist() == sorted(areas.tolist(), reverse=True)
    assert int((owner >= 0).sum()) == 5
    white = [labels[0, 41, 5], labels[0, 41, 51]]
    assert white[0] != white[1]
    assert owner[0, white[0]] == owner[0, white[1]]


def test_pooling_by_membership_is_the_mean_over_a_piece() -> None:
    values = torch.rand(1, 5, 4, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.zeros(1, 8, 8, dtype=torch.long)
    labels[:, :, 4:] = 1
    labels[:, 0, 0] = -1
    members = pieces.membership(labels, 3, (4, 4))
    mean = pieces.pooled(values, members)
    assert torch.allclose(mean[0, 1], values[0, :, :, 2:].mean((1, 2)))
    assert members.sum(-1).tolist() == [[31, 32, 0]]
    assert (mean[0, 2] == 0).all()


def test_geometry_tells_place_size_and_border() -> None:
    labels = torch.full((1, 16, 16), -1)
    labels[:, :8, :8], labels[:, 12:14, 12:14] = 0, 1
    figure = torch.zeros(1, 16, 16, dtype=torch.bool)
    figure[:, 4:12, 4:12] = True
    numbers = pieces.geometry(labels, 2, figure)[0]
    assert torch.allclose(numbers[0, :2], torch.tensor((-0.5, -0.5)))
    assert torch.allclose(numbers[1, :2], torch.tensor((0.625, 0.625)))
    assert numbers[1, 2] > 1  # below the figure's box
    assert numbers[0, 6] > numbers[1, 6]
    assert numbers[0, 8] > 0 == numbers[1, 8]


def test_contacts_tell_open_borders_from_inked_ones() -> None:
    labels = torch.zeros(1, 6, 6, dtype=torch.long)
    labels[:, :, 3:] = 1
    clear = torch.ones(1, 6, 6, dtype=torch.bool)
    assert pieces.contacts(labels, 2, clear)[0, 0, 1].tolist() == [1, 1]
    clear[:, :3, 2:4] = False
    assert pieces.contacts(labels, 2, clear)[0, 0, 1].tolist() == [0.5, 1]
