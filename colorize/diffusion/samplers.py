"""Walk from noise to a clean picture, one step or all of them, with the sampler of your choice.

A solver takes the walk, x at its level i, the clean picture x0 expected there and i, and returns x at level i + 1.
`now` and `after` are the levels a step leaves and reaches. All formulas use x and x0 only, so after x0 was thresholded
the noise that goes with it is recomputed. With fresh noise, a step goes to `down`, a level below `after`, and then up
to `after` by as much noise as `blend` adds for the same eta (k-diffusion: sigma_down and sigma_up).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import pairwise
from math import expm1, inf, log, prod

import torch
from torch import Tensor

from colorize.diffusion import names
from colorize.diffusion.denoiser import Denoise, Threshold
from colorize.diffusion.schedules import Schedule, expand, time_of

Pair = tuple[float | Tensor, float | Tensor]  # alpha and sigma: one for all pictures, or (B, 1, 1, 1)
MEMORY = 3  # steps: lms and pndm draw a line through this one and three before
ADAMS = (55 / 24, -59 / 24, 37 / 24, -9 / 24)  # Adams-Bashforth of order 4 for even steps


@dataclass(frozen=True)
class Level:
    """One time of a walk as plain numbers, so that no step waits for the device."""

    t: float
    alpha: float
    sigma: float

    @property
    def pair(self) -> tuple[float, float]:
        """Alpha and sigma."""
        return self.alpha, self.sigma


def levels(schedule: Schedule, times: Tensor) -> list[Level]:
    """Return the levels at these times, (N,)."""
    return [Level(*numbers) for numbers in torch.stack([times, *schedule(times)], 1).tolist()]


@dataclass(frozen=True)
class Walk:
    """What the steps of one walk share; past: (x, x0) of the last three steps, newest last."""

    denoise: Denoise
    schedule: Schedule
    levels: list[Level]
    eta: float
    noise: Callable[[int], Tensor] | None  # step -> (B, C, H, W), fresh for each call
    threshold: Threshold | None
    past: deque[tuple[Tensor, Tensor]] = field(default_factory=lambda: deque(maxlen=MEMORY))

    def ask(self, x: Tensor, t: float) -> Tensor:
        """Return the x0 expected behind x at time t, thresholded."""
        x0 = self.denoise(x, torch.full((len(x),), t, dtype=torch.float32, device=x.device))
        return self.threshold(x0) if self.threshold else x0

    def at(self, t: float) -> Level:
        """Return the level at a time, also between those of the walk."""
        return levels(self.schedule, torch.tensor([t], device="cpu"))[0]

    def middle(self, now: Level, after: Level) -> Level:
        """Return the level halfway between two in log-SNR."""
        return self.at(time_of(self.schedule, now.sigma / now.alpha * remaining(now, after) ** 0.5))

    def fresh(self, i: int) -> Tensor | None:
        """Return step i's fresh noise, or None where the step takes none."""
        return self.noise(i) if self.noise and self.eta and self.levels[i + 1].sigma else None

    def down(self, i: int) -> Level:
        """Return what step i reaches before its fresh noise: `after` with less sigma, no level of the schedule."""
        after = self.levels[i + 1]
        return replace(after, sigma=after.sigma * (1 - self._replaced(i)) ** 0.5)

    def up(self, x: Tensor, i: int) -> Tensor:
        """Add step i's fresh noise to x at `down`, so that it is at `after`."""
        noise = self.fresh(i)
        return x if noise is None else x + self.levels[i + 1].sigma * self._replaced(i) ** 0.5 * noise

    def _replaced(self, i: int) -> float:
        """The share of the variance at the end of step i that is fresh noise."""
        return self.eta**2 * (1 - remaining(self.levels[i], self.levels[i + 1]) ** 2)


Solver = Callable[[Walk, Tensor, Tensor, int], Tensor]


def blend(x: Tensor, x0: Tensor, now: Pair, after: Pair, eta: float = 0.0, noise: Tensor | None = None) -> Tensor:
    """Return x at `after`, given x at `now`: Song et al. 2021, equation 12.

    eta = 0 keeps the noise that is in x (DDIM), eta = 1 replaces as much of it by fresh noise as the DDPM posterior.
    """
    (alpha, sigma), (alpha_after, sigma_after) = now, after
    eps = (x - alpha * x0) / sigma
    if noise is None:
        return alpha_after * x0 + sigma_after * eps
    r = alpha * sigma_after / (alpha_after * sigma)
    replaced = eta**2 * (1 - r**2)  # share of the variance, in [0, 1]
    return alpha_after * x0 + sigma_after * ((1 - replaced) ** 0.5 * eps + replaced**0.5 * noise)


def remaining(now: Level, after: Level) -> float:
    """Return r in [0, 1], the share of sigma / alpha that is left; 0 from alpha = 0 and to sigma = 0."""
    return now.alpha * after.sigma / (after.alpha * now.sigma)


def log_step(now: Level, after: Level) -> float:
    """Return h = -log r of the DPM-Solver and UniPC papers, the step in half log-SNR; infinite where r = 0."""
    r = remaining(now, after)
    return -log(r) if r > 0 else inf


def first_order(x: Tensor, x0: Tensor, now: Level, after: Level) -> Tensor:
    """First order: x0 stays what it is. Exact at sigma = 0 (gives x0) and finite at alpha = 0."""
    return after.sigma / now.sigma * x + after.alpha * (1 - remaining(now, after)) * x0


def noise_in(x: Tensor, x0: Tensor, level: Level) -> Tensor:
    """Return the noise eps that goes with x0: x = alpha * x0 + sigma * eps."""
    return (x - level.alpha * x0) / level.sigma


def transfer(x: Tensor, eps: Tensor, now: Level, after: Level) -> Tensor:
    """Go on with this noise instead of an x0, from alpha > 0: the transfer of PNDM, Liu et al. 2022."""
    keep = after.alpha / now.alpha
    return keep * x + (after.sigma - keep * now.sigma) * eps


def ddim(walk: Walk, x: Tensor, x0: Tensor, i: int) -> Tensor:
    """DDIM and DDPM; with eta = 0 also Euler's rule in sigma / alpha, which is the same formula."""
    return blend(x, x0, walk.levels[i].pair, walk.levels[i + 1].pair, walk.eta, walk.fresh(i))


def heun(walk: Walk, x: Tensor, x0: Tensor, i: int) -> Tensor:
    """Heun's rule in sigma / alpha: Karras et al. 2022, algorithm 1; two calls per step.

    The mean of the slopes at both ends comes down to a multiple of the change in x0. First order at the last step, as
    there, and where the walk begins at alpha = 0. It overshoots in steps that are too long: give it ten or more.
    """
    now, after = walk.levels[i : i + 2]
    ahead, r = first_order(x, x0, now, after), remaining(now, after)
    return ahead if r == 0 else ahead + after.alpha * (1 / r - 1) / 2 * (walk.ask(ahead, after.t) - x0)


def dpm2(walk: Walk, x: Tensor, x0: Tensor, i: int) -> Tensor:
    """DPM-Solver-2: Lu et al. 2022 (arXiv 2206.00927), algorithm 1; two calls per step.

    The whole step is taken with the noise of its middle in log-SNR. First order at both ends, like `heun`.
    """
    now, down = walk.levels[i], walk.down(i)
    if remaining(now, down) == 0:
        return walk.up(first_order(x, x0, now, down), i)
    middle = walk.middle(now, down)
    half = first_order(x, x0, now, middle)
    return walk.up(transfer(x, noise_in(half, walk.ask(half, middle.t), middle), now, down), i)


def dpmpp_2s(walk: Walk, x: Tensor, x0: Tensor, i: int) -> Tensor:
    """DPM-Solver++(2S): Lu et al. 2022 (arXiv 2211.01095), algorithm 1; `dpm2` with the x0 of the middle."""
    now, down = walk.levels[i], walk.down(i)
    if remaining(now, down) > 0:
        middle = walk.middle(now, down)
        x0 = walk.ask(first_order(x, x0, now, middle), middle.t)
    return walk.up(first_order(x, x0, now, down), i)


def dpmpp_sde(walk: Walk, x: Tensor, x0: Tensor, i: int) -> Tensor:
    """DPM-Solver++(SDE) with a call in the middle, after Crowson's k-diffusion; eta = 1, two calls a step.

    The middle is reached with fresh noise of its own, and the noise of the whole step goes on from it: both are one
    Brownian path. Its clock is sigma / alpha, as published; by the exact solution of the reverse equation it is (alpha
    / sigma)^2, but that errs up to three times as much. First order at both ends, like `heun`.
    """
    now, after = walk.levels[i : i + 2]
    r = remaining(now, after)
    if r == 0:
        return walk.up(first_order(x, x0, now, walk.down(i)), i)
    assert walk.noise is not None
    first, second = walk.noise(i), walk.noise(i)
    middle = walk.middle(now, after)
    half = blend(x, x0, now.pair, middle.pair, 1.0, first)
    share = (1 - remaining(now, middle)) / (1 - r)  # of the way to the middle, by that clock
    noise = share**0.5 * first + (1 - share) ** 0.5 * second
    return blend(x, walk.ask(half, middle.t), now.pair, after.pair, 1.0, noise)


def dpmpp(walk: Walk, x: Tensor, x0: Tensor, i: int) -> Tensor:
    """DPM-Solver++(2M): Lu et al. 2022 (arXiv 2211.01095), algorithm 2; one call per step.

    x0 goes on changing as it did in the last step. First order if there is no last step, if it was infinitely long
    (alpha = 0), or if this one is (sigma = 0). With eta = 1 it is SDE-DPM-Solver++(2M) of the same paper.
    """
    now, after = walk.levels[i : i + 2]
    ahead = x0
    if walk.past and after.sigma > 0:
        slope = log_step(now, after) / log_step(walk.levels[i - 1], now)  # 0 after an infinite step
        ahead = x0 + slope / 2 * (x0 - walk.past[-1][1])
    walk.past.append((x, x0))
    return walk.up(first_order(x, ahead, now, walk.down(i)), i)


def dpmpp_heun(walk: Walk, x: Tensor, x0: Tensor, i: int) -> Tensor:
    """`dpmpp` with its line integrated exactly; with eta = 1 the 2M SDE Heun of Crowson's k-diffusion."""
    return _integrated(walk, x, x0, i, 2)


def dpmpp_3m(walk: Walk, x: Tensor, x0: Tensor, i: int) -> Tensor:
    """DPM-Solver++(3M), with eta = 1 the 3M SDE of Crowson's k-diffusion; one call per step.

    x0 is continued as a parabola in log-SNR through the last three, which is integrated exactly. In the original the
    parabola's bend counts half, which leaves the order at 2.
    """
    return _integrated(walk, x, x0, i, 3)


def _integrated(walk: Walk, x: Tensor, x0: Tensor, i: int, order: int) -> Tensor:
    """Integrate the polynomial through the last x0: x0 + slope * u + bend * u^2, u in [0, 1] along step i."""
    now, after = walk.levels[i : i + 2]
    ahead = first_order(x, x0, now, walk.down(i))
    if walk.past and after.sigma > 0:
        before, old = walk.levels[i - 1], walk.past[-1][1]
        h, (_, w1, w2) = log_step(now, after), _moments(log_step(now, walk.down(i)))
        p = log_step(before, now) / h
        slope = (x0 - old) / p
        if order == 3 and len(walk.past) > 1:
            q = log_step(walk.levels[i - 2], before) / h
            bend = (slope - (old - walk.past[-2][1]) / q) / (p + q)
            ahead = ahead + after.alpha * (w1 * (slope + p * bend) + w2 * bend)
        else:
            ahead = ahead + after.alpha * w1 * slope
    walk.past.append((x, x0))
    return walk.up(ahead, i)


def _moments(h: float) -> tuple[float, float, float]:
    """Return h times the integrals of e^(-h (1 - u)) u^k over u in [0, 1], k = 0, 1, 2: weights of a parabola."""
    w0 = -expm1(-h)
    w1 = 1 - w0 / h
    return w0, w1, 1 - 2 * w1 / h


def unipc(walk: Walk, x: Tensor, x0: Tensor, i: int) -> Tensor:
    """UniPC of order 2 with B(h) = e^h - 1: Zhao et al. 2023, x0 form; one call per step.

    Its predictor is `dpmpp`. Once x0 is known at the predicted x, the corrector repeats the last step with it.
    """
    return dpmpp(walk, _corrected(walk, x0, i) if walk.past else x, x0, i)


def _corrected(walk: Walk, x0: Tensor, i: int) -> Tensor:
    """Repeat the step to level i, now that its x0 is known: UniC, a parabola through three x0, a line at first."""
    before, now = walk.levels[i - 1 : i + 1]
    x, old = walk.past[-1]
    h, rise = log_step(before, now), x0 - old
    start = first_order(x, old, before, now)
    q = log_step(walk.levels[i - 2], before) / h if len(walk.past) > 1 else inf
    if q == inf or h == inf:
        return start - now.alpha * expm1(-h) / 2 * rise
    _, w1, w2 = _moments(h)
    bend = ((walk.past[-2][1] - old) / q + rise) / (1 + q)
    return start + now.alpha * (w1 * (rise - bend) + w2 * bend)


def lms(walk: Walk, x: Tensor, x0: Tensor, i: int) -> Tensor:
    """Linear multistep of order 4 in sigma / alpha: Crowson's k-diffusion; one call per step.

    The noise of up to four levels is continued as a polynomial and integrated exactly; the last step ends at x0.
    """

    def weights(noises: list[Tensor]) -> Tensor:
        end, *nodes = (level.sigma / level.alpha for level in reversed(walk.levels[i + 1 - len(noises) : i + 2]))
        return _weighted_sum(_lagrange(nodes, end), noises)

    return _by_noise(walk, x, x0, i, weights)


def pndm(walk: Walk, x: Tensor, x0: Tensor, i: int) -> Tensor:
    """PNDM: Liu et al. 2022, algorithm 2, made for even steps of time; one call per step after the first three.

    The first three steps take four calls each, at the start, twice in the middle and at the end; later ones continue
    the noise of the last four. First order where the walk begins at alpha = 0; the step to sigma = 0 ends at x0.
    """

    def combined(noises: list[Tensor]) -> Tensor:
        return _weighted_sum(ADAMS, noises) if len(noises) > MEMORY else _runge_kutta(walk, x, noises[0], i)

    return _by_noise(walk, x, x0, i, combined)


def _by_noise(walk: Walk, x: Tensor, x0: Tensor, i: int, combine: Callable[[list[Tensor]], Tensor]) -> Tensor:
    """Take step i with what `combine` makes of the noise of this step and of those before, newest first.

    First order at both ends. No polynomial goes through infinity, from alpha = 0.
    """
    now, after = walk.levels[i : i + 2]
    if remaining(now, after) > 0:
        noises = [noise_in(*pair, walk.levels[i - k]) for k, pair in enumerate([(x, x0), *reversed(walk.past)])]
        ahead = transfer(x, combine(noises), now, after)
    else:
        ahead = first_order(x, x0, now, after)
    if now.alpha > 0:
        walk.past.append((x, x0))
    return ahead


def _weighted_sum(weights: Sequence[float], noises: Sequence[Tensor]) -> Tensor:
    return reduce(torch.add, (weight * noise for weight, noise in zip(weights, noises, strict=True)))


def _lagrange(nodes: Sequence[float], end: float) -> list[float]:
    """For up to four nodes, the mean over [nodes[0], end] of the polynomial that is 1 there and 0 at the others."""

    def basis(node: float, place: float) -> float:
        return prod((place - other) / (node - other) for other in nodes if other != node)

    first, middle = nodes[0], (nodes[0] + end) / 2  # Simpson's rule, exact for cubics
    return [(basis(node, first) + 4 * basis(node, middle) + basis(node, end)) / 6 for node in nodes]


def _runge_kutta(walk: Walk, x: Tensor, eps: Tensor, i: int) -> Tensor:
    """Return the noise to take step i with, by three more calls, as the rule of Runge and Kutta has it."""
    now, after = walk.levels[i : i + 2]
    middle = walk.at((now.t + after.t) / 2)

    def seen(noise: Tensor, level: Level) -> Tensor:
        there = transfer(x, noise, now, level)
        return noise_in(there, walk.ask(there, level.t), level)

    third = seen(second := seen(eps, middle), middle)
    return (eps + 2 * second + 2 * third + seen(third, after)) / 6


@dataclass(frozen=True)
class State:
    """A walk after step `index`: the picture x at time t, (B, C, H, W), and the clean x0 this step expected."""

    x: Tensor
    x0: Tensor
    t: float
    index: int


def walk(
    denoise: Denoise,
    x: Tensor,
    times: Tensor,
    schedule: Schedule,
    sampler: str = "ddim",
    eta: float = 0.0,
    noise: Callable[[int], Tensor] | None = None,
    threshold: Threshold | None = None,
) -> Iterator[State]:
    """Yield the state after every step from times[0] to times[-1]; at time 0, x is x0.

    denoise(x, t (B,)) -> x0. x: (B, C, H, W) at time times[0], maybe pure noise. times: (steps + 1,), falling. sampler:
    one of `names.SAMPLERS`, which says which may take eta in [0, 1], the share of fresh noise, and which always take 1.
    noise(i): fresh noise of step i, shape of x, asked only where it is used, twice by `dpmpp-sde`. threshold acts on
    x0. Gradients flow through all steps unless the caller forbids it.

    A step calls denoise once; `heun`, `dpm2`, `dpmpp-2s` and `dpmpp-sde` call it twice but where a step begins at alpha
    = 0 or ends at sigma = 0, and the first three such steps of `pndm` four times.

    Raises ColorizeError for an unknown sampler or an eta it cannot use.
    """
    eta = names.settle(sampler, eta)
    if eta and noise is None:
        raise TypeError(f"eta = {eta:g} needs `noise`, a function from step to fresh noise")
    if (times.diff() >= 0).any():
        raise ValueError(f"times must fall, not {times.tolist()}")
    solver = globals()[names.SAMPLERS[sampler].solver or sampler.replace("-", "_")]
    return _steps(Walk(denoise, schedule, levels(schedule, times), eta, noise, threshold), x, solver)


def _steps(walk: Walk, x: Tensor, solver: Solver) -> Iterator[State]:
    for i, (now, after) in enumerate(pairwise(walk.levels)):
        x0 = walk.ask(x, now.t)
        x = solver(walk, x, x0, i)
        yield State(x, x0, after.t, i)


def ddim_step(
    x: Tensor, x0: Tensor, t: Tensor, t_next: Tensor, schedule: Schedule, eta: float = 0.0, noise: Tensor | None = None
) -> Tensor:
    """Return x at t_next, given x at t and the clean picture x0 expected there.

    x, x0, noise: (B, C, H, W). t, t_next: (B,) or scalars, on the device of x, t > 0. With eta = 0, t_next may lie
    above t, which is DDIM inversion. noise is needed for eta > 0.
    """
    if eta and noise is None:
        raise TypeError(f"eta = {eta:g} needs `noise`")
    now, after = ([expand(part, x) for part in schedule(time)] for time in (t, t_next))
    return blend(x, x0, (now[0], now[1]), (after[0], after[1]), eta, noise if eta else None)
