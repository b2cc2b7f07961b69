"""Bring what a user gives to a model's size: drawing, references and color hints become tensors.

Knows nothing of noise, steps or devices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import torch
import torch.nn.functional as F
from torch import Tensor

from colorize.coloring.color_hints import hinted
from colorize.coloring.options import Job, Named, Options, check_kind
from colorize.errors import ColorizeError
from colorize.hints import Hints
from colorize.images import color_hints, finish, kinds, lines
from colorize.images.color import colorfulness, luminance
from colorize.images.color_hints import Mark
from colorize.images.exif_text import MARK
from colorize.images.finish import Touch
from colorize.images.hint_files import resize
from colorize.images.image import Picture
from colorize.images.kinds import printed, toned
from colorize.recipes.recipe import Recipe

Kind = Literal["line", "gray"]

SMALLEST = 32  # pixels a side of a drawing; below that there is nothing to see in it
SIDE = 256  # of references; the encoders shrink them further
COLORLESS = 3.0  # colorfulness (Hasler and Suesstrunk) of gray scans with a slight tint is below
DARK = 0.85  # ink that the darkest lines have after shrinking, as in training
GAIN = 2.5  # by which shrunk lines are darkened at most; more would bring out the paper's grain


class Colored(ColorizeError):
    """The drawing is in color already; among many pictures it may be left as it is."""


class Bare(Colored):
    """There is nothing to color, since the drawing is blank or tiny; it may be left as it is, too."""


@dataclass(frozen=True)
class Frame:
    """A drawing as the model sees it, and the picture that the colors go back onto.

    kind: how they go back; a gray picture of which the model saw extracted lines keeps `gray`.
    hints: of one picture, on the CPU, all of the drawing's inner size but the reference. touch: the
    hinted pixels of the original, if hints are obeyed.
    """

    original: Picture
    kind: Kind
    hints: Hints
    notes: tuple[str, ...]
    touch: Touch | None = None


def frame(
    drawing: Named,
    recipe: Recipe,
    options: Options,
    reference: Tensor | None = None,
    hints: Picture | str | Tensor | None = None,
    dots: tuple[Mark, ...] = (),
    job: Job | None = None,
) -> Frame:
    """Fit a drawing and its hints to the inner size of a model.

    reference: as `references` makes it. hints, dots: as `hinting.hint_map` takes them. job: with masks and
    a background for systems that take them. Raises ColorizeError for a drawing that is tiny, blank, in color, or of
    a kind the model does not take, and for hints that do not fit it.
    """
    name, picture = drawing.name, drawing.picture
    check_drawing(drawing, options)
    inner, seen = viewed(picture, recipe, options)
    kind, given, notes = settled(name, looked(picture, seen, recipe, options), recipe, options)
    check_kind(name, kind, options)
    if kind == "gray" and toned(seen):
        notes += (f"`{name}` was taken for gray: the new colors take the place of its tint",)
    tensors: dict[str, Tensor] = {given: _drawing(seen, picture.size, inner, kind, given)}
    given_hints, more = hinted(drawing, hints, dots)
    if given_hints is not None:
        small, line = resize(given_hints, inner), tensors.get("line")
        tensors["hints"] = small if line is None else color_hints.off_ink(small, line)
    if job is not None and "line" in tensors:
        found, told = recipe.system.extras(job, tensors["line"])
        tensors, notes = {**tensors, **found}, notes + told
    fitted = Hints(**tensors, reference=reference)
    if not any(need in fitted for need in recipe.needs):
        _ = fitted[recipe.needs[0]]  # raises the sentence about what is missing
    return Frame(picture, kind, fitted, notes + more, _touch(given_hints, picture.size, options))


def viewed(picture: Picture, recipe: Recipe, options: Options) -> tuple[tuple[int, int], Tensor]:
    """Return a drawing's (H, W) inside a model, and the small copy (1, 3, h, w) by which it is looked at."""
    inner = recipe.system.inner_size(picture.size, options.size or recipe.size)
    return inner, shrunk(picture, max(2 * kinds.SIDE, 2 * max(inner))).tensor()


def check_drawing(drawing: Named, options: Options) -> None:
    """Refuse a drawing that is tiny (ColorizeError), or a result of this program (Colored)."""
    name, (height, width) = drawing.name, drawing.picture.size
    if min(height, width) < SMALLEST:
        raise Bare(
            f"`{name}` is {width} x {height} pixels; a drawing needs at least {SMALLEST} x {SMALLEST}",
            "the file may be a thumbnail, or cut off; open it in a viewer",
        )
    if MARK in drawing.picture.text and not options.force:
        raise Colored(f"`{name}` was colored by this program already", "color it anew with --force")


def _touch(hints: Tensor | None, size: tuple[int, int], options: Options) -> Touch | None:
    """The hinted pixels at full size, if there are any and they are to have their very color."""
    if hints is None or options.hint_mode == "soft":
        return None
    return finish.of(resize(hints, size), options.strength.get("hints", 1.0))


def references(given: tuple[Named, ...], recipe: Recipe | None = None, side: int = SIDE) -> Tensor | None:
    """Return all references on white squares of one size, joined on channels: (1, 3 R, S, S), or None.

    S is `side`, or the longest side of all if that is less; some systems have another way, see `System.references`.
    Raises ColorizeError for one without color.
    """
    if not given:
        return None
    for one in given:
        _colored(one, shrunk(one.picture, 2 * SIDE).tensor())
    joined = recipe.system.references([one.picture for one in given]) if recipe else None
    if joined is not None:
        return joined
    side = min(side, max(SMALLEST, *(max(one.picture.size) for one in given)))
    return torch.cat([_square(one, side) for one in given], dim=1)


def shrunk(picture: Picture, side: int) -> Picture:
    """Return a picture on white with a longer side of at most `side` pixels; area mean."""
    longer = max(picture.size)
    if longer > side:
        new = [max(1, round(one * side / longer)) for one in picture.size]
        flat = picture.on_white()
        pixels = cv2.resize(flat.pixels, new[::-1], interpolation=cv2.INTER_AREA)
        return flat.replaced(pixels.reshape(*new, -1).astype(flat.pixels.dtype, copy=False), None)
    return picture.on_white()


def looked(picture: Picture, seen: Tensor, recipe: Recipe, options: Options) -> kinds.Kind:
    """What a drawing is, by a small copy of it, (1, 3, h, w), unless the user forces a kind.

    Screentone is ink: kept as lightness it would leave no room for color where a model takes line art.
    """
    if options.force and options.kind != "auto":
        return options.kind
    found = kinds.kind(seen)
    if found != "gray" or "line" not in recipe.hints:
        return found
    return "line" if printed(picture) else "gray"


def settled(name: str, found: kinds.Kind, recipe: Recipe, options: Options) -> tuple[Kind, str, tuple[str, ...]]:
    """What the drawing is, which hint it becomes, and what the user should know of that."""
    if found == "blank" and not options.force:
        raise Bare(f"`{name}` is blank: it has nearly one color", "color it with --force")
    if found == "color" and not options.force:
        raise Colored(f"`{name}` is already in color", "color it anew from its gray values with --force")
    guess: Kind = "line" if found in ("line", "blank") else "gray"
    kind: Kind = guess if options.kind == "auto" else options.kind
    if kind in recipe.hints:
        return kind, kind, ()
    if kind == "gray":
        note = f"`{recipe.name}` takes line art only, so the lines of `{name}` were extracted"
        return kind, "line", (note,)
    raise ColorizeError(
        f"`{name}` is line art, and the model `{recipe.name}` takes gray pictures only",
        "choose a model that takes line art: mini; or force it with --kind gray",
    )


def _drawing(seen: Tensor, size: tuple[int, int], inner: tuple[int, int], kind: Kind, given: str) -> Tensor:
    """The drawing at its inner size, (1, 1, *inner)."""
    gray = F.interpolate(luminance(seen), inner, mode="bilinear", antialias=True).clamp(-1, 1)
    if kind == given:
        return darkened(gray) if kind == "line" and max(inner) < max(size) else gray
    return lines.extract(gray, "xdog")


def darkened(line: Tensor) -> Tensor:
    """Line art (1, 1, H, W) whose lines went pale by shrinking, with dark lines again.

    A pen line of 2 pixels is a quarter as dark at an eighth of the size; models never saw such.
    """
    ink = (1 - line) / 2
    paper = ink.median()
    inked = ink[ink > paper + 0.05]
    if not len(inked):
        return line
    darkest = torch.quantile(inked, 0.9)
    gain = ((DARK - paper) / (darkest - paper)).clamp(1, GAIN)
    return 1 - 2 * (paper + gain * (ink - paper)).clamp(0, 1)


def _square(reference: Named, side: int) -> Tensor:
    """A reference in the middle of a white square, (1, 3, side, side)."""
    picture = shrunk(reference.picture, 2 * SIDE).tensor()
    height, width = picture.shape[-2:]
    new = [max(1, round(one * side / max(height, width))) for one in (height, width)]
    picture = F.interpolate(picture, new, mode="bilinear", antialias=True).clamp(-1, 1)
    top, left = (side - new[0]) // 2, (side - new[1]) // 2
    return F.pad(picture, (left, side - new[1] - left, top, side - new[0] - top), value=1.0)


def _colored(reference: Named, picture: Tensor) -> None:
    """Refuse a reference without color."""
    if not reference.palette and float(colorfulness(picture)) < COLORLESS:
        raise ColorizeError(f"the reference `{reference.name}` has no color", "give a color picture with --ref")
