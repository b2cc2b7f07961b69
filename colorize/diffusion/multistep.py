"""Move a noisy picture to the next noise level, with what the steps before have seen.

Knows nothing of schedules. Words and letters are those of `steps`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import expm1, inf

from torch import Tensor

from colorize.diffusion.steps import MEMORY, Level, Run, gap, left, moved, noise_in, straight

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
