"""Edits of a reference's tokens by text, before the network sees them (ColorizeDiffusion, local and global)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from colorize.colorize_diffusion.text_edits import THRESHOLDS, Prompt
from colorize.errors import ColorizeError


@dataclass(frozen=True)
class Edit:
    """One change, in vectors of length 1, (T,) each, that the text encoder made.

    target: what there is to be. control: what says where, by its likeness to each token; None is
    everywhere alike. anchor: what it is now, or None. scale: how strongly the target is to show, 0 to 15.
    enhance: take away what the anchor says, too. thresholds: four rising shares of the likeness, which part
    the tokens into the most related, related, neighboring, unrelated and most unrelated.
    """

    target: Tensor
    control: Tensor | None = None
    anchor: Tensor | None = None
    scale: float = 8.0
    enhance: bool = False
    thresholds: tuple[float, float, float, float] = THRESHOLDS

    def __post_init__(self) -> None:
        if list(self.thresholds) != sorted(self.thresholds):
            told = ", ".join(f"{value:g}" for value in self.thresholds)
            raise ColorizeError(f"the thresholds {told} do not rise", "order them", code=2)


def encode(prompts: Sequence[Prompt], say: Callable[[list[str]], Tensor]) -> list[Edit]:
    """Return edits in words as vectors, in their order.

    say: gives the vectors of texts, (n, 1, T) of length 1, as `CLIP.say` does of their tokens; it is asked
    once, for every text once, and not at all without prompts.
    """
    texts = [words for one in prompts for words in (one.target, one.anchor, one.where) if words]
    if not texts:
        return []
    texts = list(dict.fromkeys(texts))
    said = dict(zip(texts, say(texts)[:, 0], strict=True))
    return [
        Edit(said[one.target], said.get(one.where), said.get(one.anchor), one.scale, one.enhance, one.thresholds)
        for one in prompts
    ]


def likeness(tokens: Tensor, control: Tensor) -> Tensor:
    """Return how like the control each token is, from 0 to 1 within a picture: (B, N, T) -> (B, N).

    Low is what belongs to the control: the tokens of CLIP's patches run against their own object. Where
    all are alike, all are 1.
    """
    raw = tokens @ control
    low, high = raw.amin(1, keepdim=True), raw.amax(1, keepdim=True)
    span = high - low
    return torch.where(span > 0, (raw - low) / torch.where(span > 0, span, 1), 1.0)


def push(like: Tensor, strength: Tensor, thresholds: Sequence[float] = THRESHOLDS) -> Tensor:
    """Return how far each token is pushed to the target: (B, N), of likenesses (B, N) and strengths (B, 1).

    From -2 strengths where it is most related to 1 where it is least.
    """
    first, second, third, last = thresholds

    def along(low: float, high: float) -> Tensor:
        return (like - low) / max(high - low, 1e-12)

    share = torch.where(like <= last, 0.5 + 0.5 * along(third, last), 1.0)
    share = torch.where(like <= third, 0.5 * along(second, third), share)
    share = torch.where(like <= second, along(first, second) - 1, share)
    return strength * torch.where(like <= first, -2.0, share)


def edited(tokens: Tensor, edits: Sequence[Edit]) -> Tensor:
    """Return tokens (B, 1 + N, T), the picture's own first and unchanged, after some edits in their order.

    Nothing happens unless the scale of any is above 0.
    """
    if not any(edit.scale > 0 for edit in edits):
        return tokens
    whole, local = tokens[:, :1], tokens[:, 1:]
    for edit in edits:
        local = _local(whole, local, edit)
    return torch.cat([whole, local], dim=1)


def _local(whole: Tensor, local: Tensor, edit: Edit) -> Tensor:
    """Edit the tokens (B, N, T) of places, given that of the picture, (B, 1, T)."""
    anchor = edit.anchor
    shown = anchor if anchor is not None and edit.enhance else edit.target
    strength = edit.scale - whole @ shown  # (B, 1)
    if edit.control is None:
        pushed = strength.expand(local.shape[:2])
    else:
        pushed = push(likeness(local, edit.control), strength, edit.thresholds)
    if anchor is None:
        return local + pushed[..., None] * edit.target
    if edit.enhance:
        pushed = pushed + local @ anchor
    return local + pushed[..., None] * (edit.target - anchor)


def edited_whole(tokens: Tensor, edits: Sequence[Edit]) -> Tensor:
    """Return tokens (B, 1, T) of whole pictures after some edits, which then know no place and no thresholds."""
    if not any(edit.scale > 0 for edit in edits):
        return tokens
    for edit in edits:
        target, anchor, scale = edit.target, edit.anchor, edit.scale
        if anchor is not None and edit.enhance:
            tokens = tokens - (tokens @ anchor)[..., None] * anchor + scale * target
        elif anchor is not None:
            tokens = tokens + scale * (target - anchor)
        elif edit.enhance:
            tokens = tokens + scale * target
        else:
            tokens = tokens + (scale - tokens @ target)[..., None] * target
    return tokens


def regions(tokens: Tensor, control: Tensor, size: tuple[int, int], thresholds: Sequence[float] = THRESHOLDS) -> Tensor:
    """Return which of five regions each pixel is in, 0 most related to 4 least: (B, H, W).

    tokens: (B, 1 + N, T) with N a square number, after the edits. size: height and width.
    """
    raw = tokens[:, 1:] @ control
    side = round(raw.shape[1] ** 0.5)
    wide = F.interpolate(raw.reshape(-1, 1, side, side), size, mode="bicubic")
    like = likeness(wide.flatten(2).mT, wide.new_ones(1)).reshape(-1, *size)
    return torch.stack([like >= value for value in thresholds]).sum(0)
