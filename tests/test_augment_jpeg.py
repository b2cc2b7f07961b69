"""JPEG's wear, made in torch, is JPEG's."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from colorize.images.augment import compress


def drawing(height: int = 48, width: int = 64) -> torch.Tensor:
    """Oblique dark lines on paper, (1, 1, H, W)."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.where((x + 2 * y) % 17 < 3, -0.9, 0.95)[None, None]


@pytest.mark.parametrize("quality", [15, 50, 90])
def test_it_agrees_with_an_encoder(quality: int) -> None:
    line = drawing()
    stored = io.BytesIO()
    levels = ((line[0, 0] + 1) * 127.5).round().byte().numpy()
    Image.fromarray(levels).save(stored, "JPEG", quality=quality)
    stored.seek(0)
    expected = torch.from_numpy(np.asarray(Image.open(stored)).astype(np.float32)) / 127.5 - 1
    worn = compress(line, torch.tensor([float(quality)]))[0, 0]
    # Levels are rounded before and after, so a wave near a step may fall to its other side.
    assert (worn - expected).abs().mean() < 0.01
    assert (worn - expected).abs().quantile(0.99) < 0.06


def test_lower_quality_wears_more() -> None:
    line = drawing().repeat(2, 1, 1, 1)
    low, high = (compress(line, torch.tensor([10.0, 95.0])) - line).abs().mean((1, 2, 3))
    assert low > 3 * high


@pytest.mark.parametrize("size", [(8, 8), (9, 15), (33, 40)])
def test_any_size_keeps_its_size(size: tuple[int, int]) -> None:
    assert compress(drawing(*size), torch.tensor([40.0])).shape == (1, 1, *size)


def test_paper_stays_paper() -> None:
    paper = torch.ones(1, 1, 16, 16)
    torch.testing.assert_close(compress(paper, torch.tensor([30.0])), paper, atol=0.02, rtol=0)
