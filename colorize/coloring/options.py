"""What can be asked of the painter: jobs, and how to do them. Knows nothing of tensors on devices or of files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from torch import Tensor

from colorize.diffusion import names
from colorize.errors import SEEDS, ColorizeError, nearest, within
from colorize.hints import COLORED, HINTS, OPTIONAL, Hints
from colorize.images.color_hints import Mark
from colorize.images.image import Picture
from colorize.model import Sampling, Settings
from colorize.recipes.recipe import Recipe

SIZES = (32, 4096)  # pixels inside the model: less shows nothing, more fills any memory
GUIDANCE = (0, 20)  # 1 is as trained; beyond 20 nothing but flat, glaring colors is left
STRENGTH = (0, 3)  # 1 is as trained; each recipe says how far it follows


@dataclass(frozen=True)
class Named:
    """A picture and what messages call it; palette: it shows colors only, see `palettes.swatches`."""

    name: str
    picture: Picture
    palette: bool = False


@dataclass(frozen=True)
class Job:
    """One drawing to color and what is given beside it.

    drawing: a picture, or the path or bytes of its file, or what gives them, read when its turn comes. references:
    pictures whose colors to use. hints: a picture that is transparent but for the hints, a copy of
    the drawing painted over, JSON text, the path of any of these, or a hint map (1, 4, h, w); dots
    lie on top; see `hinting.hint_map`. background: whose colors the surroundings of the figure have. mask,
    reference_mask: light where the figure is in the drawing and in the first reference; `auto` looks for it.
    """

    name: str
    drawing: Picture | Path | bytes | Callable[[], bytes]
    references: tuple[Named, ...] = ()
    hints: Picture | Path | str | Tensor | None = None
    dots: tuple[Mark, ...] = ()
    background: Named | None = None
    mask: Picture | Literal["auto"] | None = None
    reference_mask: Picture | None = None

    @property
    def given(self) -> tuple[str, ...]:
        """The hints given beside the drawing."""
        empty = (None, ())
        return tuple(n for n in OPTIONAL if any(getattr(self, f) not in empty for f in HINTS[n].fields))


@dataclass(frozen=True)
class Options:
    """How to color; None stands for what the model was made for.

    kind: what the drawings are; `auto` looks. steps, sampler, eta: the walk, see `Sampling`.
    seed: another one, another picture; 0 to 2^63 - 1. guidance, strength: per hint, how far to
    exaggerate its effect, 0 to 20, and how much of it to let in, 0 to 1; 1 is as trained.
    variations: pictures per drawing.
    size: pixels of the longer side inside the model; results always have the size of the drawing.
    precision: one of `machine.PRECISIONS`. batch: pictures at once, which changes no result but by
    rounding. force: color what is in color, or blank, already. film: keep what the model expected after every step.
    hint_mode: `hard` gives hinted pixels their very color and lets the area follow, `soft` only tells the
    model of them. flat: one flat color for every region of line art. layers: keep the layers of the result.
    panels: color manga pages panel by panel, see `pages.divide`; `auto` looks whether it is one. settings: those
    that the model's system alone has.
    """

    kind: Literal["auto", "line", "gray"] = "auto"
    steps: int | None = None
    sampler: str | None = None
    eta: float | None = None
    seed: int = 0
    guidance: Mapping[str, float] = field(default_factory=dict)
    strength: Mapping[str, float] = field(default_factory=dict)
    variations: int = 1
    size: int | None = None
    precision: str = "auto"
    batch: int | None = None
    force: bool = False
    film: bool = False
    hint_mode: Literal["hard", "soft"] = "hard"
    flat: bool = False
    layers: bool = False
    panels: Literal["auto", "on", "off"] = "auto"
    spacing: str | None = None
    settings: Settings | None = None

    def __post_init__(self) -> None:
        _among("kind", self.kind, ("auto", "line", "gray"))
        _among("hint mode", self.hint_mode, ("hard", "soft"))
        _among("way with panels", self.panels, ("auto", "on", "off"))
        if self.size is not None and not SIZES[0] <= self.size <= SIZES[1]:
            raise ColorizeError(f"size is {self.size}", f"it goes from {SIZES[0]} to {SIZES[1]} pixels", code=2)
        within("seed", self.seed, *SEEDS)
        for name, weight in self.guidance.items():
            hint = "it goes from 0 (without it) over 1 (as trained) to 20; 1.5 to 3 is usual"
            within(f"the guidance of `{name}`", weight, *GUIDANCE, hint)
        for name, share in self.strength.items():
            hint = "it goes from 0 (without it) over 1 (as trained) to 3 with some models"
            within(f"the strength of `{name}`", share, *STRENGTH, hint)
        for name in ("variations", "batch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ColorizeError(f"{name} is {value}", "take at least 1", code=2)


def _among(name: str, word: str, words: tuple[str, ...]) -> None:
    """Refuse a word that an option cannot have."""
    if word not in words:
        raise ColorizeError(f"there is no {name} `{word}`", nearest(word, words), code=2)


def sampling(recipe: Recipe, options: Options) -> Sampling:
    """Return the walk of a recipe with the user's changes; eta falls to 0 with another sampler.

    Raises ColorizeError (wrong usage) for an unknown sampler, numbers out of range, and an eta that
    the sampler cannot use.
    """
    wanted = {
        name: value for name in ("steps", "sampler", "eta", "spacing") if (value := getattr(options, name)) is not None
    }
    if options.eta is None and options.sampler not in (None, recipe.sampling.sampler):
        wanted["eta"] = 0.0
    if recipe.once and options.steps not in (None, 1):
        raise ColorizeError(f"`{recipe.name}` colors in one step, not {options.steps}", "leave --steps out", code=2)
    if recipe.chooses and (named := [name for name in ("sampler", "eta", "spacing") if name in wanted]):
        raise ColorizeError(
            f"`{recipe.name}` chooses colors in place of walking from noise, and has no {named[0]}",
            f"leave --{named[0]} out, or choose another model",
            code=2,
        )
    settled = replace(recipe.sampling, **wanted)
    if options.eta:
        names.settle(settled.sampler, options.eta, code=2)
    return settled


def guidance(walk: Sampling, options: Options, given: Hints) -> dict[str, float]:
    """Return the recipe's guidance by the hints that one picture is given, and what the user says of it."""
    usual = dict(walk.guidance)
    return {name: usual[name] for name in usual if name in given} | {**options.guidance}


def check(recipe: Recipe, options: Options) -> None:
    """Refuse guidance and strength for hints that the recipe does not take (ColorizeError, wrong usage)."""
    for name in [*options.guidance, *options.strength]:
        if name not in recipe.hints:
            raise ColorizeError(
                f"the model `{recipe.name}` takes no hint `{name}`", nearest(name, recipe.hints), code=2
            )
    for name, weight in {**options.guidance, **options.strength}.items():
        if recipe.chooses and weight != 1:
            raise ColorizeError(
                f"the weight of `{name}` is {weight:g}, but `{recipe.name}` chooses colors and mixes none",
                "leave --guidance and --strength out, or choose another model",
                code=2,
            )
    most = dict(recipe.strongest)
    for name, share in options.strength.items():
        if share > most.get(name, 1.0):
            raise ColorizeError(
                f"the strength of `{name}` is {share:g}",
                f"with `{recipe.name}` it goes from 0 (without it) to {most.get(name, 1.0):g}",
                code=2,
            )
    recipe.system.check(recipe.name, options)


def check_job(recipe: Recipe, options: Options, job: Job) -> tuple[str, ...]:
    """Return notes on what is given beside the drawing; refuse what the recipe does not take.

    Raises ColorizeError (wrong usage), also for guidance by a hint that is not given.
    """
    for name in job.given:
        if name not in recipe.hints:
            raise ColorizeError(
                f"the model `{recipe.name}` takes no `{name}` ({HINTS[name].option})",
                "it takes: " + ", ".join(recipe.hints),
                code=2,
            )
    if any(one.palette for one in job.references) and not recipe.pretrain.mix.palette:
        raise ColorizeError(
            f"the model `{recipe.name}` has not learnt to use palettes",
            "give a picture with --ref, or choose a model that has: mini",
            code=2,
        )
    for name in [*options.guidance, *options.strength]:
        if name in OPTIONAL and name not in job.given:
            raise ColorizeError(
                f"`{name}` is to be weighted, but was not given", f"give it with {HINTS[name].option}", code=2
            )
    recipe.system.check_job(recipe.name, options, job)
    colored = [name for name in COLORED if name in recipe.hints]
    if colored == ["reference"] and not job.references:
        return (f"no reference was given; the colors are the guess of `{recipe.name}`",)
    return ()


def check_kind(name: str, kind: str, options: Options) -> None:
    """Refuse a gray picture that is to become flat or layers: it has no lines between its regions."""
    if kind == "gray" and (options.flat or options.layers):
        wanted = "--flat" if options.flat else "--layers"
        raise ColorizeError(
            f"`{name}` is a gray picture, and {wanted} takes only line art, whose regions it fills",
            f"leave {wanted} out, or take the picture for line art with --kind line",
        )
