"""Noise schedules, and the times at which a walk from noise to picture stops.

Convention: x = alpha * x0 + sigma * noise with alpha^2 + sigma^2 = 1, and time t in [0, 1], 0 = clean, 1 = noisiest. A
published schedule of T numbers abar[0..T-1] becomes a table of T + 1 entries: entry 0 is the clean picture and entry i
is abar[i - 1], so that t = i / T meets entry i exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import pi

import torch
from torch import Generator, Tensor

from colorize.diffusion.names import SPACINGS
from colorize.errors import ColorizeError, nearest

SNAP = 1e-3  # of a table entry: float32 cannot write i / 1000 exactly, yet should meet entry i
Convert = Callable[[Tensor], Tensor]
KARRAS_RHO = 7.0  # Karras et al. 2022 (EDM), table 1
RATIO_CEILING = 80.0  # EDM's largest sigma / alpha; stands in where alpha = 0 makes it infinite


class Schedule:
    """How noisy each time is: `abar()` gives a table of `steps` numbers, a call looks t up between them.

    Between entries the angle atan(sigma / alpha) runs straight. Times outside [0, 1] count as 0 or 1.
    """

    steps: int

    def __post_init__(self) -> None:
        if self.steps < 2:
            raise ColorizeError(f"a schedule of {self.steps} steps is too short; it needs at least 2")

    def abar(self) -> Tensor:
        """Return alpha^2 of entries 1..T: (T,) float64, falling."""
        raise NotImplementedError

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return alpha and sigma at t, float32, shape and device of t, alpha^2 + sigma^2 = 1."""
        device = torch.device("cpu") if t.device.type == "mps" else t.device  # MPS has no float64
        angles = _angles(self, device)  # (2, T + 1)
        entry = t.detach().to(device).double().clamp(0, 1) * (angles.shape[1] - 1)
        whole = entry.round()
        entry = torch.where((entry - whole).abs() < SNAP, whole, entry)
        below = entry.floor().clamp(max=angles.shape[1] - 2).long()
        parts = torch.sin(torch.lerp(angles[:, below], angles[:, below + 1], entry - below))
        alpha, sigma = parts.float().to(t.device)
        return alpha, sigma


@lru_cache(maxsize=64)
def _angles(schedule: Schedule, device: torch.device) -> Tensor:
    # Two angles, so that sin(first) = alpha and sin(second) = sigma are exactly 0 and 1 at the ends.
    # Made outside inference mode and the meta device, since the table stays.
    with torch.inference_mode(False), torch.no_grad(), torch.device("cpu"):
        # Float64: in float32, 1 - abar is wrong by 1 % when beta is 1e-6.
        abar = torch.cat([torch.ones(1, dtype=torch.float64), schedule.abar()])
        alpha, sigma = abar.sqrt(), (1 - abar).sqrt()
        return torch.stack([torch.atan2(alpha, sigma), torch.atan2(sigma, alpha)]).to(device)


@dataclass(frozen=True)
class Linear(Schedule):
    """Noise added per step (beta) rises linearly from `start` to `end`: DDPM, Ho et al. 2020.

    AnimeDiffusion uses 1e-6 to 1e-2.

    start: noise added at the first step.
    end: noise added at the last step.
    steps: entries of the table.
    zero_snr: rescale so that the last entry is pure noise.
    """

    start: float = 1e-4
    end: float = 2e-2
    steps: int = 1000
    zero_snr: bool = False

    power = 1.0  # the root of beta of this power rises linearly

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.start <= self.end < 1:
            hint = "choose 0 < start <= end < 1, for example 0.0001 and 0.02"
            raise ColorizeError(f"a schedule from beta {self.start:g} to {self.end:g} is not possible", hint)

    def abar(self) -> Tensor:
        """Return alpha^2 of entries 1..T."""
        root = 1 / self.power
        beta = torch.linspace(self.start**root, self.end**root, self.steps, dtype=torch.float64) ** self.power
        abar = torch.cumprod(1 - beta, 0)
        if not self.zero_snr:
            return abar
        # Lin et al. 2024 (arXiv 2305.08891), algorithm 1: shift alpha so that its last entry is 0,
        # then stretch it so that its first stays where it was.
        alpha = abar.sqrt()
        return ((alpha - alpha[-1]) * alpha[0] / (alpha[0] - alpha[-1])) ** 2


@dataclass(frozen=True)
class ScaledLinear(Linear):
    """The square root of beta rises linearly: Stable Diffusion and ColorizeDiffusion.

    start: noise added at the first step.
    end: noise added at the last step.
    steps: entries of the table.
    zero_snr: rescale so that the last entry is pure noise.
    """

    start: float = 0.00085
    end: float = 0.012

    power = 2.0


@dataclass(frozen=True)
class Cosine(Schedule):
    """alpha falls like a cosine: Nichol and Dhariwal 2021, equation 17.

    offset: keeps the first steps from adding too little noise.
    steps: entries of the table.
    zero_snr: let the last entry be exactly pure noise. Otherwise beta is clipped at 0.999 as in the paper, to avoid
      that.
    """

    offset: float = 0.008
    steps: int = 1000
    zero_snr: bool = False

    def abar(self) -> Tensor:
        """Return alpha^2 of entries 1..T."""
        share = torch.arange(self.steps + 1, dtype=torch.float64) / self.steps
        wave = torch.cos((share + self.offset) / (1 + self.offset) * pi / 2) ** 2
        if self.zero_snr:
            wave[-1] = 0.0  # cos(pi / 2) is 6e-17 in float64
            return wave[1:] / wave[0]
        return torch.cumprod(1 - (1 - wave[1:] / wave[:-1]).clamp(max=0.999), 0)


def expand(values: Tensor, like: Tensor) -> Tensor:
    """Shape one number per picture, (B,) or a scalar, so that it multiplies `like`, (B, ...)."""
    return values.reshape(-1, *[1] * (like.ndim - 1))


def noised(schedule: Schedule, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """Return alpha * x0 + sigma * noise at time t, (B,) or a scalar."""
    alpha, sigma = schedule(t)
    return expand(alpha, x0) * x0 + expand(sigma, x0) * noise


def draw(n: int, rng: Generator) -> Tensor:
    """Return n random training times, (n,) in (0, 1], on the CPU.

    One comes from each n-th of the range, in random order, so that the loss of a batch is steadier (Kingma et al. 2021,
    appendix I.1); each single time is still uniform.
    """
    share = torch.rand(n, generator=rng)  # [0, 1)
    share = (torch.randperm(n, generator=rng) + share) / n
    return (1 - share).clamp(min=torch.finfo(torch.float32).eps)


def times(schedule: Schedule, steps: int, begin: float = 1.0, rule: str = "trailing", skip: bool = False) -> Tensor:
    """Return the times at which a walk of `steps` steps stops: (steps + 1,), falling, the last 0.

    begin in (0, 1]: where to start; below 1 the walk starts from a noised picture, not from noise. rule: one of
    SPACINGS. `trailing`, `linspace`, `leading` and `inner` meet table entries exactly; the last two stop first one
    stride below `begin`, so a start has to be noised for the first of these times. skip: choose one stop more and leave
    out the last noisy one, as is usual for DPM2 and DPM++ 3M.

    Raises ColorizeError for an unknown rule, a begin outside (0, 1], or more steps than the table has entries up to
    `begin`.
    """
    if rule not in SPACINGS:
        raise ColorizeError(f"unknown spacing `{rule}`", nearest(rule, SPACINGS))
    if not 0 < begin <= 1:
        raise ColorizeError(f"a walk cannot begin at {begin:g}", "choose 0 < begin <= 1")
    last = max(1, round(begin * schedule.steps))
    most = last - 1 if skip else last
    if not 1 <= steps <= most:
        raise ColorizeError(f"{steps} steps are not possible", f"choose 1 to {most} steps")
    stops = steps + 1 if skip else steps
    if rule in EVEN_RATIOS:
        entries = _by_ratio(stops, last, _rising(schedule), *EVEN_RATIOS[rule])
    else:
        entries = torch.tensor(EVEN_TIMES[rule](stops, last), dtype=torch.float64)
    return torch.cat([entries[:steps], entries.new_zeros(1)]).div(schedule.steps).float()


def time_of(schedule: Schedule, ratio: float) -> float:
    """Return the time in [0, 1] at which sigma / alpha has this value, also between entries of the table."""
    angle = torch.tensor([ratio], dtype=torch.float64, device="cpu").atan()
    return _entries_of(angle, _rising(schedule)).item() / schedule.steps


def _rising(schedule: Schedule) -> Tensor:
    """Return atan(sigma / alpha) of every entry: (T + 1,) float64 on the CPU."""
    table = torch.arange(schedule.steps + 1, dtype=torch.float64, device="cpu") / schedule.steps
    alpha, sigma = (part.double() for part in schedule(table))
    return torch.atan2(sigma, alpha)


def _entries_of(wanted: Tensor, angles: Tensor) -> Tensor:
    """Return the fractional entries (N,) at which `angles`, (T + 1,) rising, have these values, by straight lines."""
    above = torch.searchsorted(angles, wanted).clamp(1, len(angles) - 1)
    part = (wanted - angles[above - 1]) / (angles[above] - angles[above - 1])
    return above - 1 + part


def _by_ratio(steps: int, last: int, angles: Tensor, to: Convert, back: Convert) -> Tensor:
    """Return fractional entries, (steps,), at even steps of `to(sigma / alpha)`; the first is always `last`."""
    pure = bool(angles[last] >= torch.pi / 2)  # alpha = 0 there
    high, low = angles.new_tensor(RATIO_CEILING) if pure else angles[last].tan(), angles[1].tan()
    ratios = back(torch.lerp(to(high), to(low), torch.linspace(0, 1, steps, dtype=torch.float64)))
    entries = _entries_of(ratios.atan(), angles[: last + 1])
    entries[0] = last
    return entries


def _inner(steps: int, last: int) -> list[int]:
    """Stop at the N inner borders of N + 1 whole strides, rounded down: the multistep schedulers of `diffusers`."""
    stride = max(1, last // (steps + 1))
    offset = min(2, last - steps * stride)
    return [offset + k * stride for k in reversed(range(1, steps + 1))]


def _uniform(steps: int, last: int) -> list[float]:
    """Even steps of time, both ends included, also between entries: k-diffusion's own list."""
    return [last - (last - 1) * k / max(1, steps - 1) for k in range(steps)]


EVEN_TIMES: dict[str, Callable[[int, int], Sequence[float]]] = {  # steps, last entry -> entries
    # from the very end, where training's noisiest pictures are: Lin et al. 2024, table 2
    "trailing": lambda steps, last: [round(last * (steps - k) / steps) for k in range(steps)],
    # both ends included, as the Coloring Assistant does; a list of one is the noisiest, there an almost clean one
    "linspace": lambda steps, last: (
        [last] if steps == 1 else [k * (last - 1) // (steps - 1) + 1 for k in reversed(range(steps))]
    ),
    # from one stride before the end: AnimeDiffusion's indices, but of stride T / N, not floor(T / N), which falls
    # short unless N divides T, and with a clean end; N = T leaves no room for the offset
    "leading": lambda steps, last: [(2 if steps < last else 1) + k * last // steps for k in reversed(range(steps))],
    "inner": _inner,
    "uniform": _uniform,
    "sgm": lambda steps, last: _uniform(steps + 1, last)[:-1],  # of Stability's generative models
}
EVEN_RATIOS: dict[str, tuple[Convert, Convert]] = {  # and back
    "karras": (lambda ratio: ratio ** (1 / KARRAS_RHO), lambda root: root**KARRAS_RHO),  # equation 5
    "exponential": (torch.log, torch.exp),  # k-diffusion's list for third-order samplers
}
