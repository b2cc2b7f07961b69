"""What a system is, as one value: its parts, how it is trained, and how it samples."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field, fields
from typing import Literal

from colorize.diffusion.schedules import Cosine, Linear, ScaledLinear
from colorize.errors import ColorizeError, within
from colorize.model import Colorizer, Sampling
from colorize.networks.conditions import Stack, Together
from colorize.networks.spaces import RGB, Field, Lab, Regions
from colorize.networks.unet import UNetSpec
from colorize.system import ConditionSpec, NetSpec, SpaceSpec, System

LONGEST = 4  # a training picture is at most so many times as long as wide
ASPECT = re.compile(r"[1-9][0-9]{0,3}:[1-9][0-9]{0,3}")
CRITIC = (64, 128, 256, 512)  # channels of the critic, as published
NO_SHARES = ("marks", "warp", "sets")  # the numbers of a `Mix` that are not shares of rows


def _within(value: object, prefix: str, high: float, *names: str) -> None:
    """Refuse fields of a value outside 0..high."""
    hint = "it is a share from 0 to 1" if high == 1 else "take 0 or more, such as 0.1"
    for name in names:
        within(prefix + name, getattr(value, name), 0, high, hint)


@dataclass(frozen=True)
class Denoising:
    """Denoise: one loss a batch at random times (DDPM, Ho et al. 2020, eq. 14).

    pure: share of rows at the end of the schedule, where sampling begins; few-step sampling depends on them. offset:
    strength of noise that is one number per row and channel, added so that very dark and bright pictures are learned
    too; 0.05 to 0.1 is usual (Guttenberg 2023). noisy: share of rows whose tokens get as much noise as their picture,
    so that a network does not rely on places of a reference that fits its drawing better than a user's will (Yan et al.
    2025). robust: error up to which the loss is the square, beyond it the distance (pseudo-Huber, Charbonnier et al.
    1997), which draws the answer to the median instead of the gray mean; 0: always the square.
    """

    pure: float = 0.0
    offset: float = 0.0
    noisy: float = 0.0
    robust: float = 0.0

    def __post_init__(self) -> None:
        _within(self, "objective.", 1, "pure", "noisy")
        _within(self, "objective.", sys.float_info.max, "offset", "robust")


@dataclass(frozen=True)
class Trajectory:
    """Learn along the sampling steps: phase 2 of AnimeDiffusion and of the Coloring Assistant.

    start: x at the first step. "sampling": as the recipe samples; "noise": pure noise; "noised-reference"; or a picture
    brought up to noise by the present weights: the reference (Coloring Assistant), or the true picture (AnimeDiffusion
    as published), which gives the answer away. every: network calls per loss. x is detached after each group, so 1
    needs the memory of one call, and `sampling.steps` back-propagates through all of them. target: what is compared
    with the true picture. "x0": the predicted clean picture (DiffusionCLIP, AnimeDiffusion). "next": the noisy x after
    the call (Coloring Assistant), which unlearns the noise level.
    """

    start: Literal["sampling", "noise", "noised-reference", "inverted-reference", "inverted-target"] = "sampling"
    every: int = 1
    target: Literal["x0", "next"] = "x0"

    def __post_init__(self) -> None:
        within("objective.every", self.every, 1, sys.maxsize, "take at least 1")


@dataclass(frozen=True)
class Adversarial:
    """Learn from a critic, the truth and frozen networks (pix2pix, Isola et al. 2017): two losses a batch.

    adversarial, direct, perceptual: weights of the critic's loss, of the mean distance to the truth (L1), and of the
    perceptual loss. vgg, tagger: weights of the frozen networks, files or OWNER/NAME/FILE on the Hub; empty for none.
    share: of the tagger in the perceptual loss. critic: its widths. robust: error up to which the distance grows as its
    square, so that the answer lies between several likely colors; 0: always L1.
    """

    adversarial: float = 0.01
    direct: float = 1.0
    perceptual: float = 0.1
    vgg: str = ""
    tagger: str = ""
    share: float = 0.1
    critic: tuple[int, ...] = CRITIC
    robust: float = 0.0

    def __post_init__(self) -> None:
        _within(self, "objective.", sys.float_info.max, "adversarial", "direct", "perceptual", "robust")
        _within(self, "objective.", 1, "share")
        if len(self.critic) != len(CRITIC) or min(self.critic) < 8:
            message = f"objective.critic is {list(self.critic)}"
            raise ColorizeError(message, "give four widths of 8 or more: [32,64,128,256]", code=2)


@dataclass(frozen=True)
class Choosing:
    """Choose a given color for each region: absorbing-state diffusion (Austin et al. 2021, D3PM).

    pixels, shade: weights of the losses of single cells and of shade; that of regions is 1.
    """

    pixels: float = 0.6
    shade: float = 3.0

    def __post_init__(self) -> None:
        _within(self, "objective.", sys.float_info.max, "pixels", "shade")


@dataclass(frozen=True)
class Mix:
    """How pictures become training rows. All numbers are shares of rows, 0 to 1, unless said otherwise.

    gray: shown as gray pictures instead of line art. reference, hints: keep that hint. marks: dots and strokes per
    picture on average, where hints are kept. other: take their reference from another picture of the same group, if
    there is one, else from their own. alike: share of the row's colors that such a picture must have, or the row's own
    serves. warp: how far references are bent (fraction of the side). loose: references also turned, mirrored and
    zoomed; shuffle: cut into patches that change places; palette: reduced to 2 to 8 of their colors. hue: all colors
    moved around, with those of the reference and the hints. restyle: stored lines replaced by extracted ones. degrade:
    lines thinned, thickened, broken or grayed. tone: lines with screentone. printed: gray pictures with screentone for
    shades. margins: lines with blank borders of up to a fifth of a side. jpeg: lines with JPEG artifacts. crop:
    smallest share of a side that a crop keeps; 1 never crops. flip: mirrored. turn: turned by up to 20 degrees and
    zoomed. sets: shares of named sets; the others share the rest by their size.
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
        _within(self, "mix.", 1, *(entry.name for entry in fields(self) if entry.name not in NO_SHARES))
        within("mix.marks", self.marks, 0.1, 200, "6 are a few dots, 40 cover a drawing")
        within("mix.warp", self.warp, 0, 0.5, "0.05 of the side is usual")


@dataclass(frozen=True)
class Stage:
    """One stage of training: the objective, the data, and the optimizer's numbers.

    size: training pictures in pixels a side. batch: rows per step. lr: peak learning rate after `warmup` steps (at most
    a tenth of `steps`), falling to zero along a cosine at `steps`. clip: largest norm of the gradient; 0 for any. ema:
    decay of the averaged weights. betas: of AdamW's moments. aspects: shapes of the training pictures, width:height
    such as 3:4, one drawn for every batch; a shape named twice is drawn twice as often. The largest such window is cut
    out of a picture, or less by `mix.crop`. Without aspects pictures are padded to squares with white.
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
            if not ASPECT.fullmatch(text) or not 1 / LONGEST <= _ratio(text) <= LONGEST:
                hint = f"give width:height, such as 3:4, from 1:{LONGEST} to {LONGEST}:1"
                raise ColorizeError(f"`{text}` in `aspects` is no shape", hint, code=2)
        within("size", self.size, 1, sys.maxsize, "take at least 1")
        within("batch", self.batch, 1, 10_000)  # more fit into no memory
        within("steps", self.steps, 1, 10**9)  # three years at 10 a second
        if not all(0 <= beta < 1 for beta in self.betas):
            message = f"betas is {list(self.betas)}"
            raise ColorizeError(message, "they go from 0 to below 1, such as [0.5,0.999]", code=2)
        within("lr", self.lr, sys.float_info.min, sys.float_info.max, "take a number above 0, such as 1e-4")
        _within(self, "", sys.float_info.max, "weight_decay", "warmup", "clip")
        within("ema", self.ema, 0, 1)

    @property
    def ratios(self) -> tuple[float, ...]:
        """Return width over height of every aspect."""
        return tuple(_ratio(text) for text in self.aspects)


def _ratio(aspect: str) -> float:
    width, _, height = aspect.partition(":")
    return int(width) / int(height)


@dataclass(frozen=True)
class DenoiserSpec:
    """The network and what it predicts."""

    net: UNetSpec | NetSpec = UNetSpec()
    predicts: Literal["eps", "v", "x0"] = "v"


@dataclass(frozen=True)
class Recipe:
    """A system as a value: `build` makes it, a `Stage` trains it, `sampling` uses it.

    hints: what a user may give; at least one of `needs` must be given. strongest: largest strength of a
    hint, 1 for others. size: pixels of the drawing's longer side inside the model.
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
        built = self.system.build(self)
        built.recipe = self
        return built

    def stage(self, phase: str) -> Stage:
        """Return the stage of a phase, `pretrain` or `finetune`."""
        return self.finetune if phase == "finetune" else self.pretrain
