"""Move a noisy picture from one noise level to the next: one function per sampler.

Knows nothing of schedules, of where the levels come from, or of who looks at the steps.

Throughout, `now` and `after` are the levels a step leaves and reaches, r in [0, 1] is the share of
sigma / alpha that is left, (alpha_now * sigma_after) / (alpha_after * sigma_now), and h = -log r is
the step in half log-SNR, the `h` of the DPM-Solver and UniPC papers.
All formulas use x and x0 only. So after x0 was thresholded the noise that goes with it is
recomputed; AnimeDiffusion's original combines a clamped x0 with the noise of the unclamped one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import expm1, inf, log

from torch import Tensor

Number = float | Tensor  # one for all pictures, or (B, 1, 1, 1)
Noise = Callable[[int], Tensor]  # step -> (B, C, H, W), fresh for each


@dataclass(frozen=True)
class Level:
    """One time of a walk as plain numbers, so that no step waits for the device."""

    t: float
    alpha: float
    sigma: float


@dataclass(frozen=True)
class Run:
    """What the steps of one walk share. `past` holds (x, x0) of the last two steps, newest last."""

    ask: Callable[[Tensor, float], Tensor]  # (x, t) -> x0, thresholded
    levels: list[Level]
    eta: float
    noise: Noise | None
    past: deque[tuple[Tensor, Tensor]] = field(default_factory=lambda: deque(maxlen=2))

    def fresh(self, i: int) -> Tensor | None:
        """Return step i's fresh noise, or None where the step takes none."""
        return self.noise(i) if self.noise and self.eta and self.levels[i + 1].sigma else None


Step = Callable[
    [Run, Tensor, int], tuple[Tensor, Tensor]
]  # run, x, i -> x after step i, and its x0


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
    ahead = _straight(x, x0, now, after)
    r = _left(now, after)
    if r == 0:
        return ahead, x0
    return ahead + after.alpha * (1 / r - 1) / 2 * (run.ask(ahead, after.t) - x0), x0


def dpmpp(run: Run, x: Tensor, i: int) -> tuple[Tensor, Tensor]:
    """DPM-Solver++(2M): Lu et al. 2022, algorithm 2; one call per step, x0 drawn on in a line."""
    x0 = run.ask(x, run.levels[i].t)
    ahead = _drawn_on(run, x, x0, i)
    run.past.append((x, x0))
    return ahead, x0


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


def _left(now: Level, after: Level) -> float:
    return now.alpha * after.sigma / (after.alpha * now.sigma)


def _gap(now: Level, after: Level) -> float:
    r = _left(now, after)
    return -log(r) if r > 0 else inf


def _straight(x: Tensor, x0: Tensor, now: Level, after: Level) -> Tensor:
    """First order: x0 stays what it is. Exact at sigma = 0 (gives x0) and finite at alpha = 0."""
    keep = after.sigma / now.sigma
    return keep * x + after.alpha * (1 - _left(now, after)) * x0


def _drawn_on(run: Run, x: Tensor, x0: Tensor, i: int) -> Tensor:
    """Second order: x0 goes on changing as it did in the last step.

    First order if there is no last step, if it was infinitely long (alpha = 0), or if this one is
    (sigma = 0: `lower_order_final`).
    """
    now, after = run.levels[i], run.levels[i + 1]
    if run.past and after.sigma > 0:
        slope = _gap(now, after) / _gap(run.levels[i - 1], now)  # 0 after an infinite step
        x0 = x0 + slope / 2 * (x0 - run.past[-1][1])
    return _straight(x, x0, now, after)


def _corrected(run: Run, x0: Tensor, i: int) -> Tensor:
    """Repeat the step that led to level i, now that its x0 is known: UniC of order 2, 1 at first.

    Order 2 integrates exactly the parabola through the x0 of three levels. With u in [0, 1] along
    the step, the moments w_k are h times the integral of e^(-h (1 - u)) u^k.
    """
    before, now = run.levels[i - 1], run.levels[i]
    x, old = run.past[-1]
    h = _gap(before, now)
    w0 = -expm1(-h)
    rise = x0 - old
    start = _straight(x, old, before, now)
    q = _gap(run.levels[i - 2], before) / h if len(run.past) == 2 else inf
    if q == inf or h == inf:
        return start + now.alpha * w0 / 2 * rise
    w1 = 1 - w0 / h
    w2 = 1 - 2 * w1 / h
    bend = ((run.past[-2][1] - old) / q + rise) / (1 + q)
    return start + now.alpha * (w1 * (rise - bend) + w2 * bend)
