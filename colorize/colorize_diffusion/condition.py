"""What ColorizeDiffusion's U-Net takes beside x and t, and the settings that users have of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from colorize.colorize_diffusion.text_edits import Prompt
from colorize.errors import ColorizeError, within
from colorize.model import Settings
from colorize.networks.unet import Cond

PLACES = 16  # transformers of the published U-Net: encoder 0-5, middle 6, decoder 7-15
MIDDLE = (2, 3, 10, 11, 12)  # at half the latent's size: color, say the authors
LOW = (4, 5, 7, 8, 9)  # at a quarter: semantics
COMPAT = (6, 13, 14, 15)  # whose weight the published program ignores


@dataclass(frozen=True)
class Split:
    """Which half of the tokens a place reads: the first where the mask is above the threshold, else the second.

    mask: (B, 1, h, w) at the latent's size, foreground 1. foreground, background: weights of the halves. merge: share
    of the second half inside the foreground, 0 to 1. tuned: which halves use their low-rank change of the weights
    (LoRA, Hu et al. 2022), foreground first, where the network has one.
    """

    mask: Tensor
    threshold: float = 0.05
    foreground: float = 1.0
    background: float = 1.0
    merge: float = 0.0
    tuned: tuple[bool, bool] = (False, True)


@dataclass(frozen=True)
class Window:
    """When tokens count, in shares of the way from noise (0) to picture (1): within start..end, outside the pause.

    start: share of the way from noise (0) to picture (1) from which the reference counts.
    end: share of the way up to which it counts.
    pause: two shares of the way between which it does not count.
    """

    start: float = 0.0
    end: float = 1.0
    pause: tuple[float, float] = (-0.05, -0.05)

    def __call__(self, way: Tensor) -> Tensor:
        """Return 1 where tokens count and 0 where not: shape of way, (B,)."""
        inside = (way >= self.start) & (way <= self.end)
        paused = (way >= self.pause[0]) & (way <= self.pause[1])
        return (inside & ~paused).float()


@dataclass(frozen=True)
class Injection:
    """Another picture whose self-attention the places also read (reference-only attention).

    noised: whole index (B,), 0 to 999, into the noise table -> that picture's latent with so much noise, (B or 1, C, h,
    w). maps: its sketch maps. own: (B, 1, 1), the share of plain self-attention, None for none. start: from which share
    of the way on, 0 to 1.
    """

    noised: Callable[[Tensor], Tensor]
    maps: tuple[Tensor, ...] = ()
    own: Tensor | None = None
    start: float = 0.0


@dataclass
class Memory:
    """The inputs of every place's self-attention, (B, N, C) each: being written, or read again."""

    states: list[Tensor] = field(default_factory=list)
    writing: bool = True
    own: Tensor | None = None


@dataclass(frozen=True)
class LatentCond(Cond):
    """A Cond for the latent U-Net: tokens (B, N, T) and the sketch's five maps; there is no stack.

    places: one weight of the tokens per transformer: encoder, middle, decoder; empty is 1 each. split: read two halves
    of the tokens by a mask. background, style: features of version 2's encoders, one per stage of the decoder, the
    coarsest first; background needs split. window: when tokens count.
    """

    places: tuple[float, ...] = ()
    split: Split | None = None
    background: tuple[Tensor, ...] = ()
    style: tuple[Tensor, ...] = ()
    window: Window | None = None
    injection: Injection | None = None
    memory: Memory | None = None

    @staticmethod
    def of(cond: Cond) -> LatentCond:
        """Return any Cond as one of these."""
        return cond if isinstance(cond, LatentCond) else LatentCond(**vars(cond))

    def at(self, way: Tensor) -> LatentCond:
        """Return what holds at a share (B,) of the way from noise to picture."""
        if self.window is None:
            return self
        counts = self.window(way)[:, None, None]
        return replace(self, token_scale=self.token_scale * counts, window=None)

    def to(self, dtype: torch.dtype) -> LatentCond:
        """Return the same in another kind of numbers; masks stay as they are."""

        def cast(value: Any) -> Any:
            if isinstance(value, tuple):
                return tuple(map(cast, value))
            return value.to(dtype) if isinstance(value, Tensor) else value

        names = ("tokens", "maps", "token_scale", "background", "style")
        other = self.injection and replace(self.injection, maps=cast(self.injection.maps), own=cast(self.injection.own))
        return replace(self, **{name: cast(getattr(self, name)) for name in names}, injection=other)

    def scale(self, place: int) -> Tensor | float:
        """Return how much the tokens count at a place: a number or (B, 1, 1)."""
        return self.token_scale * self.places[place] if self.places else self.token_scale


def joined(conds: Sequence[LatentCond], rows: int) -> LatentCond:
    """Join conditions of `rows` pictures each into one of all their rows, so that one call answers them all.

    All must be of the same kind: as many tokens and maps, the same split, window and injection but for their rows.
    Raises ValueError for others.
    """

    def stacked(parts: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        """Join the k-th tensors of all, each brought to `rows` rows."""
        return tuple(torch.cat([one.expand(rows, *one.shape[1:]) for one in same]) for same in zip(*parts, strict=True))

    def column(values: Sequence[Tensor | float], like: Tensor) -> Tensor:
        return stacked([(torch.as_tensor(value).reshape(-1, 1, 1).to(like),) for value in values])[0]

    changed: dict[str, Any] = {}
    for name in ("maps", "background", "style"):
        changed[name] = stacked([getattr(cond, name) for cond in conds])
    if tokens := stacked([() if cond.tokens is None else (cond.tokens,) for cond in conds]):
        changed |= {"tokens": tokens[0], "token_scale": column([cond.token_scale for cond in conds], tokens[0])}
    if splits := [cond.split for cond in conds if cond.split is not None]:
        changed["split"] = replace(splits[0], mask=stacked([(split.mask,) for split in splits])[0])
    if others := [cond.injection for cond in conds if cond.injection is not None]:
        maps = stacked([other.maps for other in others])
        own = column([0.0 if one.own is None else one.own for one in others], maps[0] if maps else torch.zeros(()))
        changed["injection"] = replace(others[0], maps=maps, own=own)
    return replace(conds[0], **changed)


@dataclass(frozen=True)
class ReferenceWeights:
    """How much the tokens of references count in the 16 transformers of the U-Net.

    overall: weight of the reference everywhere; the next three are multiplied by it.
    encoder: weight in the first two transformers.
    middle: weight at half the latent's size, which decides on color.
    low: weight at a quarter of its size, which decides on what is seen where.
    places: all 16 weights at once, in place of the others, in the order encoder, middle, decoder.
    """

    overall: float = 1.0
    encoder: float = 1.0
    middle: float = 1.0
    low: float = 1.0
    places: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name in ("overall", "encoder", "middle", "low"):
            within(f"the weight of the reference ({name})", getattr(self, name), 0, 2)
        if self.places and len(self.places) != PLACES:
            message = f"{len(self.places)} weights were given for {PLACES} places"
            raise ColorizeError(message, f"give {PLACES} numbers, in the order encoder, middle, decoder", code=2)
        for place, weight in enumerate(self.places):
            within(f"the weight of the reference at place {place}", weight, 0, 2)

    def of_places(self, compat: bool = False) -> tuple[float, ...]:
        """Return the weight of the tokens at each of the 16 places, or nothing if all are 1.

        compat: as published, where the coarsest place and the last three of the decoder stay at 1.
        """
        if self.places or (self == ReferenceWeights() and not compat):
            return self.places
        chosen = [self.overall] * PLACES
        for places, weight in (((0, 1), self.encoder), (MIDDLE, self.middle), (LOW, self.low)):
            for place in places:
                chosen[place] = self.overall * weight
        return tuple(1.0 if compat and place in COMPAT else weight for place, weight in enumerate(chosen))


@dataclass(frozen=True)
class InjectionSettings:
    """Let self-attention read the noised reference, too (reference-only attention).

    start: share of the way, from noise (0) to picture (1), from which attention injection is on.
    lines: fidelity to the sketch.
    own: fidelity to the picture itself.
    """

    start: float = 0.0
    lines: float = 0.0
    own: float = 0.5

    def __post_init__(self) -> None:
        for name in ("start", "lines", "own"):
            within(f"echo.{name}", getattr(self, name), 0, 1)


@dataclass(frozen=True)
class BackgroundSettings:
    """How figure and background are told apart, where masks or a background are given.

    drawing: threshold of the drawing's mask above which there is the figure.
    reference: threshold of the reference's mask above which there is the figure.
    figure: weight of the figure.
    background: weight of the background.
    merge: share of the background's colors in the figure.
    factor: weight of version 2's background encoder.
    tuned: use the figure's low-rank change, too.
    style: let version 2's style encoder see the reference.
    clear: whiten what surrounds the figure in the end.
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
            within(f"halves.{name}", getattr(self, name), 0, 1)
        for name in ("figure", "background", "factor"):
            within(f"halves.{name}", getattr(self, name), 0, 3)


@dataclass(frozen=True)
class LatentSettings(Settings):
    """All settings of ColorizeDiffusion; the defaults are what it was trained with.

    levels: weights of the reference.
    margin: width of the white canvas that references lie on, in their own widths.
    window: when the reference counts.
    echo: attention injection.
    halves: figure and background.
    prompts: edits of the reference by text, in their order.
    skip: blocks of the text tower to leave out.
    compat: keep the published program's ways where they change results: four transformers ignore their weight,
      thresholds are added to the figure's tokens, too, and texts skip a block.
    """

    levels: ReferenceWeights = ReferenceWeights()
    margin: float = 1.0
    window: Window | None = None
    echo: InjectionSettings | None = None
    halves: BackgroundSettings = BackgroundSettings()
    prompts: tuple[Prompt, ...] = ()
    skip: int = 0
    compat: bool = False

    @property
    def reads_text(self) -> bool:
        """Whether there are edits by text."""
        return bool(self.prompts)

    def __post_init__(self) -> None:
        within("the margin of references", self.margin, 1, 2)
        if self.skip not in (0, 1):
            raise ColorizeError(f"skip is {self.skip}", "choose 0 or 1", code=2)
        if self.window is not None:
            within("the start of the reference's window", self.window.start, 0, 1)
            within("the end of the reference's window", self.window.end, 0, 1)
