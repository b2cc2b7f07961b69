"""Screentone: printed where the picture is dark, in several ways, and never over white paper."""

from __future__ import annotations

import torch

from colorize.images import lines

ROWS = 24


def toned() -> tuple[torch.Tensor, torch.Tensor]:
    """Paper with tones over pictures that are dark on the left and white on the right."""
    color = torch.ones(ROWS, 3, 48, 48)
    color[..., :24] = -0.4
    rng = torch.Generator().manual_seed(0)
    return lines.screen(torch.ones(ROWS, 1, 48, 48), color, rng), color


def test_dark_areas_get_tones_and_white_ones_stay_paper() -> None:
    page, _ = toned()
    assert page.shape == (ROWS, 1, 48, 48)
    assert (page[..., :24].mean((1, 2, 3)) < 0.95).all()
    assert (page[..., 24:] == 1).all()


def test_tones_are_patterns_or_flat() -> None:
    flat = toned()[0][..., :24].flatten(1).std(1) < 1e-6
    assert 0 < int(flat.sum()) < ROWS


def test_darker_areas_get_more_ink() -> None:
    color = torch.linspace(-1, 1, 64).expand(ROWS, 3, 64, 64)
    page = lines.screen(torch.ones(ROWS, 1, 64, 64), color, torch.Generator().manual_seed(1))
    dark, middle, bright = (page[..., at].mean() for at in (slice(0, 8), slice(28, 36), slice(62, 64)))
    assert dark < middle < bright == 1


def test_lines_stay() -> None:
    line = torch.ones(ROWS, 1, 32, 32)
    line[..., 10, :] = -1
    page = lines.screen(line, torch.zeros(ROWS, 3, 32, 32), torch.Generator().manual_seed(0))
    assert (page[..., 10, :] == -1).all()
    assert (page <= line).all()
