"""Training pictures of several shapes: which sizes there are, and cutting them out. Knows nothing of hints."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from colorize.errors import ColorizeError
from colorize.hints import Hints
from colorize.networks.latent.space import Latent
from colorize.recipes.recipe import Recipe, Stage

PROBE = 512  # pixels a side of a picture that a space is asked for the size of its x
ROOM = 1.5  # a square out of a picture of 2:3 is not enlarged

Size = tuple[int, int]  # height and width in pixels


def multiple(recipe: Recipe) -> int:
    """Return what sides must be multiples of, so that no level of the network has to be padded."""
    if isinstance(recipe.space, Latent):
        return recipe.space.multiple
    line = torch.empty(1, 1, PROBE, PROBE, device="meta")
    patch = round(PROBE / recipe.space.shape(Hints(line=line))[-1])
    return patch * recipe.denoiser.net.stride


def sizes(stage: Stage, step: int) -> list[Size]:
    """Return a size for each of a stage's aspects: near `stage.size` squared pixels, in multiples of `step`.

    Raises ColorizeError if the stage's size is below `step`.
    """
    if stage.aspects and stage.size < step:
        told = (
            f"size is {stage.size}, but pictures of several aspects come in steps of {step} pixels"
        )
        raise ColorizeError(told, f"take a size of at least {step}, or aspects=[]", code=2)
    roots = [math.sqrt(ratio) for ratio in stage.ratios]
    return [(_near(stage.size / root, step), _near(stage.size * root, step)) for root in roots]


def side(shapes: Sequence[Size]) -> int:
    """Return the side in pixels of the squares to keep pictures in that are to be cut to these sizes."""
    return round(ROOM * max(max(size) for size in shapes))


def cut(pages: Tensor, boxes: Tensor, size: Size, part: float, corners: Tensor) -> Tensor:
    """Cut a window of one shape out of each picture and bring it to a size: (B, C, *size) in [-1, 1].

    pages: (B, C, S, S) uint8, pictures in the middle of squares. boxes: (B, 2), height and width of
    the pictures there. part: share of the largest such window's sides that is kept. corners: (B, 2)
    in [0, 1), where in the picture it lies, 0.5 being the middle. Shapes are kept to a pixel of the page.
    """
    cuts = []
    for page, box, luck in zip(pages, boxes.tolist(), corners.tolist(), strict=True):
        most = part * min(have / want for have, want in zip(box, size, strict=True))
        window = [
            max(1, min(have, round(most * want))) for have, want in zip(box, size, strict=True)
        ]
        top, left = (
            (page.shape[-1] - have) // 2 + int(chance * (have - kept + 1))
            for have, kept, chance in zip(box, window, luck, strict=True)
        )
        view = page[:, top : top + window[0], left : left + window[1]].float() / 127.5 - 1
        if tuple(window) != size:
            view = F.interpolate(view[None], size, mode="bilinear", antialias=True)[0]
        cuts.append(view)
    return torch.stack(cuts)


def _near(pixels: float, step: int) -> int:
    return max(1, round(pixels / step)) * step
