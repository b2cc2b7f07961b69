"""Measure what the color field can show at best. Run: python benchmarks/field.py DATA.

The true pictures of the validation split are turned into fields of a half, a quarter and an eighth of their
size and back, as if a model had found them perfectly: over all paper, and over small regions such as eyes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from skimage.color import deltaE_ciede2000

from colorize.evaluation import metrics
from colorize.evaluation.regions import enclosed
from colorize.evaluation.samples import samples
from colorize.hints import Hints
from colorize.images import color, finish
from colorize.images.image import from_tensor
from colorize.networks.spaces import Field

SMALL = 0.002  # of the picture: an eye, a button


def main(data: str, limit: int = 0) -> None:
    """Print PSNR, CIEDE2000, and CIEDE2000 within small regions, for three sizes of the field."""
    kept = list(samples(Path(data), "none", limit=limit))
    for patch in (2, 4, 8):
        space, scores = Field(patch=patch), []
        for one in kept:
            hints = Hints(line=one.drawing)
            field = space.decode(space.encode(one.truth, hints), hints)
            result = finish.onto(from_tensor(one.drawing), field, "line", False).tensor()
            areas = enclosed(one.drawing)
            small = np.bincount(areas.ravel()) < SMALL * areas.size
            inside = torch.from_numpy(small[areas] & (areas > 0))[None]
            labs = [color.rgb_to_lab(picture).numpy() for picture in (result, one.truth)]
            apart = torch.from_numpy(deltaE_ciede2000(*labs, channel_axis=1))[inside]
            fine = float(apart.mean()) if len(apart) else float("nan")
            errors = metrics.psnr(result, one.truth), metrics.delta_e(result, one.truth)
            scores.append([*map(float, errors), fine])
        means = torch.tensor(scores).nanmean(0).tolist()
        names = ("psnr", "delta_e", "delta_e_small_regions")
        rounded = {name: round(value, 2) for name, value in zip(names, means, strict=True)}
        print(json.dumps({"size": f"1/{patch}", **rounded}))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:3]))
