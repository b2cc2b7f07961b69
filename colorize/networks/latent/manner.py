"""How a latent system is to take what it is given: one value with every knob of ColorizeDiffusion."""

from __future__ import annotations

from dataclasses import dataclass

from colorize.errors import ColorizeError, within
from colorize.networks.latent.cond import PLACES, Window
from colorize.networks.latent.prompts import Prompt


def _number(name: str, value: float, low: float, high: float) -> None:
    within(name, value, low, high, f"it goes from {low:g} to {high:g}")


@dataclass(frozen=True)
class Levels:
    """How much the tokens count: overall, and in the places of the encoder, the middle sizes and the low ones.

    places: all 16 at once, which replaces the others; see `cond.weights`.
    """

    overall: float = 1.0
    encoder: float = 1.0
    middle: float = 1.0
    low: float = 1.0
    places: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name in ("overall", "encoder", "middle", "low"):
            _number(f"the weight of the reference ({name})", getattr(self, name), 0, 2)
        if self.places and len(self.places) != PLACES:
            raise ColorizeError(
                f"{len(self.places)} weights were given for {PLACES} places",
                f"give {PLACES} numbers, in the order encoder, middle, decoder",
                code=2,
            )
        for place, weight in enumerate(self.places):
            _number(f"the weight of the reference at place {place}", weight, 0, 2)


@dataclass(frozen=True)
class Echo:
    """Let self-attention look at the noised reference, too (reference-only attention).

    start: from which share of the way on. lines, own: fidelity to the sketch and to the picture itself,
    0 to 1, see section "Attention injection" of the guide.
    """

    start: float = 0.0
    lines: float = 0.0
    own: float = 0.5

    def __post_init__(self) -> None:
        for name in ("start", "lines", "own"):
            _number(f"injection.{name}", getattr(self, name), 0, 1)


@dataclass(frozen=True)
class Halves:
    """How figure and background are told apart, where masks or a background are given.

    drawing, reference: what counts as figure, the threshold of each mask, 0 to 1. figure, background:
    weights of the two. merge: share of the background's colors in the figure. factor: how strongly version
    2's background encoder speaks. tuned: whether the figure's low-rank change is on, too. style: let
    version 2's style encoder see the reference. clear: make what surrounds the figure white in the end.
    """

    drawing: float = 0.05
    reference: float = 0.5
    figure: float = 1.0
    background: float = 1.0
    merge: float = 0.0
    factor: float = 1.0
    tuned: bool = False
    style: bool = False
    clear: bool = False

    def __post_init__(self) -> None:
        for name in ("drawing", "reference", "merge"):
            _number(f"halves.{name}", getattr(self, name), 0, 1)
        for name in ("figure", "background", "factor"):
            _number(f"halves.{name}", getattr(self, name), 0, 3)


@dataclass(frozen=True)
class Manner:
    """Every knob of a latent system; the defaults are what it was trained with.

    margin: width of the white canvas that references lie on, in their own widths, 1 to 2. window: when
    the reference counts. prompts: edits of the reference by words, in their order. skip: blocks of the text
    tower to leave out. compat: keep the published program's own ways where they change results: four
    places ignore their weight, thresholds are told to the figure's tokens, too, and texts skip a block.
    """

    levels: Levels = Levels()
    margin: float = 1.0
    window: Window | None = None
    echo: Echo | None = None
    halves: Halves = Halves()
    prompts: tuple[Prompt, ...] = ()
    skip: int = 0
    compat: bool = False

    def __post_init__(self) -> None:
        _number("the margin of references", self.margin, 1, 2)
        if self.skip not in (0, 1):
            raise ColorizeError(f"{self.skip} text blocks cannot be left out", "0 or 1", code=2)
        if self.window is not None:
            _number("the start of the reference's window", self.window.start, 0, 1)
            _number("the end of the reference's window", self.window.end, 0, 1)
