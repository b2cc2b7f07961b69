"""Published numbers of version 2's encoders and of its U-Net at tiny size, with weights made by a hash."""

from functools import cache

import pytest
import torch
from golden import R, agree, fill, filled
from torch import Tensor

from colorize.colorize_diffusion.condition import LatentCond, Split
from colorize.colorize_diffusion.encoders import SideSpec, SketchSpec, proportions
from colorize.colorize_diffusion.unet import LatentUNet, LatentUNetSpec

WIDTHS = (64, 128, 256, 256)
X, T = fill(1000, (2, 4, 16, 16), R), (torch.tensor([10, 500.5]) + 1) / 1000
C, C2 = fill(1002, (2, 9, 24), R), fill(1004, (2, 18, 24), R)
MASK = (fill(1003, (2, 1, 16, 16), 1) + 1) / 2


@cache
def said(pooled: bool) -> tuple[Tensor, ...]:
    encoder = filled(SideSpec(WIDTHS, labels=32).build(tokens=24, pooled=pooled), 280)
    return encoder(fill(1010, (1, 4, 16, 16), R), fill(1011, (1, 32), 1), C[:1])


@cache
def net() -> LatentUNet:
    spec = LatentUNetSpec(WIDTHS, lora=(4, 4), tuned=(False, True), sides=True)
    return filled(spec.build(tokens=24), 1022)


SAID = {
    (False, 0): ((1, 4, 256), 0.126910, 3.313439, -4.63362, 0.42673, 1.24819, 3.83906, -4.92697),
    (False, 11): ((1, 256, 64), 0.021611, 0.970315, -0.25839, 0.04574, 0.17995, -0.25339, -0.62803),
    (True, 0): ((1, 512), 0.105889, 2.148224, -0.33748, -0.01135, -0.17437, -3.20683, -1.53293),
    (True, 11): ((1, 128), 0.022765, 0.154275, 0.05636, 0.13308, -0.16340, 0.18571, 0.21924),
}


@pytest.mark.parametrize(("pooled", "block"), SAID)
def test_the_encoders_say_the_published_numbers(pooled, block):
    assert len(said(pooled)) == 12
    agree(said(pooled)[block], *SAID[pooled, block])


NETS = {
    (False, False): (0.001766, 0.534499, 0.37454, 0.95381, -0.76421, -0.00801, -0.13152),
    (False, True): (0.036515, 0.577019, 0.07722, -0.29845, 0.03657, 0.20164, -0.75388),
    (True, False): (0.024046, 0.531604, 0.21281, 0.24725, 0.10054, 0.42317, -0.10752),
    (True, True): (0.069024, 0.613842, 0.46752, -0.63000, 0.05838, 0.23830, -0.90064),
}


@pytest.mark.parametrize(("background", "style"), NETS)
def test_version_2_gives_the_published_numbers(background, style):
    maps = filled(SketchSpec(WIDTHS).build())(fill(1001, (2, 3, 128, 128), 1))
    cond = LatentCond(
        tokens=C2 if background else C,
        maps=maps,
        split=Split(MASK, 0.5, tuned=(True, True)) if background else None,
        background=said(False) if background else (),
        style=said(True) if style else (),
    )
    agree(net()(X, T, cond), (2, 4, 16, 16), *NETS[background, style])


def test_a_picture_of_the_outputs_size_has_proportions_of_one():
    numbers = proportions((64, 128), (64, 128), 8)
    angles = torch.tensor([1.0, 0.01])
    wave = torch.cat([angles.cos(), angles.sin()])
    torch.testing.assert_close(numbers, torch.cat([wave, wave])[None])


def test_a_smaller_picture_counts_as_enlarged_in_its_own_proportion():
    # 20 high and 30 wide, for an output of 60 x 40: 20 + 60 high, and half again as wide
    told = proportions((20, 30), (60, 40))
    assert told.shape == (1, 512)
    torch.testing.assert_close(told, proportions((80, 120), (60, 40)))
