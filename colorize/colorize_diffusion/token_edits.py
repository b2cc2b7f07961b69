"""Edits of a reference's tokens by text (ColorizeDiffusion, local and global), and pictures of what they move."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from colorize.colorize_diffusion.text_edits import THRESHOLDS, Prompt
from colorize.errors import ColorizeError
from colorize.images.image import Picture


@dataclass(frozen=True)
class Edit:
    """One change, in vectors of length 1, (T,) each, that the text encoder made.

    target: what there is to be. control: what says where, by its likeness to each token; None is everywhere alike.
    anchor: what it is now, or None. scale: how strongly the target is to show, 0 to 15. enhance: take away what the
    anchor says, too. thresholds: four rising shares of the likeness, which part the tokens into the most related,
    related, neighboring, unrelated and most unrelated.
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
            raise ColorizeError(f"the thresholds {told} must rise", "order them", code=2)


def encode(prompts: Sequence[Prompt], say: Callable[[list[str]], Tensor]) -> list[Edit]:
    """Return edits in words as vectors, in their order.

    say: gives the vectors of texts, (n, 1, T) of length 1, as `CLIP.say` does of their tokens; it is asked once, for
    every text once, and not at all without prompts.
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

    Low is what belongs to the control: the tokens of CLIP's patches run against their own object. Where all are alike,
    all are 1.
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


def regions(tokens: Tensor, control: Tensor, size: tuple[int, int], thresholds: Sequence[float] = THRESHOLDS) -> Tensor:
    """Return which of five regions each pixel is in, 0 most related to 4 least: (B, H, W).

    tokens: (B, 1 + N, T) with N a square number, after the edits. size: height and width.
    """
    raw = tokens[:, 1:] @ control
    side = round(raw.shape[1] ** 0.5)
    wide = F.interpolate(raw.reshape(-1, 1, side, side), size, mode="bicubic")
    like = likeness(wide.flatten(2).mT, wide.new_ones(1)).reshape(-1, *size)
    return torch.stack([like >= value for value in thresholds]).sum(0)


REGIONS = {  # from the lowest likeness to the highest, in the colors of Matlab's jet
    "most related": (0, 0, 128),
    "related": (0, 124, 255),
    "neighboring": (122, 255, 134),
    "unrelated": (255, 136, 0),
    "most unrelated": (140, 0, 0),
}
COVER = 0.7  # of the color; the rest is the reference
SIDES = (512, 1024)  # pixels of the longer side of a panel: words need some, and more shows nothing more
ABREAST, MOST = 4, 16  # panels in a row and in all
FINEST = 6  # pixels between the lines of the grid; closer ones would hide the picture
GAP, BOX = 16, 18  # pixels around panels, and of a color in the legend
LARGE, SMALL = 20, 15  # pixels of letters
TITLE = 54  # pixels above a panel
NARROWEST = 260  # pixels of a panel's column: room for its title

Pixels = npt.NDArray[np.uint8]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def draw(reference: Picture, tokens: Tensor, edits: Sequence[Edit], prompts: Sequence[Prompt]) -> Picture:
    """Return a picture of the five regions that each control finds in a reference, after all edits, with a legend.

    tokens: (1, 1 + N, T) of the reference before the edits, N a square number. edits: made of the prompts, in their
    order. Controls stand side by side under their words: equal ones with equal thresholds once, and none of an edit
    that is everywhere alike. Raises ColorizeError (wrong usage) if there is no other. A note of the picture counts
    controls left out after the 16th.
    """
    places = {(p.where, p.thresholds): e for p, e in zip(prompts, edits, strict=True) if p.where}
    if not places:
        hint = 'add a control, such as "target=blonde hair; control=hair"'
        raise ColorizeError("no edit says where, so there is no map of places to draw", hint, code=2)
    changed = edited(tokens, edits).detach().cpu()
    picture = _sized(reference)
    panels = []
    for (words, thresholds), edit in list(places.items())[:MOST]:
        assert edit.control is not None, "an edit of words that say where has a control"
        found = regions(changed, edit.control.detach().cpu(), picture.shape[:2], thresholds)
        pixels = _colored(picture, found[0].numpy(), round((tokens.shape[1] - 1) ** 0.5))
        panels.append((pixels, words, "thresholds " + ", ".join(f"{value:g}" for value in thresholds)))
    left_out = len(places) - len(panels)
    notes = (f"the map shows {MOST} controls and leaves out {left_out}",) if left_out else ()
    return replace(Picture(_laid_out(panels)), notes=notes)


def _sized(reference: Picture) -> Pixels:
    """The reference as (h, w, 3) on white, at the size of a panel."""
    flat = reference.on_white().eight_bit()
    longer = max(flat.size)
    scale = min(max(longer, SIDES[0]), SIDES[1]) / longer
    high, wide = (max(1, round(side * scale)) for side in flat.size)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    sized = cv2.resize(flat.pixels, (wide, high), interpolation=how).reshape(high, wide, -1)
    return np.broadcast_to(sized, (high, wide, 3)).astype(np.uint8)


def _colored(picture: Pixels, found: npt.NDArray[np.int64], side: int) -> Pixels:
    """Color the regions (h, w) over a picture (h, w, 3), and rule a line between the tokens, `side` in a row."""
    colors = np.array(list(REGIONS.values()), np.float32)[found]  # (h, w, 3)
    mixed = np.rint(COVER * colors + (1 - COVER) * picture).astype(np.uint8)
    high, wide = mixed.shape[:2]
    if high >= FINEST * side:
        mixed[[at * high // side for at in range(1, side)]] = 0
    if wide >= FINEST * side:
        mixed[:, [at * wide // side for at in range(1, side)]] = 0
    return mixed


def _laid_out(panels: Sequence[tuple[Pixels, str, str]]) -> Pixels:
    """Panels of one size in rows with the two lines above each, and the legend below."""
    high, wide = panels[0][0].shape[:2]
    column, row = max(wide, NARROWEST) + GAP, high + TITLE + GAP
    abreast = min(len(panels), ABREAST)
    width, top = GAP + abreast * column, GAP - (-len(panels) // abreast) * row
    large, small = (ImageFont.load_default(size) for size in (LARGE, SMALL))
    legend = list(_legend(width, small))
    sheet = Image.new("RGB", (width, top + legend[-1][1] + BOX + GAP), "white")
    canvas = ImageDraw.Draw(sheet)
    for at, (pixels, title, below) in enumerate(panels):
        x, y = GAP + at % abreast * column, at // abreast * row
        canvas.text((x, y + 8), _fitted(title, large, column - GAP), "black", large)
        canvas.text((x, y + 32), _fitted(below, small, column - GAP), "#666666", small)
        sheet.paste(Image.fromarray(pixels), (x, y + TITLE))
    for x, y, words in legend:
        canvas.rectangle((x, top + y, x + BOX - 1, top + y + BOX - 1), REGIONS[words], "black")
        canvas.text((x + BOX + 6, top + y), words, "black", small)
    return np.array(sheet)


def _legend(width: int, font: Font) -> Iterator[tuple[int, int, str]]:
    """Places x, y and words of the regions, in as many rows as the width in pixels needs."""
    x, y = GAP, 0
    for words in REGIONS:
        needs = BOX + 6 + round(font.getlength(words))
        if x > GAP and x + needs > width - GAP:
            x, y = GAP, y + BOX + 8
        yield x, y, words
        x += needs + 24


def _fitted(text: str, font: Font, width: int) -> str:
    """A text that is cut off, with dots, where it would be wider than so many pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text.rstrip() + "..."
