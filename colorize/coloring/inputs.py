"""Turn what a user gives - drawing, references, color hints, masks - into the tensors of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from colorize.coloring.options import Job, Named, SampleOptions, check_kind
from colorize.errors import ColorizeError
from colorize.hints import Hints
from colorize.images import (
    background,
    color_hints,
    files,
    finish,
    hint_files,
    kinds,
    lines,
    listing,
    palettes,
    paper,
    shading,
)
from colorize.images.color import colorfulness, luminance
from colorize.images.color_hints import ColorHint
from colorize.images.image import Picture, from_tensor
from colorize.images.ink import HintPixels
from colorize.images.kinds import has_tint
from colorize.images.metadata import MARK
from colorize.images.paper import Sheet
from colorize.images.shading import is_printed
from colorize.recipes.recipe import Recipe

Kind = Literal["line", "gray"]
File = Path | str
HintSource = Picture | str | Tensor  # a layer or a painted copy, JSON text, or a hint map

SMALLEST = 32  # pixels a side of a drawing; below that there is nothing to see in it
SIDE = 256  # of references; the encoders shrink them further
COLORLESS = 3.0  # colorfulness (Hasler and Suesstrunk) of gray scans with a slight tint is below
ASTRAY = 0.9  # of a hint; with more on the background or on ink it is said so
PAPER, PURPOSE = 0.84, 0.1  # a hint with no darker channel is white; share of the background that is hinted on purpose


class AlreadyColored(ColorizeError):
    """The drawing is in color, or there is nothing to color in it; among many pictures it may stay as it is."""


@dataclass(frozen=True)
class ModelInput:
    """A drawing as the model sees it, and the picture that the colors go back onto.

    kind: how they go back; a gray picture of which the model saw extracted lines keeps `gray`. hints: of one picture,
    all of the drawing's inner size but the reference. exact: the hinted pixels of the original that get exactly their
    color. inverted: the original is the negative of a drawing in white on black, see `finish.on_black`. sheet: the
    paper of a gray picture, which the model sees white.
    """

    original: Picture
    kind: Kind
    hints: Hints
    notes: tuple[str, ...]
    exact: HintPixels | None = None
    inverted: bool = False
    sheet: Sheet | None = None

    def after(self, before: Tensor) -> ModelInput:
        """Return the same with what its colors were before, a hint map (1, 4, h, w)."""
        return replace(self, hints=Hints(**dict(self.hints.items()), before=before))


def named(picture: File | Picture, name: str = "the reference") -> Named:
    """Return a picture, read if it is a path, with its file name or else the given name."""
    if isinstance(picture, Picture):
        return Named(name, picture)
    return Named(files.shown(Path(picture).name), files.read(Path(picture)))


def palette(given: File | Picture) -> Named:
    """Return a palette as a reference: colors as `palettes.parse` reads them, or those of a picture.

    Raises ColorizeError (wrong usage) for a text that is neither colors nor the path of a file.
    """
    if isinstance(given, str) and not files.is_file(given):
        found, name = palettes.parse(given), f"palette {given}"
    else:
        one = named(given, "a picture")
        found, name = palettes.dominant(one.picture.tensor()), f"palette of {one.name}"
    return Named(name, from_tensor(palettes.swatches(found)), palette=True)


def job_template(options: SampleOptions) -> Job:
    """Return a job without a drawing: the references, hints and masks that all drawings share.

    Folders with one file per drawing are left out. Raises ColorizeError if anything cannot be read.
    """
    given, dots = options.reference, options.hint
    found: list[Named] = []
    for one in [given] if isinstance(given, str | Path | Picture) else given:
        if one == "-":
            raise ColorizeError("standard input is for a drawing, not a reference", "name a file with --ref", code=2)
        paths = [] if isinstance(one, Picture) else [f.path for f in listing.find([str(one)]) if f.path]
        pictures: list[File | Picture] = [one] if isinstance(one, Picture) else [*paths]
        found += [named(picture, f"reference {at}") for at, picture in enumerate(pictures, len(found) + 1)]
    if options.palette:
        found.append(palette(options.palette))
    hints, mask, only, other = options.hints, options.mask, options.only, options.ref_mask
    if isinstance(hints, str | Path):
        hints = None if Path(hints).is_dir() else read_hints(Path(hints))
    if isinstance(mask, str | Path) and mask != "auto":
        mask = files.read(Path(mask)) if mask and not Path(mask).is_dir() else ""
    if isinstance(only, str | Path):
        only = files.read(Path(only)) if only and not Path(only).is_dir() else ""
    return Job(
        "",
        b"",
        tuple(found),
        hints,
        tuple(color_hints.parse_hint(dot) for dot in ([dots] if isinstance(dots, str) else dots)),
        named(options.background, "the background") if options.background else None,
        mask or None,  # type: ignore[arg-type]
        files.read(Path(other)) if isinstance(other, str | Path) else other,
        only or None,  # type: ignore[arg-type]
    )


def read_hints(path: Path) -> Picture | str:
    """Return the hints of a file, for `hint_map`: the text of JSON, or a picture.

    Raises ColorizeError if it cannot be read.
    """
    if path.suffix.lower() != ".json":
        return files.read(path)
    try:
        return files.content(path).decode()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise ColorizeError(f"`{path}` cannot be read: {reason}", "check the path") from error


def hint_map(
    drawing: Named, hints: HintSource | None, dots: Sequence[ColorHint], lined: bool = True
) -> tuple[Tensor | None, tuple[str, ...]]:
    """Return the hints on a drawing as a map (1, 4, H, W) of its size, or None without any, and notes.

    hints: a picture that is transparent but for the hints, a copy of the drawing painted over, JSON
    text, or a hint map (1, 4, h, w), which keeps its size if there are no dots. dots lie on top of
    all. lined: the drawing is line art. Raises ColorizeError with the name of the drawing.
    """
    picture = drawing.picture
    try:
        below, notes = (None, ()) if hints is None else _hint_layer(hints, picture, lined)
        if not dots:
            return below, notes
        top = color_hints.draw(dots, picture.size)
    except ColorizeError as error:
        raise ColorizeError(f"`{drawing.name}`: {error.message}", error.hint, error.code) from error
    if below is None:
        return top, notes
    return torch.where(top[:, 3:] > 0, top, hint_files.resize(below, picture.size)), notes


def _hint_layer(hints: HintSource, drawing: Picture, lined: bool) -> tuple[Tensor, tuple[str, ...]]:
    if isinstance(hints, Tensor):
        return hints, ()
    if isinstance(hints, str):
        return hint_files.parse(hints, drawing.size), ()
    notes: tuple[str, ...] = ()
    if hints.size != drawing.size:
        (height, width), (tall, wide) = hints.size, drawing.size
        notes = (f"the hints are {width} x {height} pixels and were scaled to {wide} x {tall}",)
    if hints.alpha is None or hints.alpha.min() == hints.peak:
        return hint_files.parse_copy(hints, drawing, lined), notes
    layer = np.dstack([np.broadcast_to(hints.pixels, (*hints.size, 3)), hints.alpha])
    return hint_files.parse(layer, drawing.size), notes


def model_input(
    drawing: Named,
    recipe: Recipe,
    options: SampleOptions,
    reference: Tensor | None = None,
    hints: HintSource | None = None,
    job: Job | None = None,
) -> ModelInput:
    """Fit a drawing and its hints to the inner size of a model.

    reference: as `references` makes it. hints: as `hint_map` takes them. job: with dots, and with masks and
    a background for latent models. Raises ColorizeError for a drawing that is tiny, blank, in color, or of
    a kind the model does not take, and for hints that do not fit it.
    """
    check_drawing(drawing, options)
    picture, kind, hint, gray, notes, inverted, sheet = _view(drawing, recipe, options, job is not None)
    tensors: dict[str, Tensor] = {hint: gray}
    held, more = hint_map(drawing, hints, job.dots if job else (), hint == "line")
    notes += more
    if held is not None:
        small = hint_files.resize(held, (gray.shape[2], gray.shape[3]))
        tensors["hints"] = color_hints.off_ink(small, gray) if hint == "line" else small
    if job is not None and hint == "line":
        found, extra = recipe.system.extras(job, gray)
        tensors, notes = {**tensors, **found}, notes + extra
        if held is not None and not isinstance(hints, Tensor):
            notes += _astray(small, job.dots, picture.size, gray)
    fitted = Hints(**tensors, reference=reference)
    if not any(need in fitted for need in recipe.needs):
        _ = fitted[recipe.needs[0]]  # raises the sentence about what is missing
    return ModelInput(picture, kind, fitted, notes, _exact(held, picture, kind, options), inverted, sheet)


def _exact(held: Tensor | None, picture: Picture, kind: Kind, options: SampleOptions) -> HintPixels | None:
    """The pixels of a drawing that get exactly the color of a hint map (1, 4, h, w), if any."""
    if held is None or options.hint_mode != "hard":
        return None
    full = hint_files.resize(held, picture.size)
    exact = finish.hint_pixels(full, options.strength.get("hints", 1.0))
    if kind == "line" and options.divides:
        return replace(exact, whole=hint_files.in_regions(full, picture).ravel()[exact.place])
    return exact


def _astray(hints: Tensor, dots: Sequence[ColorHint], size: tuple[int, int], line: Tensor) -> tuple[str, ...]:
    """Notes on color hints (1, 4, h, w) that lie on the background or on ink of a drawing (1, 1, h, w).

    dots: those that a user named, in pixels of a drawing of `size`. A background that is painted on purpose, in white
    or much of it, is none of them.
    """
    found = background.of_drawing(line)
    outside = np.zeros(line.shape[-2:], bool) if found is None else (found[0, 0] < 0).numpy()
    ink, notes, left = (line[0, 0] < 0).numpy(), [], (hints[0, 3] > 0).numpy()
    for dot in dots:
        held = (hint_files.resize(color_hints.draw([dot], size), (line.shape[-2], line.shape[-1]))[0, 3] > 0).numpy()
        left &= ~held
        place = "the background" if outside[held].mean() > ASTRAY else "a line" if ink[held].mean() > ASTRAY else ""
        if place and min(dot.color) < PAPER:
            notes.append(f"hint {dot.text or dot.name} lies on {place}")
    count, strokes = cv2.connectedComponents((left & (hints[0, :3].amin(0) < PAPER).numpy()).astype(np.uint8))
    lost = 0
    for at in range(1, count):
        share = float(outside[strokes == at].mean())
        lost += share > ASTRAY and (strokes == at).sum() < PURPOSE * outside.sum()
    if lost:
        some = "the hint" if count == 2 else f"{lost} of {count - 1} hints"
        notes.append(f"{some} {'lie' if lost > 1 else 'lies'} on the background")
    return tuple(notes)


def _view(
    drawing: Named, recipe: Recipe, options: SampleOptions, whole: bool
) -> tuple[Picture, Kind, str, Tensor, tuple[str, ...], bool, Sheet | None]:
    """A drawing as it is colored: its picture, kind and hint, that hint (1, 1, h, w), notes, whether it is inverted.

    Also the paper of a gray one that is whole, and not the panel of a page.
    """
    name, picture = drawing.name, drawing.picture
    inner = recipe.system.inner_size(picture.size, options.size or recipe.size)
    picture, seen, inverted = upright(picture, recipe, options)
    kind, hint, notes = resolve_kind(name, detect_kind(picture, seen, recipe, options), recipe, options)
    check_kind(name, kind, options)
    if kind == "line" and not options.force and kinds.is_text(seen):
        raise AlreadyColored(f"`{name}` is a page of text, with nothing to color", "color it with --force")
    if inverted:
        notes += (f"`{name}` has white lines on black: its areas are colored, its ground stays black",)
    sheet = paper.find(shrink(picture, 2 * shading.SIDE)) if kind == "gray" and whole else None
    if sheet:
        seen = sheet.whitened(shrink(picture, max(seen.shape))).tensor()
    elif kind == "gray" and has_tint(seen):
        notes += (f"`{name}` was taken for gray: the new colors take the place of its tint",)
    plain = paper.ink_of(seen) if kind == hint == "line" else luminance(seen)
    gray = F.interpolate(plain, inner, mode="bilinear", antialias=True).clamp(-1, 1)
    if kind != hint:
        gray = lines.xdog(gray)
    elif kind == "line" and max(inner) < max(picture.size):
        gray = paper.darken(gray, None if kinds.has_construction(seen) else picture)
    return picture, kind, hint, gray, notes, inverted, sheet


def view(picture: Picture, recipe: Recipe, options: SampleOptions) -> Tensor:
    """Return a small copy (1, 3, h, w) of a drawing, which tells its kind."""
    inner = recipe.system.inner_size(picture.size, options.size or recipe.size)
    return shrink(picture, max(2 * shading.SIDE, 2 * max(inner))).tensor()


def upright(picture: Picture, recipe: Recipe, options: SampleOptions) -> tuple[Picture, Tensor, bool]:
    """Return a drawing with dark lines, a small copy of it as `view` does, and whether it is a negative."""
    seen = view(picture, recipe, options)
    if options.kind != "gray" and "line" in recipe.hints and kinds.is_inverted(seen):
        return finish.negative(picture), -seen, True
    return picture, seen, False


def shrink(picture: Picture, side: int) -> Picture:
    """Return a picture on white with a longer side of at most `side` pixels; area mean."""
    longer = max(picture.size)
    if longer <= side:
        return picture.on_white()
    new = [max(1, round(one * side / longer)) for one in picture.size]
    flat = picture.on_white()
    pixels = cv2.resize(flat.pixels, new[::-1], interpolation=cv2.INTER_AREA)
    return replace(flat, pixels=pixels.reshape(*new, -1).astype(flat.pixels.dtype, copy=False))


def check_drawing(drawing: Named, options: SampleOptions) -> None:
    """Refuse a drawing that is tiny, or a result of this program (AlreadyColored)."""
    name, (height, width) = drawing.name, drawing.picture.size
    if min(height, width) < SMALLEST:
        message = f"`{name}` is {width} x {height} pixels; a drawing needs at least {SMALLEST} x {SMALLEST}"
        raise AlreadyColored(message, "the file may be a thumbnail, or cut off; open it in a viewer")
    if MARK in drawing.picture.text and not (options.force or options.only):
        raise AlreadyColored(f"`{name}` was colored by this program already", "color it anew with --force")


def detect_kind(picture: Picture, seen: Tensor, recipe: Recipe, options: SampleOptions) -> kinds.Kind:
    """Return what a drawing is, by a small copy of it, (1, 3, h, w), unless the user forces a kind.

    Screentone is ink: kept as lightness it would leave no room for color where a model takes line art.
    """
    if options.force and options.forced:
        return options.forced
    found = kinds.kind(seen)
    if found != "gray" or "line" not in recipe.hints:
        return found
    sheet = paper.find(shrink(picture, 2 * shading.SIDE))
    return "line" if is_printed(sheet.whitened(picture) if sheet else picture) else "gray"


def is_lined(picture: Picture, recipe: Recipe, options: SampleOptions) -> bool:
    """Return whether a drawing is colored as line art."""
    if options.forced:
        return options.forced == "line"
    picture, seen, _ = upright(picture, recipe, options)
    return detect_kind(picture, seen, recipe, options) in ("line", "blank")


def resolve_kind(
    name: str, found: kinds.Kind, recipe: Recipe, options: SampleOptions
) -> tuple[Kind, str, tuple[str, ...]]:
    """Return how to color the drawing, which hint it becomes, and notes."""
    if found == "blank" and not options.force:
        raise AlreadyColored(f"`{name}` is blank: it has nearly one color", "color it with --force")
    if found == "color" and not (options.force or options.only):
        hint = "color it anew: from its lines with --kind extract, from its gray values with --force"
        raise AlreadyColored(f"`{name}` is already in color", hint)
    kind: Kind = options.forced or ("line" if found in ("line", "blank") else "gray")
    if kind in recipe.hints:
        return kind, kind, ()
    if kind == "gray":
        return kind, "line", (f"`{recipe.name}` takes line art only, so the lines of `{name}` were extracted",)
    hint = "choose a model that takes line art: mini; or force it with --kind gray"
    raise ColorizeError(f"`{name}` is line art, and the model `{recipe.name}` takes gray pictures only", hint)


def references(given: tuple[Named, ...], recipe: Recipe | None = None, side: int = SIDE) -> Tensor | None:
    """Return all references on white squares of one size, joined on channels: (1, 3 R, S, S), or None.

    S is `side`, or the longest side of all if that is less; some systems have `System.references`.
    Raises ColorizeError for one without color.
    """
    if not given:
        return None
    small = [shrink(one.picture, 2 * SIDE).tensor() for one in given]
    for one, picture in zip(given, small, strict=True):
        if not one.palette and float(colorfulness(picture)) < COLORLESS:
            raise ColorizeError(f"the reference `{one.name}` has no color", "give a color picture with --ref")
    joined = recipe.system.references([one.picture for one in given]) if recipe else None
    if joined is not None:
        return joined
    side = min(side, max(SMALLEST, *(max(one.picture.size) for one in given)))
    squares = []
    for picture in small:
        high, wide = (max(1, round(one * side / max(picture.shape[-2:]))) for one in picture.shape[-2:])
        fitted = F.interpolate(picture, (high, wide), mode="bilinear", antialias=True).clamp(-1, 1)
        top, left = (side - high) // 2, (side - wide) // 2
        squares.append(F.pad(fitted, (left, side - wide - left, top, side - high - top), value=1.0))
    return torch.cat(squares, dim=1)
