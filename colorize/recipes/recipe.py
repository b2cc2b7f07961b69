"""What a system is, as one value: its parts, its training, its sampling. Knows no file and no loop."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import Literal

from colorize.diffusion.schedules import Cosine, Linear, ScaledLinear
from colorize.errors import ColorizeError, within
from colorize.model import Colorizer, Sampling
from colorize.networks.conditions import Stack, Together
from colorize.networks.spaces import RGB, Field, Lab, Regions
from colorize.networks.unet import UNetSpec
from colorize.recipes.objective import Adversarial, Choosing, Denoising, Trajectory
from colorize.system import ConditionSpec, NetSpec, SpaceSpec, System

LONG = 4  # times as long as wide is the longest training picture
ASPECT = re.compile(r"[1-9][0-9]{0,3}:[1-9][0-9]{0,3}")
REACHING = ("marks", "warp", "sets")  # what is no share of rows


@dataclass(frozen=True)
class Mix:
    """How pictures become training rows. All are shares of rows, 0 to 1, unless said otherwise.

    gray: shown as gray pictures instead of line art. reference, hints: that keep the hint. marks: dots and
    strokes on a picture on average, where hints are kept.
    other: references taken from another picture of the same group, where there is one; the rest is
    the row's own picture. alike: the share of the row's colors that such a picture must have, or the
    row's own serves: two avatars of one group may have no color in common. References are warped by
    `warp` (fraction of the side); for a share `loose` also turned, mirrored and zoomed; for a share
    `shuffle` cut into patches that change places; for a share `palette` nothing but 2 to 8 of its
    colors is left.
    hue: whose colors are all moved around, together with their reference's and hints'.
    restyle: stored lines replaced by extracted ones. degrade: lines thinned, thickened, broken or grayed.
    tone: with screentone over them. printed: gray pictures whose shades are screentone.
    margins: with blank borders, up to a fifth of a side each, which are then learnt to be filled. jpeg: worn
    by JPEG.
    crop: the smallest share of a side that a crop keeps; 1 never crops. flip: mirrored. turn: turned by up
    to 20 degrees and zoomed.
    sets: shares of named sets; sets that are not named share what is left by their size.
    """

    gray: float = 0.0
    reference: float = 0.9
    hints: float = 0.0
    marks: float = 6.0
    other: float = 0.3
    alike: float = 0.0
    warp: float = 0.05
    loose: float = 0.0
    shuffle: float = 0.0
    palette: float = 0.0
    hue: float = 0.0
    restyle: float = 0.0
    degrade: float = 0.0
    tone: float = 0.0
    printed: float = 0.0
    margins: float = 0.0
    jpeg: float = 0.0
    crop: float = 1.0
    flip: float = 0.5
    turn: float = 0.0
    sets: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        for name in (entry.name for entry in fields(self) if entry.name not in REACHING):
            if not 0 <= getattr(self, name) <= 1:
                raise ColorizeError(f"mix.{name} is {getattr(self, name):g}", "it is a share from 0 to 1", code=2)
        within("mix.marks", self.marks, 0.1, 200, "6 are a few dots, 40 cover a drawing")
        within("mix.warp", self.warp, 0, 0.5, "0.05 of the side is usual")


@dataclass(frozen=True)
class Stage:
    """One stage of training: what is learnt, from which rows, and the optimizer's numbers.

    size: training pictures in pixels a side. batch: rows per step. lr: peak learning rate after `warmup`
    steps, falling to zero along a cosine at `steps`. ema: decay of the averaged weights.
    betas: of Adam's moments.
    aspects: shapes of the training pictures, width:height such as 3:4, one drawn for every batch; named
    twice, a shape is drawn twice as often. As much as fits is cut out of a picture, or less by `mix.crop`.
    Without aspects pictures are padded to squares with white.
    """

    objective: Denoising | Trajectory | Adversarial | Choosing = Denoising()
    mix: Mix = Mix()
    size: int = 128
    batch: int = 8
    steps: int = 100_000
    lr: float = 1e-4
    warmup: int = 500
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.999
    aspects: tuple[str, ...] = ()
    betas: tuple[float, float] = (0.9, 0.99)

    def __post_init__(self) -> None:
        for text in self.aspects:
            if not ASPECT.fullmatch(text) or not 1 / LONG <= _ratio(text) <= LONG:
                hint = f"give width:height, such as 3:4, from 1:{LONG} to {LONG}:1"
                raise ColorizeError(f"`{text}` in `aspects` is no shape", hint, code=2)
        for name in ("size", "batch", "steps"):
            if getattr(self, name) < 1:
                raise ColorizeError(f"{name} is {getattr(self, name)}", "take at least 1", code=2)
        if not all(0 <= beta < 1 for beta in self.betas):
            told = f"betas is {list(self.betas)}"
            raise ColorizeError(told, "they go from 0 to below 1, such as [0.5,0.999]", code=2)
        if self.lr <= 0:
            raise ColorizeError(f"lr is {self.lr:g}", "take a number above 0, such as 1e-4", code=2)

    @property
    def ratios(self) -> tuple[float, ...]:
        """Return width over height of every aspect."""
        return tuple(_ratio(text) for text in self.aspects)


def _ratio(aspect: str) -> float:
    wide, _, high = aspect.partition(":")
    return int(wide) / int(high)


@dataclass(frozen=True)
class DenoiserSpec:
    """The network and what it predicts."""

    net: UNetSpec | NetSpec = UNetSpec()
    predicts: Literal["eps", "v", "x0"] = "v"


@dataclass(frozen=True)
class Recipe:
    """A system as a value: `build` makes it, a `Stage` trains it, `sampling` uses it.

    size: the inner size in pixels of the drawing's longer side. hints: what a user may give; of
    `needs` at least one must be there. strongest: how far the strength of a hint may go, 1 for others.
    """

    name: str
    help: str
    hints: tuple[str, ...]
    needs: tuple[str, ...] = ("line",)
    strongest: tuple[tuple[str, float], ...] = ()
    size: int = 256
    space: RGB | Field | Lab | Regions | SpaceSpec = RGB()
    condition: Stack | Together | ConditionSpec = Stack()
    denoiser: DenoiserSpec = DenoiserSpec()
    schedule: Linear | Cosine | ScaledLinear = Cosine(zero_snr=True)
    sampling: Sampling = Sampling()
    pretrain: Stage = Stage()
    finetune: Stage = field(default_factory=lambda: Stage(objective=Trajectory(), lr=1e-5))

    @property
    def system(self) -> System:
        """The system that the network belongs to."""
        return self.denoiser.net.system if isinstance(self.denoiser.net, NetSpec) else System()

    @property
    def chooses(self) -> bool:
        """Whether regions choose among given colors, see `System.chooses`."""
        return self.system.chooses

    @property
    def once(self) -> bool:
        """Whether one call of the network gives the picture, see `System.once`."""
        return self.system.once

    def build(self) -> Colorizer:
        """Make the system with fresh weights."""
        return self.system.build(self)

    def stage(self, phase: str) -> Stage:
        """Return the stage of a phase, `pretrain` or `finetune`."""
        return self.finetune if phase == "finetune" else self.pretrain
