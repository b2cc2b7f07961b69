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
NO_SHARES = ("marks", "warp", "bend", "sets")  # the numbers of a `Mix` that are not shares of rows


def _within(value: object, prefix: str, high: float, *names: str) -> None:
    """Refuse fields of a value outside 0..high."""
    hint = "choose a share from 0 to 1" if high == 1 else "choose 0 or more"
    for name in names:
        within(prefix + name, getattr(value, name), 0, high, hint)


@dataclass(frozen=True)
class Denoising:
    """Denoise: one loss a batch at random times (DDPM, Ho et al. 2020, eq. 14).

    pure: share of rows at the end of the schedule, where sampling begins; few-step sampling depends on them.
    offset: strength of noise that is one number per row and channel, so that very dark and bright pictures are
      learned too; 0.05 to 0.1 is usual (Guttenberg 2023).
    noisy: share of rows whose reference tokens get as much noise as their picture, so that a network does not rely
      on places of a reference that fits its drawing better than a user's will (Yan et al. 2025).
    whole: draw only times that the schedule's table has, as published systems do.
    robust: error up to which the loss is the square, beyond it the distance (pseudo-Huber, Charbonnier et al.
      1997), which draws the answer to the median instead of the gray mean; 0 is always the square.
    """

    pure: float = 0.0
    offset: float = 0.0
    noisy: float = 0.0
    whole: bool = False
    robust: float = 0.0

    def __post_init__(self) -> None:
        _within(self, "objective.", 1, "pure", "noisy")
        _within(self, "objective.", sys.float_info.max, "offset", "robust")


@dataclass(frozen=True)
class Trajectory:
    """Learn along the sampling steps: phase 2 of AnimeDiffusion and of the Coloring Assistant.

    start: where the walk begins. "sampling": as the recipe samples. "noise": pure noise. "noised-reference": the
      reference with noise. "inverted-reference" (Coloring Assistant), "inverted-target" (AnimeDiffusion as
      published, which gives the answer away): that picture brought up to noise by the present weights.
    every: network calls per loss. x is detached after each group, so 1 needs the memory of one call, and
      `sampling.steps` back-propagates through all of them.
    target: what is compared with the true picture. "x0": the predicted clean picture (DiffusionCLIP,
      AnimeDiffusion). "next": the noisy x after the call (Coloring Assistant), which unlearns the noise level.
    """

    start: Literal["sampling", "noise", "noised-reference", "inverted-reference", "inverted-target"] = "sampling"
    every: int = 1
    target: Literal["x0", "next"] = "x0"

    def __post_init__(self) -> None:
        within("objective.every", self.every, 1, sys.maxsize, "choose at least 1")


@dataclass(frozen=True)
class Adversarial:
    """Learn from a critic, the truth and frozen networks (pix2pix, Isola et al. 2017): two losses a batch.

    adversarial: weight of the critic's loss.
    direct: weight of the mean distance to the truth (L1).
    perceptual: weight of the perceptual loss.
    vgg: weights of VGG16 for the perceptual loss, a file or OWNER/NAME/FILE on the Hub; empty for none.
    tagger: weights of the tagger for the perceptual loss, likewise.
    share: share of the tagger in the perceptual loss.
    critic: channels of the critic's four levels.
    critic_groups: groups of its group norms; 0 for batch norms, as published.
    robust: error up to which the distance grows as its square, so that the answer lies between several likely
      colors; 0 is always L1.
    """

    adversarial: float = 0.01
    direct: float = 1.0
    perceptual: float = 0.1
    vgg: str = ""
    tagger: str = ""
    share: float = 0.1
    critic: tuple[int, ...] = CRITIC
    critic_groups: int = 8
    robust: float = 0.0

    def __post_init__(self) -> None:
        _within(self, "objective.", sys.float_info.max, "adversarial", "direct", "perceptual", "robust")
        _within(self, "objective.", 1, "share")
        if len(self.critic) != len(CRITIC) or min(self.critic) < 8:
            message = f"objective.critic is {list(self.critic)}"
            raise ColorizeError(message, "choose four widths of 8 or more, such as [32,64,128,256]", code=2)


@dataclass(frozen=True)
class Choosing:
    """Choose a given color for each region: absorbing-state diffusion (Austin et al. 2021, D3PM).

    pixels: weight of the loss of single cells; that of regions is 1.
    shade: weight of the loss of light and dark within a region.
    """

    pixels: float = 0.6
    shade: float = 3.0

    def __post_init__(self) -> None:
        _within(self, "objective.", sys.float_info.max, "pixels", "shade")


@dataclass(frozen=True)
class Mix:
    """How pictures become training rows. All numbers are shares of rows, 0 to 1, unless said otherwise.

    gray: rows shown as gray pictures instead of line art.
    reference: rows that keep their reference.
    hints: rows that keep their color hints.
    marks: dots and strokes per picture on average, where hints are kept.
    other: rows whose reference is another picture of the same group, if there is one, else their own.
    alike: share of the row's colors that such a picture must have; otherwise the row's own serves.
    warp: how far references are bent, as a fraction of the side.
    bend: the kind of bends. "gentle": without folds and black borders. "scattered": as the Coloring Assistant does.
      "diagonal": as AnimeDiffusion does, along the diagonal, whatever `warp` is.
    loose: references also turned, mirrored and zoomed.
    shuffle: references cut into patches that change places.
    palette: references reduced to 2 to 8 of their colors.
    hue: rows with all colors moved around, those of the reference and the hints too.
    restyle: stored line art replaced by extracted lines.
    degrade: lines thinned, thickened, broken or grayed.
    tone: line art with screentone.
    printed: gray pictures with screentone for shades.
    margins: line art with blank borders of up to a fifth of a side.
    jpeg: line art with JPEG artifacts.
    crop: smallest share of a side that a crop keeps; 1 never crops.
    flip: rows mirrored.
    turn: rows turned by up to 20 degrees and zoomed.
    sets: shares of named sets of pictures; the others share the rest by their size.
    """

    gray: float = 0.0
    reference: float = 0.9
    hints: float = 0.0
    marks: float = 6.0
    other: float = 0.3
    alike: float = 0.0
    warp: float = 0.05
    bend: Literal["gentle", "scattered", "diagonal"] = "gentle"
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
        within("mix.marks", self.marks, 0.1, 200, "choose 0.1 to 200; 6 are a few dots, 40 cover a drawing")
        within("mix.warp", self.warp, 0, 0.5, "choose 0 to 0.5; 0.05 is usual")


@dataclass(frozen=True)
class Stage:
    """One stage of training: the objective, the data, and the optimizer's numbers.

    objective: what the network learns; by name, such as Denoising.
    mix: how pictures become training rows.
    size: pixels a side of training pictures.
    batch: rows per step.
    steps: steps in all, and the length of the learning rate's cosine.
    lr: peak learning rate, reached after `warmup` steps and falling to zero along a cosine at `steps`.
    warmup: steps in which the learning rate rises, at most a tenth of `steps`.
    weight_decay: decay of the weights per step, times the learning rate (AdamW).
    clip: largest norm of the gradient; 0 for any.
    ema: decay of the averaged weights, which are those that are saved; 0 for none.
    aspects: shapes of training pictures, width:height such as 3:4, one drawn for every batch; a shape named twice
      is drawn twice as often. The largest such window is cut out of a picture, or less by `mix.crop`. Without
      aspects pictures are padded to squares with white.
    betas: decay of the gradient's first and second moment (AdamW; without weight decay that is Adam).
    rate: "cosine": as `lr` says. "constant": `lr` all the time. "onecycle": from a 25th of `lr` up in 30 % of the
      steps and down to nothing, while the first beta goes from 0.95 to 0.85 and back (PyTorch's OneCycleLR).
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
    rate: Literal["cosine", "constant", "onecycle"] = "cosine"

    def __post_init__(self) -> None:
        for text in self.aspects:
            if not ASPECT.fullmatch(text) or not 1 / LONGEST <= _ratio(text) <= LONGEST:
                hint = f"write width:height, such as 3:4, from 1:{LONGEST} to {LONGEST}:1"
                raise ColorizeError(f"`{text}` in `aspects` is not a shape", hint, code=2)
        within("size", self.size, 1, sys.maxsize, "choose 32 to 4096 pixels")
        within("batch", self.batch, 1, 10_000)  # more fit into no memory
        within("steps", self.steps, 1, 10**9)  # three years at 10 a second
        if not all(0 <= beta < 1 for beta in self.betas):
            message = f"betas is {list(self.betas)}"
            raise ColorizeError(message, "choose numbers from 0 to below 1, such as [0.5,0.999]", code=2)
        within("lr", self.lr, sys.float_info.min, sys.float_info.max, "choose a number above 0, such as 1e-4")
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
class Difference:
    """What a variant does otherwise than the published system that it is named after.

    what: the dotted name of a setting, or words. published: how it was. ours: how it is here; empty for the setting's
    value. why: the reason.
    """

    what: str
    published: str
    ours: str
    why: str


@dataclass(frozen=True)
class DenoiserSpec:
    """The network and what it predicts.

    net: the network, by the name of its class.
    predicts: the noise (eps), the velocity (v), or the clean picture (x0).
    """

    net: UNetSpec | NetSpec = UNetSpec()
    predicts: Literal["eps", "v", "x0"] = "v"


@dataclass(frozen=True)
class Recipe:
    """A system as a value: `build` makes it, a `Stage` trains it, `sampling` uses it.

    name: of the system.
    help: one line on what it is for.
    hints: what a user may give.
    needs: hints of which at least one must be given.
    strongest: largest strength of a hint, 1 for others.
    size: pixels of the drawing's longer side inside the model.
    space: what the network denoises, by the name of its class.
    condition: how hints reach the network, by the name of its class.
    denoiser: the network and what it predicts.
    schedule: how noise grows, by the name of its class.
    sampling: how it samples by default.
    pretrain: its first stage of training.
    finetune: its second stage.
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
