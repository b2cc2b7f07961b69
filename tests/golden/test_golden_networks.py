"""Published numbers of ColorizeDiffusion's networks at tiny size, with weights made by a hash."""

from functools import cache

import pytest
import torch
from golden import R, agree, fill, filled
from torch import Tensor

from colorize.colorize_diffusion.condition import Injection, LatentCond, Split
from colorize.colorize_diffusion.encoders import ClusterSpec, SketchSpec, ThresholdSpec
from colorize.colorize_diffusion.unet import LatentUNet, LatentUNetSpec
from colorize.colorize_diffusion.vae import VAESpec
from colorize.diffusion.schedules import ScaledLinear, expand

WIDTHS = (32, 64, 128, 128)
X, SKETCH = fill(1000, (2, 4, 16, 16), R), fill(1001, (2, 3, 128, 128), 1)
C, C2 = fill(1002, (2, 9, 24), R), fill(1004, (2, 18, 24), R)
MASK = (fill(1003, (2, 1, 16, 16), 1) + 1) / 2
T, T500 = (torch.tensor([10, 500.5]) + 1) / 1000, torch.full((2,), 501 / 1000)
SHAPE = (2, 4, 16, 16)


@cache
def net(tuned: bool = False) -> LatentUNet:
    spec = LatentUNetSpec(widths=WIDTHS, head=16, lora=(4, 0.5) if tuned else ())
    return filled(spec.build(tokens=24), 878 if tuned else 686)


@cache
def maps() -> tuple[Tensor, ...]:
    return filled(SketchSpec(WIDTHS).build(), 42)(SKETCH)


HINTS = [
    ((2, 32, 16, 16), -0.002813, 0.172931, -0.06018, 0.02928, 0.03877, -0.05513, 0.04435),
    ((2, 32, 8, 8), -0.074862, 0.156506, -0.00854, 0.20250, -0.33719, -0.00868, -0.15019),
    ((2, 64, 4, 4), -0.003999, 0.159970, -0.28691, -0.00803, -0.07996, -0.28679, 0.04264),
    ((2, 128, 2, 2), 0.010224, 0.152700, 0.20318, 0.05007, 0.26463, 0.20324, -0.06322),
    ((2, 128, 2, 2), -0.019842, 0.145383, -0.11017, -0.06603, 0.17479, -0.11017, -0.23649),
]


@pytest.mark.parametrize("k", range(5))
def test_the_sketch_encoder_gives_the_published_maps(k):
    agree(maps()[k], *HINTS[k])


CONDS = {
    "tokens": (LatentCond(tokens=C), (-0.054289, 0.609035, 0.13375, -0.57525, -1.41384, -0.20243, -0.26256)),
    "zero tokens": (LatentCond(tokens=0 * C), (-0.051948, 0.625787, 0.27243, -0.26744, -1.71355, -0.38953, -0.12891)),
    "a weight of 0, which is the same": (
        LatentCond(tokens=C, token_scale=0.0),
        (-0.051948, 0.625787, 0.27243, -0.26744, -1.71355, -0.38953, -0.12891),
    ),
    "a weight per place": (
        LatentCond(tokens=C, places=tuple(i / 15 for i in range(16))),
        (-0.049566, 0.615122, 0.23213, -0.21661, -1.75023, -0.38333, 0.06949),
    ),
    "two halves": (
        LatentCond(tokens=C2, split=Split(MASK, 0.5, 0.9, 0.7, 0.2, (False, False))),
        (-0.050920, 0.621069, 0.10563, -0.50358, -1.71727, -0.76347, -0.12806),
    ),
}


@pytest.mark.parametrize("what", CONDS)
def test_the_first_version_gives_the_published_numbers(what):
    cond, row = CONDS[what]
    told = LatentCond(**{**vars(cond), "maps": maps()})
    agree(net()(X, T, told), SHAPE, *row)


def test_another_pictures_self_attention_gives_the_published_numbers():
    latent, noise = fill(1005, (1, 4, 16, 16), R), fill(2000, (1, 4, 16, 16), R)

    def noised(index: Tensor) -> Tensor:
        alpha, sigma = (expand(part, latent) for part in ScaledLinear()((index + 1) / 1000))
        return (alpha * latent + sigma * noise).float()

    picture = fill(1006, (1, 3, 128, 128), 1)
    other = tuple(0.3 * value for value in filled(SketchSpec(WIDTHS).build())(-picture))
    own = torch.tensor([0.0, 0.5])[:, None, None]  # the second row is the negative
    cond = LatentCond(tokens=C, maps=maps(), injection=Injection(noised, other, own))
    row = (-0.053007, 0.612361, 0.15565, -0.34101, -1.30912, -0.24175, -0.26337)
    agree(net()(X, T500, cond), SHAPE, *row)


def test_without_it_the_published_numbers_differ():
    row = (-0.054179, 0.610384, 0.14339, -0.51928, -1.37968, -0.20947, -0.26402)
    agree(net()(X, T500, LatentCond(tokens=C, maps=maps())), SHAPE, *row)


HALVES = {
    (False, True): (0.098803, 0.572341, 0.16349, -0.18934, 0.07008, 0.70154, 0.56742),
    (True, True): (0.103321, 0.578746, 0.02381, 0.02327, 0.61775, 0.50913, 0.55284),
}


@pytest.mark.parametrize("tuned", HALVES)
def test_version_1_5_with_a_mask_gives_the_published_numbers(tuned):
    cond = LatentCond(tokens=C2, maps=maps(), split=Split(MASK, 0.5, tuned=tuned))
    agree(net(True)(X, T, cond), SHAPE, *HALVES[tuned])


def test_version_1_5_without_a_mask_gives_the_published_numbers():
    row = (0.097091, 0.549712, -0.01539, 0.14664, 0.33963, 0.37791, 0.10449)
    agree(net(True)(X, T, LatentCond(tokens=C, maps=maps())), SHAPE, *row)


def test_the_token_transformer_gives_the_published_numbers():
    gathered = filled(ClusterSpec(64, 10, 2).build())(fill(1007, (2, 7, 64), R))
    row = (-0.050976, 1.149481, 1.29419, 1.48188, -0.14060, -0.27768, -0.92325)
    agree(gathered, (2, 10, 64), *row)


def test_the_threshold_embedder_gives_the_published_numbers():
    told = filled(ThresholdSpec(16, 24).build(), 4)(torch.tensor([0.5, 0.05]))
    row = (-0.115595, 0.474706, 0.31742, -0.32859, -0.67370, 0.36854, 0.54102)
    agree(told, (2, 1, 24), *row)


def test_the_autoencoder_gives_the_published_numbers():
    vae = filled(VAESpec((32, 64, 64, 64), 1).build())
    mean, spread = vae.encode(fill(1008, (1, 3, 64, 96), 1))
    row = (0.006068, 0.597540, -1.02383, -0.73213, -0.51206, -0.34172, 0.21459)
    agree(mean, (1, 4, 8, 12), *row)
    row = (0.144814, 0.637607, 0.24120, -0.90579, -0.11986, -0.53781, -0.05019)
    agree(spread, (1, 4, 8, 12), *row)
    row = (-0.214323, 0.599833, 0.33170, -0.53681, -0.07849, 0.16286, -0.31904)
    agree(vae.decode(fill(1009, (1, 4, 8, 12), R)), (1, 3, 64, 96), *row)
