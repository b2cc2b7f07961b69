"""Find pictures that show the same thing in two splits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from colorize.images.color import luminance

SIDE = 12  # rows of a hash, and differences in each
BITS = SIDE * SIDE
FLAT = 0.02  # of 2.0; a smaller step is noise of a lossy format on flat paper, not a difference
DETAIL = 8  # hashes of pictures with little in them are all alike: an 8th of their steps may differ
ORDER = ("test", "validation", "train")  # what occurs in an earlier split leaves the later ones
ROWS = 4096  # hashes compared at once, so that a million pictures need no matrix of a million rows


def difference_hash(color: Tensor) -> str:
    """Return 144 bits in hexadecimal: where the picture, shrunk to 12 x 13, darkens to the right.

    color: (1, 3, H, W) in [-1, 1]. Changes of size, format, brightness and contrast leave most bits
    as they are. Krawetz 2013, "Kind of like that".
    """
    small = functional.adaptive_avg_pool2d(luminance(color), (SIDE, SIDE + 1))  # (1, 1, 12, 13)
    bits = (small[..., :-1] - small[..., 1:] > FLAT).flatten().int().tolist()
    return f"{int(''.join(map(str, bits)), 2):0{BITS // 4}x}"


def duplicates(splits: Sequence[str], hashes: Sequence[str], near: int) -> dict[int, int]:
    """Return {picture to drop: the picture it repeats}, so that no two splits share a picture.

    splits, hashes: one per picture. near: most bits in which two hashes of one picture may differ,
    below 144; negative finds nothing. Test keeps all its pictures, validation loses those that
    occur in test, train those that occur in either. Repeats within a split stay.
    """
    dropped: dict[int, int] = {}
    if near < 0 or not hashes:
        return dropped
    packed = torch.frombuffer(bytearray.fromhex("".join(hashes)), dtype=torch.uint8)
    bits = (packed[:, None] & torch.tensor([128, 64, 32, 16, 8, 4, 2, 1], dtype=torch.uint8)) > 0
    signs = bits.view(len(hashes), BITS).float() * 2 - 1  # products count equal minus unequal bits
    steps = (signs > 0).sum(1)  # (N,)
    kept: list[int] = []  # pictures of the splits already settled
    for split in ORDER:
        here = [index for index, name in enumerate(splits) if name == split]
        known = signs[kept].T  # (144, M)
        for start in range(0, len(here) if kept else 0, ROWS):
            part = here[start : start + ROWS]
            unequal = (BITS - signs[part] @ known) / 2  # exact: sums of 144 signs in float32
            sparse = DETAIL * unequal > steps[part][:, None] + steps[kept]
            least, index = unequal.masked_fill(sparse, BITS).min(dim=1)
            dropped |= {part[row]: kept[int(index[row])] for row in (least <= near).nonzero()[:, 0].tolist()}
        kept += [index for index in here if index not in dropped]
    return dropped
