"""What JPEG does to a drawing: blocks of 8 x 8 pixels keep only coarse steps of their waves.

In torch, so that it runs where training runs. Knows nothing of files.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

SIDE = 8  # pixels of a block
# Luminance steps of ITU-T T.81 (1992), table K.1, at quality 50, for values of 0..255.
STEPS = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)


def wear(picture: Tensor, quality: Tensor) -> Tensor:
    """Store each picture as a gray JPEG of its own quality, and read it back.

    picture: (B, 1, H, W) in [-1, 1]. quality: (B,), 1 to 100, as the field's encoders count it.
    """
    height, width = picture.shape[-2:]
    grown = F.pad(picture, (0, -width % SIDE, 0, -height % SIDE), "replicate")
    tall, wide = grown.shape[-2] // SIDE, grown.shape[-1] // SIDE
    blocks = grown.view(-1, tall, SIDE, wide, SIDE).transpose(2, 3) * 127.5
    waves = _waves().to(picture)
    scale = torch.where(quality < 50, 50 / quality, 2 - quality / 50)
    steps = (torch.tensor(STEPS) * scale.view(-1, 1, 1).cpu()).round().clamp(1, 255)
    steps = steps.to(picture)[:, None, None]
    kept = (waves @ blocks @ waves.mT / steps).round() * steps
    back = (waves.mT @ kept @ waves / 127.5).transpose(2, 3).reshape(grown.shape)
    return back[..., :height, :width].clamp(-1, 1)


def _waves() -> Tensor:
    """The orthonormal cosine transform of 8 values (8, 8), a wave each row."""
    place = torch.arange(SIDE, dtype=torch.float64)
    waves = torch.cos(math.pi / SIDE * (place + 0.5) * place[:, None]) * math.sqrt(2 / SIDE)
    waves[0] /= math.sqrt(2)
    return waves
