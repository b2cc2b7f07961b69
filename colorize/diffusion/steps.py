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
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import inf, log

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
        return (
            x if noise is None else x + self.levels[i + 1].sigma * self._replaced(i) ** 0.5 * noise
        )

    def _replaced(self, i: int) -> float:
        """Return the share of the variance at the end of step i that is fresh noise."""
        return self.eta**2 * (1 - left(self.levels[i], self.levels[i + 1]) ** 2)


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


def _halfway(
    run: Run, x: Tensor, x0: Tensor, now: Level, down: Level
) -> tuple[Tensor, Tensor, Level]:
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
