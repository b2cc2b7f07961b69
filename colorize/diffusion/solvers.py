"""Move a noisy picture from one noise level to the next, looking no further back than this step.

Knows nothing of schedules, of where the levels come from, or of who looks at the steps.

Throughout, `now` and `after` are the levels a step leaves and reaches, r in [0, 1] is the share of
sigma / alpha that is left, (alpha_now * sigma_after) / (alpha_after * sigma_now), and h = -log r is
the step in half log-SNR, the `h` of the DPM-Solver and UniPC papers.
All formulas use x and x0 only. So after x0 was thresholded the noise that goes with it is
recomputed; AnimeDiffusion's original combines a clamped x0 with the noise of the unclamped one.

Fresh noise means the same everywhere: a step goes to `down`, a level below `after`, as it would
without noise, and then up to `after` by as much noise as `blend` adds for the same eta (k-diffusion
calls both sigma_down and sigma_up).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import expm1, inf, log

from torch import Tensor

Number = float | Tensor  # one for all pictures, or (B, 1, 1, 1)
Noise = Callable[[int], Tensor]  # step -> (B, C, H, W), fresh for each call
MEMORY = 3  # steps: lms and pndm draw a line through this one and three before


@dataclass(frozen=True)
class Level:
    """One time of a walk as plain numbers, so that no step waits for the device."""

    t: float
    alpha: float
    sigma: float


@dataclass(frozen=True)
class Run:
    """What the steps of one walk share. `past` holds (x, x0) of the last three steps, newest last.

    at: the level at a time. having: the level with this sigma / alpha.
    """

    ask: Callable[[Tensor, float], Tensor]  # (x, t) -> x0, thresholded
    levels: list[Level]
    eta: float
    noise: Noise | None
    at: Callable[[float], Level]
    having: Callable[[float], Level]
    past: deque[tuple[Tensor, Tensor]] = field(default_factory=lambda: deque(maxlen=MEMORY))

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
        """Return the share of the variance at the end of step i that is fresh noise."""
        return self.eta**2 * (1 - left(self.levels[i], self.levels[i + 1]) ** 2)


Step = Callable[[Run, Tensor, int], tuple[Tensor, Tensor]]  # run, x, i -> x after step i, and its x0


def blend(
    x: Tensor,
    x0: Tensor,
    now: tuple[Number, Number],
    after: tuple[Number, Number],
    eta: float = 0.0,
    noise: Tensor | None = None,
) -> Tensor:
    """Return x at `after`, given x at `now`, both (alpha, sigma): Song et al. 2021, equation 12.

    eta = 0 keeps the noise that is in x (DDIM), eta = 1 replaces as much of it by fresh noise as
    the DDPM posterior does. Their standard deviation is sigma_after * eta * sqrt(1 - r^2).
    """
    (alpha, sigma), (alpha_after, sigma_after) = now, after
    eps = (x - alpha * x0) / sigma
    if noise is None:
        return alpha_after * x0 + sigma_after * eps
    r = alpha * sigma_after / (alpha_after * sigma)
    replaced = eta**2 * (1 - r**2)  # share of the variance, in [0, 1]
    return alpha_after * x0 + sigma_after * ((1 - replaced) ** 0.5 * eps + replaced**0.5 * noise)


def left(now: Level, after: Level) -> float:
    """Return r, the share of sigma / alpha that is left; 0 at the ends of a walk, from alpha = 0 and to sigma = 0."""
    return now.alpha * after.sigma / (after.alpha * now.sigma)


def gap(now: Level, after: Level) -> float:
    """Return h, the step in half log-SNR; infinite from alpha = 0 and to sigma = 0."""
    r = left(now, after)
    return -log(r) if r > 0 else inf


def straight(x: Tensor, x0: Tensor, now: Level, after: Level) -> Tensor:
    """First order: x0 stays what it is. Exact at sigma = 0 (gives x0) and finite at alpha = 0."""
    keep = after.sigma / now.sigma
    return keep * x + after.alpha * (1 - left(now, after)) * x0


def noise_in(x: Tensor, x0: Tensor, level: Level) -> Tensor:
    """Return the noise eps that goes with x0: x = alpha * x0 + sigma * eps."""
    return (x - level.alpha * x0) / level.sigma


def moved(x: Tensor, eps: Tensor, now: Level, after: Level) -> Tensor:
    """Go on with this noise instead of an x0, from alpha > 0: the transfer of PNDM, Liu et al. 2022."""
    keep = after.alpha / now.alpha
    return keep * x + (after.sigma - keep * now.sigma) * eps


def ddim(run: Run, x: Tensor, i: int) -> tuple[Tensor, Tensor]:
    """DDIM and DDPM; with eta = 0 also Euler's rule in sigma / alpha, which is the same formula."""
    now, after = run.levels[i], run.levels[i + 1]
    x0 = run.ask(x, now.t)
    ends = (now.alpha, now.sigma), (after.alpha, after.sigma)
    return blend(x, x0, *ends, run.eta, run.fresh(i)), x0


def heun(run: Run, x: Tensor, i: int) -> tuple[Tensor, Tensor]:
    """Heun's rule in sigma / alpha: Karras et al. 2022, algorithm 1; two calls per step.

    The mean of the slopes at both ends comes down to a multiple of the change in x0. First order
    at the last step, as there, and where the walk begins at alpha = 0. It overshoots when one step
    takes sigma / alpha down many times over: give it ten steps or more.
    """
    now, after = run.levels[i], run.levels[i + 1]
    x0 = run.ask(x, now.t)
    ahead = straight(x, x0, now, after)
    r = left(now, after)
    if r == 0:
        return ahead, x0
    return ahead + after.alpha * (1 / r - 1) / 2 * (run.ask(ahead, after.t) - x0), x0


def dpm2(run: Run, x: Tensor, i: int) -> tuple[Tensor, Tensor]:
    """DPM-Solver-2: Lu et al. 2022 (arXiv 2206.00927), algorithm 1; two calls per step.

    The whole step is taken with the noise of its middle, which is that of log-SNR between `now` and
    `down`. First order at both ends, like `heun`.
    """
    now, down = run.levels[i], run.down(i)
    x0 = run.ask(x, now.t)
    if left(now, down) == 0:
        return run.up(straight(x, x0, now, down), i), x0
    half, x0_half, middle = _halfway(run, x, x0, now, down)
    return run.up(moved(x, noise_in(half, x0_half, middle), now, down), i), x0


def dpmpp_2s(run: Run, x: Tensor, i: int) -> tuple[Tensor, Tensor]:
    """DPM-Solver++(2S): Lu et al. 2022 (arXiv 2211.01095), algorithm 1; `dpm2` with the x0 of the middle."""
    now, down = run.levels[i], run.down(i)
    x0 = run.ask(x, now.t)
    goal = x0
    if left(now, down) > 0:
        _, goal, _ = _halfway(run, x, x0, now, down)
    return run.up(straight(x, goal, now, down), i), x0


def _halfway(run: Run, x: Tensor, x0: Tensor, now: Level, down: Level) -> tuple[Tensor, Tensor, Level]:
    """Return x in the middle of a step, the x0 expected there, and the level."""
    middle = run.having(now.sigma / now.alpha * left(now, down) ** 0.5)
    half = straight(x, x0, now, middle)
    return half, run.ask(half, middle.t), middle


def dpmpp_sde(run: Run, x: Tensor, i: int) -> tuple[Tensor, Tensor]:
    """DPM-Solver++(SDE) with a call in the middle, after Crowson's k-diffusion; eta = 1, two calls a step.

    The middle is reached with fresh noise of its own, and the noise of the whole step goes on from it:
    both are one Brownian path. Its clock is sigma / alpha, as published; by the exact solution of the
    reverse equation it is (alpha / sigma)^2, but that leaves one and a half to three times the error in
    the spread of a Gaussian. First order at both ends, like `heun`.
    """
    now, after = run.levels[i], run.levels[i + 1]
    x0 = run.ask(x, now.t)
    r = left(now, after)
    if r == 0:
        return run.up(straight(x, x0, now, run.down(i)), i), x0
    assert run.noise is not None
    first, second = run.noise(i), run.noise(i)
    middle = run.having(now.sigma / now.alpha * r**0.5)
    start, stop = (now.alpha, now.sigma), (after.alpha, after.sigma)
    half = blend(x, x0, start, (middle.alpha, middle.sigma), 1.0, first)
    half_way = (1 - left(now, middle)) / (1 - r)  # by that clock
    noise = half_way**0.5 * first + (1 - half_way) ** 0.5 * second
    return blend(x, run.ask(half, middle.t), start, stop, 1.0, noise), x0


ADAMS = (55 / 24, -59 / 24, 37 / 24, -9 / 24)  # Adams-Bashforth of order 4 for even steps


def dpmpp(run: Run, x: Tensor, i: int) -> tuple[Tensor, Tensor]:
    """DPM-Solver++(2M): Lu et al. 2022 (arXiv 2211.01095), algorithm 2; one call per step, x0 drawn on in a line.

    With eta = 1 it is SDE-DPM-Solver++(2M) of the same paper, which draws x0 on in the same way.
    """
    x0 = run.ask(x, run.levels[i].t)
    ahead = run.up(_drawn_on(run, x, x0, i), i)
    run.past.append((x, x0))
    return ahead, x0


def dpmpp_heun(run: Run, x: Tensor, i: int) -> tuple[Tensor, Tensor]:
    """`dpmpp` with its line integrated exactly; with eta = 1 the 2M SDE Heun of Crowson's k-diffusion."""
    now, after, down = run.levels[i], run.levels[i + 1], run.down(i)
    x0 = run.ask(x, now.t)
    ahead = straight(x, x0, now, down)
    if run.past and after.sigma > 0:
        slope = (x0 - run.past[-1][1]) * (gap(now, after) / gap(run.levels[i - 1], now))
        ahead = ahead + after.alpha * _moments(gap(now, down))[1] * slope
    run.past.append((x, x0))
    return run.up(ahead, i), x0


def dpmpp_3m(run: Run, x: Tensor, i: int) -> tuple[Tensor, Tensor]:
    """DPM-Solver++(3M), with eta = 1 the 3M SDE of Crowson's k-diffusion; one call per step.

    x0 is drawn on as a parabola in log-SNR through the last three, which is integrated exactly. As
    published, the parabola's bend counts half, which leaves the order at 2.
    """
    now, after, down = run.levels[i], run.levels[i + 1], run.down(i)
    x0 = run.ask(x, now.t)
    ahead = straight(x, x0, now, down)
    if run.past and after.sigma > 0:
        h = gap(now, after)
        slope, bend = _curve(run, x0, i, h)
        _, w1, w2 = _moments(gap(now, down))
        ahead = ahead + after.alpha * (w1 * slope + w2 * bend)
    run.past.append((x, x0))
    return run.up(ahead, i), x0


def unipc(run: Run, x: Tensor, i: int) -> tuple[Tensor, Tensor]:
    """UniPC of order 2 with B(h) = e^h - 1: Zhao et al. 2023, x0 form; one call per step.

    Its predictor is DPM-Solver++(2M). Once x0 is known at the predicted x, the corrector repeats
    the last step with it, at no further call.
    """
    x0 = run.ask(x, run.levels[i].t)
    if run.past:
        x = _corrected(run, x0, i)
    ahead = _drawn_on(run, x, x0, i)
    run.past.append((x, x0))
    return ahead, x0


def lms(run: Run, x: Tensor, i: int) -> tuple[Tensor, Tensor]:
    """Linear multistep of order 4 in sigma / alpha: Crowson's k-diffusion, Adams-Bashforth for uneven steps.

    The noise of up to four levels is drawn on as a polynomial and integrated exactly; one call per
    step. The step to sigma = 0 ends at x0, where the original draws on once more.
    """
    now, after = run.levels[i], run.levels[i + 1]
    x0 = run.ask(x, now.t)
    if left(now, after) == 0:
        ahead = straight(x, x0, now, after)
    else:
        seen = _noises(run, x, x0, i)
        nodes = [run.levels[i - k].sigma / run.levels[i - k].alpha for k in range(len(seen))]
        ahead = moved(x, _mixed(_lagrange(nodes, after.sigma / after.alpha), seen), now, after)
    _remember(run, x, x0, i)
    return ahead, x0


def pndm(run: Run, x: Tensor, i: int) -> tuple[Tensor, Tensor]:
    """PNDM: Liu et al. 2022, algorithm 2, made for even steps of time; one call per step after the first three.

    The first three steps take four calls each, at the start, twice in the middle and at the end. Later
    ones draw the noise on from the last four. First order where the walk begins at alpha = 0; the step
    to sigma = 0 ends at x0, where the original draws on once more, to the first entry of the table.
    """
    now, after = run.levels[i], run.levels[i + 1]
    x0 = run.ask(x, now.t)
    if left(now, after) == 0:
        ahead = straight(x, x0, now, after)
    elif len(run.past) < MEMORY:
        ahead = moved(x, _runge_kutta(run, x, noise_in(x, x0, now), i), now, after)
    else:
        ahead = moved(x, _mixed(ADAMS, _noises(run, x, x0, i)), now, after)
    _remember(run, x, x0, i)
    return ahead, x0


def _drawn_on(run: Run, x: Tensor, x0: Tensor, i: int) -> Tensor:
    """Second order: x0 goes on changing as it did in the last step.

    First order if there is no last step, if it was infinitely long (alpha = 0), or if this one is
    (sigma = 0: `lower_order_final`).
    """
    now, after = run.levels[i], run.levels[i + 1]
    if run.past and after.sigma > 0:
        slope = gap(now, after) / gap(run.levels[i - 1], now)  # 0 after an infinite step
        x0 = x0 + slope / 2 * (x0 - run.past[-1][1])
    return straight(x, x0, now, run.down(i))


def _moments(h: float) -> tuple[float, float, float]:
    """Return h times the integrals of e^(-h (1 - u)) u^k over u in [0, 1], k = 0, 1, 2: weights of a parabola."""
    w0 = -expm1(-h)
    w1 = 1 - w0 / h
    return w0, w1, 1 - 2 * w1 / h


def _curve(run: Run, x0: Tensor, i: int, h: float) -> tuple[Tensor, Tensor]:
    """Return slope and bend: with u in [0, 1] along step i, x0 + slope * u + bend * u^2 meets the last x0.

    A level at alpha = 0 is infinitely far away and so has no say.
    """
    now, before = run.levels[i], run.levels[i - 1]
    p = gap(before, now) / h
    slope = (x0 - run.past[-1][1]) / p
    if len(run.past) < 2:
        return slope, 0 * slope
    q = gap(run.levels[i - 2], before) / h
    bend = (slope - (run.past[-1][1] - run.past[-2][1]) / q) / (p + q)
    return slope + p * bend, bend


def _corrected(run: Run, x0: Tensor, i: int) -> Tensor:
    """Repeat the step that led to level i, now that its x0 is known: UniC of order 2, 1 at first.

    Order 2 integrates exactly the parabola through the x0 of three levels.
    """
    before, now = run.levels[i - 1], run.levels[i]
    x, old = run.past[-1]
    h = gap(before, now)
    rise = x0 - old
    start = straight(x, old, before, now)
    q = gap(run.levels[i - 2], before) / h if len(run.past) > 1 else inf
    if q == inf or h == inf:
        return start - now.alpha * expm1(-h) / 2 * rise
    _, w1, w2 = _moments(h)
    bend = ((run.past[-2][1] - old) / q + rise) / (1 + q)
    return start + now.alpha * (w1 * (rise - bend) + w2 * bend)


def _noises(run: Run, x: Tensor, x0: Tensor, i: int) -> list[Tensor]:
    """Return the noise eps of this step and of those before, newest first."""
    seen = [(x, x0), *reversed(run.past)]
    return [noise_in(*pair, run.levels[i - k]) for k, pair in enumerate(seen)]


def _remember(run: Run, x: Tensor, x0: Tensor, i: int) -> None:
    """Keep a step for those to come, but for one from alpha = 0: no polynomial goes through infinity."""
    if run.levels[i].alpha > 0:
        run.past.append((x, x0))


def _mixed(weights: Sequence[float], seen: Sequence[Tensor]) -> Tensor:
    terms = [weight * one for weight, one in zip(weights, seen, strict=True)]
    return sum(terms[1:], terms[0])


def _lagrange(nodes: Sequence[float], end: float) -> list[float]:
    """Return the mean over [nodes[0], end] of the polynomial that is 1 at one node and 0 at the others, for each.

    Up to four nodes: Simpson's rule is exact for cubics.
    """

    def mean(k: int) -> float:
        others = [node for node in nodes if node != nodes[k]]
        values = []
        for place in (nodes[0], (nodes[0] + end) / 2, end):
            value = 1.0
            for other in others:
                value *= (place - other) / (nodes[k] - other)
            values.append(value)
        return (values[0] + 4 * values[1] + values[2]) / 6

    return [mean(k) for k in range(len(nodes))]


def _runge_kutta(run: Run, x: Tensor, eps: Tensor, i: int) -> Tensor:
    """Return the noise to take step i with, by three more calls, as the rule of Runge and Kutta has it."""
    now, after = run.levels[i], run.levels[i + 1]
    middle = run.at((now.t + after.t) / 2)

    def seen(noise: Tensor, level: Level) -> Tensor:
        there = moved(x, noise, now, level)
        return noise_in(there, run.ask(there, level.t), level)

    second = seen(eps, middle)
    third = seen(second, middle)
    return (eps + 2 * second + 2 * third + seen(third, after)) / 6
