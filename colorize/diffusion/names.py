"""The tables of samplers and spacings; free of torch, since help texts list them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from colorize.errors import ColorizeError, nearest


@dataclass(frozen=True)
class Sampler:
    """One sampler.

    eta: the share of fresh noise it adds: `any` from 0 to 1, `none`, or `all`, which is 1 whatever is asked. aliases:
    names that other programs give it, and the settings with which it is theirs. solver: the function of `samplers`, if
    not of the sampler's name. short: whether it leaves out the last noisy stop, see `times`.
    """

    eta: Literal["any", "none", "all"]
    aliases: dict[str, str] = field(default_factory=dict)
    solver: str = ""
    short: bool = False


SAMPLERS = {
    "ddim": Sampler("any", {"euler-a": "eta = 1"}),
    "ddpm": Sampler("all", solver="ddim"),
    "dpmpp": Sampler("any", {"dpmpp-2m": "", "dpmpp-2m-sde": "eta = 1"}),
    "unipc": Sampler("none"),
    "euler": Sampler("none", solver="ddim"),  # DDIM is Euler's rule in sigma / alpha
    "heun": Sampler("none"),
    "lms": Sampler("none"),
    "pndm": Sampler("none"),
    "dpm2": Sampler(
        "any",
        {
            "dpm2-a": "eta = 1",
            "dpm-fast": "the spacing exponential, the nearest to it",
            "dpm-adaptive": "the spacing exponential, the nearest to it",
        },
        short=True,
    ),
    "dpmpp-2s": Sampler("any", {"dpmpp-2s-a": "eta = 1"}),
    "dpmpp-3m": Sampler("any", {"dpmpp-3m-sde": "eta = 1"}, short=True),
    "dpmpp-heun": Sampler("any", {"dpmpp-2m-sde-heun": "eta = 1"}),
    "dpmpp-sde": Sampler("all"),
}
FREE = tuple(name for name, sampler in SAMPLERS.items() if sampler.eta == "any")
SPACINGS = ("trailing", "linspace", "leading", "inner", "karras", "exponential", "uniform", "sgm")
RATIO_SPACINGS = ("karras", "exponential")  # even in a function of sigma / alpha, so they end next to clean pictures


def check(sampler: str, code: int = 1) -> None:
    """Raise ColorizeError for a name that is not in SAMPLERS, with the name that was meant."""
    if sampler in SAMPLERS:
        return
    hint = nearest(sampler, SAMPLERS)
    for name, known in SAMPLERS.items():
        if sampler in known.aliases:
            how = known.aliases[sampler]
            hint = f"choose `{name}`" + (f" with {how}" if how else "")
    raise ColorizeError(f"unknown sampler `{sampler}`", hint, code)


def settle(sampler: str, eta: float, code: int = 1) -> float:
    """Return the share of fresh noise that a sampler adds when asked for eta.

    Raises ColorizeError for an unknown sampler, an eta outside [0, 1], and one above 0 for a sampler that adds no
    noise.
    """
    check(sampler, code)
    if not 0 <= eta <= 1:
        raise ColorizeError(f"eta is {eta:g}, not between 0 and 1", code=code)
    if eta and SAMPLERS[sampler].eta == "none":
        hint = f"leave eta at 0, or choose another sampler: {', '.join(FREE)}"
        raise ColorizeError(f"the sampler `{sampler}` adds no noise, so eta = {eta:g} has no effect", hint, code)
    return 1.0 if SAMPLERS[sampler].eta == "all" else eta
