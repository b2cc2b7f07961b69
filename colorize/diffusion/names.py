"""What the samplers are called and how much noise each can add. Imports no torch: help texts list them, too."""

from __future__ import annotations

from typing import Literal, get_args

from colorize.errors import ColorizeError, nearest

Sampler = Literal[
    "ddim",
    "ddpm",
    "dpmpp",
    "unipc",
    "euler",
    "heun",
    "lms",
    "pndm",
    "dpm2",
    "dpmpp-2s",
    "dpmpp-3m",
    "dpmpp-heun",
    "dpmpp-sde",
]
SAMPLERS: tuple[str, ...] = get_args(Sampler)
FREE = ("ddim", "dpmpp", "dpm2", "dpmpp-2s", "dpmpp-3m", "dpmpp-heun")  # eta may be anything from 0 to 1
NOISY = ("ddpm", "dpmpp-sde")  # eta is 1, whatever is asked
SHORT = ("dpm2", "dpmpp-3m")  # the last noisy stop is left out, as `times(skip=True)` does

# Names elsewhere of what is here a sampler with some eta, and so has no name of its own.
ELSEWHERE = {
    "euler-a": "`ddim` with eta = 1",
    "dpm2-a": "`dpm2` with eta = 1",
    "dpmpp-2m": "`dpmpp`",
    "dpmpp-2m-sde": "`dpmpp` with eta = 1",
    "dpmpp-2m-sde-heun": "`dpmpp-heun` with eta = 1",
    "dpmpp-2s-a": "`dpmpp-2s` with eta = 1",
    "dpm-fast": "nearest to `dpm2` with the spacing exponential",
    "dpm-adaptive": "nearest to `dpm2` with the spacing exponential",
    "dpmpp-3m-sde": "`dpmpp-3m` with eta = 1",
}


def listed(names: tuple[str, ...]) -> str:
    """Write names as prose: a, b and c."""
    return f"{', '.join(names[:-1])} and {names[-1]}"


def check(sampler: str, code: int = 1) -> None:
    """Refuse a name that is none of SAMPLERS: ColorizeError, with the name that was meant."""
    if sampler not in SAMPLERS:
        known = ELSEWHERE.get(sampler)
        hint = f"it is {known} here" if known else nearest(sampler, SAMPLERS)
        raise ColorizeError(f"there is no sampler `{sampler}`", hint, code)


def settle(sampler: str, eta: float, code: int = 1) -> float:
    """Return the share of fresh noise that a sampler walks with when asked for eta.

    Raises ColorizeError for an unknown sampler, an eta outside [0, 1], and one above 0 for a sampler
    that adds no noise.
    """
    check(sampler, code)
    if not 0 <= eta <= 1:
        raise ColorizeError(f"eta must lie between 0 and 1, not at {eta:g}", code=code)
    if eta and sampler not in FREE + NOISY:
        raise ColorizeError(
            f"the sampler `{sampler}` adds no noise, so eta = {eta:g} means nothing to it",
            f"leave eta at 0, or choose another sampler: {', '.join(FREE)}",
            code,
        )
    return 1.0 if sampler in NOISY else eta
