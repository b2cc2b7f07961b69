"""Walk from noise to a clean picture, one step or all of them, with the sampler of your choice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor

from colorize.diffusion import names, solvers
from colorize.diffusion.denoiser import Denoise, Threshold
from colorize.diffusion.schedules import Schedule, expand


@dataclass(frozen=True)
class State:
    """A walk after one step.

    x: the picture at time t, (B, C, H, W). x0: the clean picture this step expected, same shape.
    index: how many steps are behind, less one.
    """

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

    denoise(x, t (B,)) -> x0. x: (B, C, H, W) at time times[0]; the walk may begin at alpha = 0,
    pure noise. times: (steps + 1,), falling. sampler: one of `names.SAMPLERS`, which says which may
    take eta in [0, 1], the share of fresh noise, and which always take 1. noise(i): fresh noise of step i,
    shape of x, asked only where it is used, twice by `dpmpp-sde`. threshold acts on x0, and the noise
    is recomputed from the result. Gradients flow through all steps unless the caller forbids it.

    A step calls denoise once; `heun`, `dpm2`, `dpmpp-2s` and `dpmpp-sde` call it twice but where a
    step begins at alpha = 0 or ends at sigma = 0, and the first three such steps of `pndm` four times.

    Raises ColorizeError for an unknown sampler or an eta it cannot use.
    """
    eta = names.settle(sampler, eta)
    if eta and noise is None:
        raise TypeError(f"eta = {eta:g} needs `noise`, a function from step to fresh noise")
    if (times.diff() >= 0).any():
        raise ValueError(f"times must fall, not {times.tolist()}")
    solver = getattr(solvers, names.SAMPLERS[sampler].solver or sampler.replace("-", "_"))
    way = solvers.Walk(denoise, schedule, solvers.levels(schedule, times), eta, noise, threshold)
    return _steps(way, x, solver)


def _steps(way: solvers.Walk, x: Tensor, solver: solvers.Solver) -> Iterator[State]:
    for i, (now, after) in enumerate(zip(way.levels, way.levels[1:], strict=False)):
        x0 = way.ask(x, now.t)
        x = solver(way, x, x0, i)
        yield State(x, x0, after.t, i)


def ddim_step(
    x: Tensor, x0: Tensor, t: Tensor, t_next: Tensor, schedule: Schedule, eta: float = 0.0, noise: Tensor | None = None
) -> Tensor:
    """Return x at t_next, given x at t and the clean picture x0 expected there.

    x, x0, noise: (B, C, H, W). t, t_next: (B,) or scalars, on the device of x, t > 0. The step of
    `ddim` and `ddpm` as a plain function, for training through single steps; with eta = 0, t_next
    may lie above t, which is DDIM inversion. noise is needed for eta > 0.
    """
    if eta and noise is None:
        raise TypeError(f"eta = {eta:g} needs `noise`")
    now, after = ([expand(part, x) for part in schedule(time)] for time in (t, t_next))
    return solvers.blend(x, x0, (now[0], now[1]), (after[0], after[1]), eta, noise if eta else None)
