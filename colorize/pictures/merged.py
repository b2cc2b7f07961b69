"""Tell color hints from the drawing they were painted on. Knows nothing of files."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from colorize.pictures.scribbles import blank

SURE = 0.3  # of 2.0: JPEG of quality 75 changes no pixel of a drawing by so much
PERHAPS = 0.15  # of 2.0: changes so large belong to a hint where they touch a sure one
SPECK = 4  # pixels; fewer together are noise


def hints(merged: Tensor, drawing: Tensor) -> Tensor:
    """Return the hint map (1, 4, H, W) of a drawing with hints painted over it.

    merged, drawing: (1, 3, H, W) in [-1, 1]. Pixels that differ from the drawing are hints of the
    color they have; where a hint has the drawing's own color it cannot be seen. Noise of JPEG is
    no hint. See `strokes` for hint maps.
    """
    apart = (merged - drawing).abs().amax(1)[0].cpu().numpy()  # (H, W)
    perhaps = (apart > PERHAPS).astype(np.uint8)
    count, labels = cv2.connectedComponents(perhaps, connectivity=8)
    sizes = np.bincount(labels.ravel(), minlength=count)
    sure = np.bincount(labels.ravel(), (apart > SURE).ravel(), minlength=count)
    kept = (sizes >= SPECK) & (sure >= SPECK / 2)
    kept[0] = False  # what does not differ
    mask = torch.from_numpy(kept[labels]).to(merged.device)[None, None]
    return torch.where(mask, torch.cat([merged, torch.ones_like(merged[:, :1])], 1), blank(merged))
