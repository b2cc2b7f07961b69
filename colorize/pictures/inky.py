"""Tell hints that only show the drawing's ink from hints about color. Knows nothing of networks."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

INK = 0.6  # in [-1, 1]; darker pixels of line art hold ink
SHARE = 0.3  # of a hint's pixels that lie on ink
NEUTRAL = 0.3  # of 2; how far the channels of a color without hue lie apart
LIGHT = 0.8  # in [-1, 1]; what is lighter is white, no ink


def off_ink(hints: Tensor, line: Tensor) -> Tensor:
    """Leave out hints that lie on ink and have its color: gray dots on lines say nothing of the area.

    hints: (B, 4, H, W), see `strokes`. line: (B, 1, H, W) in [-1, 1]. A hint is what hangs together;
    strokes of black that merely cross lines stay.
    """
    colors = hints[:, :3]
    neutral = (colors.amax(1) - colors.amin(1) < NEUTRAL) & (colors.amax(1) < LIGHT)
    inky = [_inky(*row) for row in zip(hints[:, 3] > 0, neutral, line[:, 0] < INK, strict=True)]
    held = torch.stack(inky)[:, None]
    empty = torch.tensor((0.0, 0.0, 0.0, -1.0)).to(hints)[:, None, None]
    return torch.where(held, empty, hints)


def _inky(held: Tensor, neutral: Tensor, ink: Tensor) -> Tensor:
    """Pixels (H, W) of hints that are mostly neutral and lie on ink by SHARE."""
    mask = held.cpu().numpy().astype(np.uint8)
    count, labels = cv2.connectedComponents(mask, connectivity=4)
    whole = np.bincount(labels.ravel(), minlength=count)
    on_ink, gray = (
        np.bincount(labels.ravel(), part.cpu().numpy().ravel(), minlength=count) / whole
        for part in (ink, neutral)
    )
    drop = (on_ink >= SHARE) & (gray > 0.5)
    drop[0] = False
    return torch.from_numpy(drop[labels]).to(held.device)
