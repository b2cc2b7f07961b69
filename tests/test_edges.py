"""Whether two pictures show the same frame, and what a network is told of the reference's layout."""

from __future__ import annotations

import torch
from conftest import figure
from torch import Generator, Tensor

from colorize.hints import Hints
from colorize.networks.colors import ReferenceTone
from colorize.pictures import edges, lines, warp


def picture(seed: int = 1) -> Tensor:
    return figure(seed, 96)[None] * 2 - 1


def elsewhere() -> Tensor:
    """The figure at a third of its size in a corner."""
    small = torch.nn.functional.interpolate(picture(), (32, 32), mode="area")
    page = torch.ones(1, 3, 96, 96)
    page[..., :32, 64:] = small
    return page


def planes(line: Tensor, *references: Tensor) -> Tensor:
    hints = Hints(line=line, reference=torch.cat(references, 1))
    stack = ReferenceTone(2).build()(hints).stack
    assert stack is not None
    return stack


def test_a_picture_is_like_itself_whatever_its_size_and_colors() -> None:
    larger = torch.nn.functional.interpolate(picture(), (160, 160), mode="bilinear")
    assert edges.likeness(picture(), picture()) > 0.999
    assert edges.same_frame(picture(), larger) == 1
    assert edges.same_frame(picture(), -picture()) == 1


def test_line_art_shows_the_frame_of_its_picture_and_of_its_warped_picture() -> None:
    line = lines.extract(picture(), "dog")
    assert edges.same_frame(line, picture()) == 1
    assert edges.same_frame(line, warp.warp(picture(), 0.02, Generator().manual_seed(0))) > 0.5


def test_what_lies_elsewhere_and_what_is_empty_show_another_frame() -> None:
    assert edges.same_frame(picture(), elsewhere()) == 0
    assert edges.likeness(picture(), torch.ones(1, 3, 96, 96)) == 0


def test_the_layout_of_another_frame_is_not_told() -> None:
    line = lines.extract(picture(), "dog")
    assert planes(line, picture())[:, 7:].abs().max() > 0.5
    assert (planes(line, elsewhere())[:, 7:] == 0).all()
    assert planes(line, elsewhere())[:, :6].abs().max() > 0.1  # its colors are


def test_of_two_references_the_one_of_the_same_frame_counts_more() -> None:
    line = lines.extract(picture(), "dog")
    alone, other = planes(line, picture()), planes(line, elsewhere().flip(1))
    both = planes(line, elsewhere().flip(1), picture())
    torch.testing.assert_close(both[:, 7:], alone[:, 7:])
    nearer = (both - alone)[:, :6].abs().sum() < (both - other)[:, :6].abs().sum()
    assert bool(nearer)
