"""What a stage of training learns from, as values. Knows nothing of networks, files or loops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from colorize.errors import ColorizeError

WIDTHS = (64, 128, 256, 512)  # channels of the critic, as published


@dataclass(frozen=True)
class Denoising:
    """Learn to denoise: one loss a batch at random times (DDPM, Ho et al. 2020, eq. 14).

    pure: the share of rows that start from the end of the schedule, pure noise where it ends at zero SNR;
    these are what a walk of few calls depends on.
    offset: strength of noise that is one number per row and channel, beside the usual noise, so that very
    dark and bright pictures are learnt, too; 0.05 or 0.1 are usual (Guttenberg 2023).
    noisy: the share of rows whose tokens are as noisy as their picture, so that a network does not
    lean on places of a reference that fits its drawing far better than a user's will.
    robust: up to this error the loss is the square, beyond it the distance (pseudo-Huber, Charbonnier et
    al. 1997): the answer is nearer to the median of what is possible than to its gray mean; 0 is the square.
    """

    pure: float = 0.0
    offset: float = 0.0
    noisy: float = 0.0
    robust: float = 0.0

    def __post_init__(self) -> None:
        for name in ("pure", "noisy"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                told = f"objective.{name} is {value:g}"
                raise ColorizeError(told, "it is a share from 0 to 1", code=2)
        for name in ("offset", "robust"):
            if (value := getattr(self, name)) < 0:
                told = f"objective.{name} is {value:g}"
                raise ColorizeError(told, "take 0 or more, such as 0.1", code=2)


@dataclass(frozen=True)
class Trajectory:
    """Learn along the walk itself: phase 2 of AnimeDiffusion and of the Coloring Assistant.

    The walk is the one sampling uses, its start included, unless `start` says otherwise.
    every: network calls per optimizer step; 1 keeps the graph of one call, `steps` is back-propagation through all.
    target: "x0" compares the predicted clean picture with the truth; "next" is the originals' variant,
    which compares the still noisy next state and so unlearns the noise scale.
    """

    start: Literal["sampling", "noise", "noised-reference", "inverted-reference", "inverted-target"] = "sampling"
    every: int = 1
    target: Literal["x0", "next"] = "x0"

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ColorizeError(f"objective.every is {self.every}", "take at least 1", code=2)


@dataclass(frozen=True)
class Adversarial:
    """Learn from a critic, from the truth and from frozen eyes (pix2pix, Isola et al. 2017): two losses a batch.

    adversarial, direct, perceptual: weights of the critic's opinion, of the mean distance to the truth
    (L1), and of what frozen eyes see. vgg, tagger: where the weights of these come from, files or
    OWNER/NAME/FILE on the Hub; empty for none. share: of the tagger beside VGG. critic: its channels after
    each halving. robust: up to this error the distance grows as its square, so that where several colors are
    likely, the answer lies between them; 0 is the distance throughout, L1.
    """

    adversarial: float = 0.01
    direct: float = 1.0
    perceptual: float = 0.1
    vgg: str = ""
    tagger: str = ""
    share: float = 0.1
    critic: tuple[int, ...] = WIDTHS
    robust: float = 0.0

    def __post_init__(self) -> None:
        for name in ("adversarial", "direct", "perceptual", "robust"):
            if (value := getattr(self, name)) < 0:
                told = f"objective.{name} is {value:g}"
                raise ColorizeError(told, "take 0 or more, such as 0.1", code=2)
        if not 0 <= self.share <= 1:
            told = f"objective.share is {self.share:g}"
            raise ColorizeError(told, "it is a share from 0 to 1", code=2)
        if len(self.critic) != len(WIDTHS) or min(self.critic) < 8:
            told = f"objective.critic is {list(self.critic)}"
            raise ColorizeError(told, "give four widths of 8 or more: [32,64,128,256]", code=2)


@dataclass(frozen=True)
class Choosing:
    """Learn which of the colors at hand each region has: absorbing-state diffusion (Austin et al. 2021, D3PM).

    pixels, shade: weights of the losses of single cells and of shade, beside 1 for regions.
    """

    pixels: float = 0.6
    shade: float = 3.0

    def __post_init__(self) -> None:
        for name in ("pixels", "shade"):
            if (value := getattr(self, name)) < 0:
                raise ColorizeError(f"objective.{name} is {value:g}", "take 0 or more", code=2)
