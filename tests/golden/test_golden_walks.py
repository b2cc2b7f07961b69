"""Published numbers of whole walks through the tiny U-Net, and of the lists of noise levels they stop at."""

from functools import cache

import pytest
import torch
from golden import R, agree, fill, filled
from torch import Tensor

from colorize.colorize_diffusion.condition import LatentCond, joined
from colorize.colorize_diffusion.encoders import SketchSpec
from colorize.colorize_diffusion.unet import LatentUNet, LatentUNetSpec
from colorize.diffusion.denoiser import Denoiser, guide
from colorize.diffusion.samplers import walk
from colorize.diffusion.schedules import ScaledLinear, times

SCHEDULE = ScaledLinear()
WIDTHS = (32, 64, 128, 128)
X, C = fill(1000, (1, 4, 16, 16), R), fill(1002, (1, 9, 24), R)


@cache
def net(whole: bool) -> LatentUNet:
    return filled(LatentUNetSpec(WIDTHS, head=16, whole=whole).build(tokens=24), 686)


@cache
def maps(blank: bool = False) -> tuple[Tensor, ...]:
    sketch = fill(1001, (1, 3, 128, 128), 1)
    return filled(SketchSpec(WIDTHS).build())(torch.full_like(sketch, -1) if blank else sketch)


def finished(predicts: str, sampler: str, rule: str, guidance: dict[str, float], whole: bool):
    """Walk five steps; whole: as diffusers does, which starts from noise of spread 1.

    The original loses the reference for good if a walk begins at the very end of the table, the edge of
    its guidance window, so that the published numbers of such walks are those without one.
    """
    stops = times(SCHEDULE, 5, rule=rule)
    if sampler == "pndm":
        stops[-1] = 1 / 1000  # where the original ends: at the first entry, not at the clean picture
    tokens = 0 * C if stops[0] == 1 else C
    cond = LatentCond(tokens=tokens, maps=maps())
    without = {
        "reference": LatentCond(tokens=0 * C, maps=maps()),
        "line": LatentCond(tokens=tokens, maps=maps(blank=True)),
    }
    denoise = guide(Denoiser(net(whole), SCHEDULE, predicts), cond, without, guidance, joined)
    start = X if whole else X * SCHEDULE(torch.ones(()))[1]
    *_, last = walk(denoise, start, stops, SCHEDULE, sampler)
    return last.x


WALKS = {
    ("eps", "dpmpp", "inner", "r4", True): "0.705274 7.936979 6.48750 12.70441 5.66427 0.00044 1.44213",
    ("eps", "dpmpp", "karras", "r4", True): "1.491630 17.068421 11.36974 10.88803 41.20955 7.38817 9.50603",
    ("eps", "dpmpp", "karras", "r4", False): "1.489709 17.037813 11.33084 10.83383 41.15881 7.36397 9.50323",
    ("eps", "euler", "uniform", "", False): "1.453489 17.063434 10.82426 9.62774 39.79789 5.61762 9.72906",
    ("eps", "ddim", "leading", "r4 s2", True): "0.586502 6.460472 5.24482 8.54436 7.78887 0.70547 1.60493",
    ("eps", "ddim", "leading", "s2", True): "0.549480 6.083599 4.60664 5.11238 11.68156 1.72727 2.67151",
    ("eps", "lms", "leading", "r4", True): "0.621852 7.075290 5.69253 11.74852 4.06235 0.17665 1.11256",
    ("eps", "pndm", "leading", "r4", True): "0.584196 6.888833 5.45160 7.47028 9.03780 -0.18381 1.59556",
    ("v", "dpmpp", "inner", "r4", True): "0.130635 1.672236 1.07328 2.43967 -0.58110 -0.46414 0.33238",
    ("v", "dpmpp", "karras", "r4", True): "0.127569 1.420542 0.73437 0.25672 3.22452 0.46296 0.81156",
    ("v", "dpmpp", "karras", "r4", False): "0.127601 1.418606 0.73558 0.25693 3.24040 0.47278 0.80352",
    ("v", "euler", "uniform", "", False): "0.099143 1.070078 0.38643 -0.21489 2.43086 0.20233 0.61921",
}
GUIDANCE = {"r": "reference", "s": "line"}


@pytest.mark.parametrize("case", WALKS, ids=str)
def test_a_walk_ends_at_the_published_numbers(case):
    predicts, sampler, rule, guided, whole = case
    guidance = {GUIDANCE[word[0]]: float(word[1:]) for word in guided.split()}
    row = map(float, WALKS[case].split())
    agree(finished(predicts, sampler, rule, guidance, whole), (1, 4, 16, 16), *row)


LEVELS = {
    ("karras", False): [14.61464, 4.79654, 1.2741, 0.24795, 0.02917, 0],
    ("uniform", False): [14.61464, 4.08608, 1.61558, 0.69515, 0.02917, 0],
    ("exponential", False): [14.61464, 3.08899, 0.6529, 0.138, 0.02917, 0],
    ("sgm", False): [14.61464, 5.09241, 2.27973, 1.16286, 0.57119, 0],
    ("exponential", True): [14.61464, 4.21513, 1.21572, 0.35063, 0.10113, 0],
    ("karras", True): [14.61464, 6.08216, 2.23216, 0.69257, 0.16976, 0],
}


@pytest.mark.parametrize(("rule", "skip"), LEVELS)
def test_levels_are_the_published_list(rule, skip):
    alpha, sigma = SCHEDULE(times(SCHEDULE, 5, rule=rule, skip=skip))
    assert (sigma / alpha).tolist() == pytest.approx(LEVELS[rule, skip], rel=3e-4)


STOPS = {"inner": [941, 894, 847, 95, 48], "leading": [951, 901, 851, 51, 1]}


@pytest.mark.parametrize("rule", STOPS)
def test_twenty_steps_stop_where_diffusers_does(rule):
    entries = [round(1000 * t) - 1 for t in times(SCHEDULE, 20, rule=rule).tolist()]
    assert [*entries[:3], *entries[-3:-1]] == STOPS[rule]


def test_pndm_calls_where_diffusers_does():
    asked = []
    stops = times(SCHEDULE, 20, rule="leading")
    list(walk(lambda x, t: asked.append(t.item()) or x, X, stops, SCHEDULE, "pndm"))
    indices = [round(1000 * t) - 1 for t in asked]
    warm = [951, 926, 926, 901, 901, 876, 876, 851, 851, 826, 826, 801]
    assert indices == [*warm, *range(801, 0, -50)]
