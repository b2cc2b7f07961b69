"""What latent models are given beside the drawing: references of any shape, masks and a background.

Knows nothing of noise, steps or devices.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from colorize.checkpoints.model_files import Loaded
from colorize.coloring.options import Job, Named, SampleOptions
from colorize.colorize_diffusion.condition import Manner
from colorize.colorize_diffusion.latent_space import Latent
from colorize.colorize_diffusion.published import parts
from colorize.colorize_diffusion.region_map import heat
from colorize.errors import ColorizeError
from colorize.hints import Hints
from colorize.images import background, resize
from colorize.images.image import Picture, from_tensor
from colorize.recipes.recipe import Recipe

LARGEST = 1024  # pixels of a reference's longer side; CLIP sees 224, version 2's encoders the inner size


def is_latent(recipe: Recipe) -> bool:
    """Whether a recipe works on latents, and so takes what is declared here."""
    return isinstance(recipe.space, Latent)


def check(recipe: Recipe, options: SampleOptions) -> None:
    """Refuse the knobs of latent models for others (ColorizeError, wrong usage)."""
    if options.settings is not None and not is_latent(recipe):
        raise ColorizeError(
            f"the model `{recipe.name}` has none of the knobs of `colorize-diffusion`",
            "leave them out, or choose such a model",
            code=2,
        )


def check_job(recipe: Recipe, options: SampleOptions, job: Job) -> None:
    """Refuse masks and backgrounds for models that know none, and knobs of a reference that is not there.

    Raises ColorizeError (wrong usage).
    """
    how = options.settings
    if how is not None and (how.prompts or how.echo) and not job.references:
        what = "the edits by words" if how.prompts else "the knobs echo"
        raise ColorizeError(f"{what} need a reference to act on", "add --ref PICTURE", code=2)
    given = {"--mask": job.mask, "--ref-mask": job.reference_mask, "--background": job.background}
    for option, value in given.items():
        if value is not None and not is_latent(recipe):
            raise ColorizeError(
                f"the model `{recipe.name}` does not tell figure and background apart ({option})",
                "leave it out, or choose a model of `colorize-diffusion`",
                code=2,
            )


def inner_size(size: tuple[int, int], wanted: int) -> tuple[int, int]:
    """Return the (H, W) at which a latent model works: as much area as a square of `wanted` pixels."""
    return resize.area_size(size, wanted)


def whole(picture: Picture, side: int = LARGEST) -> Tensor:
    """A picture on white in its own proportions, (1, 3, h, w), its longer side at most `side`."""
    full = picture.on_white().tensor()
    longer = max(picture.size)
    if longer <= side:
        return full
    size = [max(1, round(one * side / longer)) for one in picture.size]
    return F.interpolate(full, size, mode="bilinear", antialias=True).clamp(-1, 1)


def references(given: tuple[Named, ...]) -> Tensor | None:
    """Return all references joined on channels, (1, 3 R, h, w), squashed to the shape of the first."""
    if not given:
        return None
    first, *others = [whole(one.picture) for one in given]
    size = first.shape[-2:]
    like = [F.interpolate(one, size, mode="bicubic", antialias=True) for one in others]
    return torch.cat([first, *(one.clamp(-1, 1) for one in like)], dim=1)


def region_map(loaded: Loaded, reference: Named, manner: Manner) -> Picture:
    """Draw which places of a reference the prompts of a manner move, see `heat.heat`.

    Raises ColorizeError (wrong usage) for a model that is not latent, and for prompts that know no place.
    """
    if not is_latent(loaded.recipe):
        check(loaded.recipe, SampleOptions(settings=manner))
    _, doors, _ = parts(loaded.colorizer)
    seen = resize.widen(whole(reference.picture), manner.margin)
    with torch.inference_mode():
        tokens = doors.read(whole(reference.picture).to(loaded.colorizer.device), manner)
        return heat(from_tensor(seen), tokens, doors.edits(manner), manner.prompts)


def extras(job: Job, line: Tensor) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Return what masks and a background become, by hint, and notes.

    line: the drawing at its inner size. With any of them given the others are found, as well as can be
    without anything learned. Raises ColorizeError where neither background nor reference is there.
    """
    if job.mask is None and job.reference_mask is None and job.background is None:
        return {}, ()
    size, notes = (line.shape[-2], line.shape[-1]), []
    mask = background.read(job.mask) if isinstance(job.mask, Picture) else background.of_drawing(line)
    if mask is None:
        notes.append(f"no figure was found in `{job.name}`, so all of it counts as figure")
        mask = torch.ones_like(line)
    found = {"mask": F.interpolate(mask, size, mode="bilinear", antialias=True)}
    if job.background is not None:
        found["background"] = whole(job.background.picture)
    elif job.references:
        shape, more = _reference_mask(job)
        notes += more
        found["reference_mask"] = shape
    else:
        raise ColorizeError(
            "a mask tells figure and background apart, but neither a background nor a reference is given",
            "add --background or --ref, or leave --mask out",
            code=2,
        )
    return found, tuple(notes)


def cleared(color: Tensor, hints: Hints, manner: Manner | None) -> Tensor:
    """Whiten what surrounds the figure of a result (1, 3, h, w) in [-1, 1], if that is wanted and there is a mask."""
    mask = hints.get("mask")
    if manner is None or not manner.halves.clear or mask is None:
        return color
    figure = (F.interpolate(mask, color.shape[-2:], mode="bilinear") + 1) / 2
    return torch.where(figure > manner.halves.drawing, color, torch.ones_like(color))


def _reference_mask(job: Job) -> tuple[Tensor, list[str]]:
    """Where the figure of the first reference is, of that reference's size; and notes."""
    first = job.references[0]
    given = job.reference_mask
    mask = background.of_picture(first.picture) if given is None else background.read(given)
    notes = []
    if mask is None:
        notes = [f"no figure was found in `{first.name}`, so all of it counts as figure"]
        mask = torch.ones(1, 1, *first.picture.size)
    shape = whole(first.picture).shape[-2:]
    return F.interpolate(mask, shape, mode="bilinear", antialias=True), notes
