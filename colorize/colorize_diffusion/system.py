"""ColorizeDiffusion as the core asks for it: how it is built, loaded, and given references, masks and a background."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from colorize.colorize_diffusion import published
from colorize.colorize_diffusion.condition import LatentSettings
from colorize.colorize_diffusion.conditioner import SketchAndReference, no_background
from colorize.colorize_diffusion.token_edits import draw
from colorize.colorize_diffusion.vae import Latent
from colorize.errors import ColorizeError
from colorize.hints import Hints
from colorize.images import background, resize
from colorize.images.image import Picture, from_tensor
from colorize.model import Colorizer, Settings
from colorize.networks.conditions import Drop, Strength
from colorize.system import ModelFile, System

if TYPE_CHECKING:
    from colorize.coloring.options import Job, SampleOptions
    from colorize.recipes.recipe import Recipe

LARGEST = 1024  # pixels of a reference's longer side; CLIP sees 224, version 2's encoders the inner size


class LatentColorizer(Colorizer):
    """A model whose condition takes settings, and may have to encode pictures as x."""

    def encode(self, hints: Hints, drop: Drop, strength: Strength, settings: Settings | None = None) -> object:
        """Encode the hints into a condition."""
        space, condition, _ = published.parts(self)
        assert settings is None or isinstance(settings, LatentSettings)
        return condition(hints, drop, strength, settings, space.latent)


class LatentSystem(System):
    """Latent diffusion with a sketch, references, masks and edits by text."""

    def build(self, recipe: Recipe) -> Colorizer:
        """Make a model with fresh weights."""
        plain = super().build(recipe)
        return LatentColorizer(plain.space, plain.condition, plain.denoiser)

    def tensors(self, colorizer: Colorizer, recipe: Recipe) -> Mapping[str, Tensor]:
        """Return the weights under their published names."""
        return published.tensors(colorizer)

    def fill(self, file: ModelFile, recipe: Recipe, colorizer: Colorizer) -> Recipe:
        """Fill a model from a file of the published layout, see `published.fill`."""
        return published.fill(file, recipe, colorizer)

    def adopt(self, file: ModelFile, variants: Mapping[str, Recipe]) -> tuple[Recipe, Colorizer, dict[str, str]] | None:
        """Load a file of the authors', see `published.adopt`."""
        if not any(name.startswith(published.UNET) for name in file.tensors):
            return None
        return *published.adopt(file, variants), {"license": published.LICENSE}

    def begin(self, file: ModelFile, recipe: Recipe) -> Colorizer | None:
        """Begin with a Stable Diffusion, see `published.begin`."""
        return published.begin(file, recipe)

    def check_start(self, recipe: Recipe) -> None:
        """Refuse fresh weights where CLIP's are expected in a file of their own."""
        assert isinstance(recipe.condition, SketchAndReference)
        if recipe.condition.encoder:
            message = f"`{recipe.name}` needs an autoencoder and CLIP with weights before it can train"
            hint = (
                "start from a model that has them, such as --from tellurion/ColorizeDiffusion, or a Stable Diffusion 2"
            )
            raise ColorizeError(message, hint, code=2)

    def multiple(self, recipe: Recipe) -> int:
        """Return what the autoencoder and the U-Net need."""
        assert isinstance(recipe.space, Latent)
        return recipe.space.multiple

    def check(self, name: str, options: SampleOptions) -> None:
        """Take all settings."""

    def check_job(self, name: str, options: SampleOptions, job: Job) -> None:
        """Refuse settings of a reference that is not given (ColorizeError, wrong usage)."""
        settings = options.settings
        if isinstance(settings, LatentSettings) and (settings.prompts or settings.echo) and not job.references:
            what = "edits by text" if settings.prompts else "the settings `echo`"
            raise ColorizeError(f"{what} need a reference to act on", "add --ref PICTURE", code=2)

    def inner_size(self, size: tuple[int, int], wanted: int) -> tuple[int, int]:
        """Return the (H, W) of a drawing's proportions with as much area as a square of `wanted` pixels."""
        return resize.area_size(size, wanted)

    def references(self, pictures: Sequence[Picture]) -> Tensor | None:
        """Return all references joined on channels, (1, 3 R, h, w), squashed to the shape of the first."""
        first, *others = [flat(one) for one in pictures]
        like = [F.interpolate(one, first.shape[-2:], mode="bicubic", antialias=True) for one in others]
        return torch.cat([first, *(one.clamp(-1, 1) for one in like)], dim=1)

    def extras(self, job: Job, line: Tensor) -> tuple[dict[str, Tensor], tuple[str, ...]]:
        """Return what masks and a background become, by hint, and notes.

        With any of them given the others are found, as well as can be without anything learned. Raises ColorizeError
        where neither background nor reference is there.
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
            return {**found, "background": flat(job.background.picture)}, tuple(notes)
        if not job.references:
            raise no_background()
        first, own = job.references[0], job.reference_mask
        mask = background.of_picture(first.picture) if own is None else background.read(own)
        if mask is None:
            notes.append(f"no figure was found in `{first.name}`, so all of it counts as figure")
            mask = torch.ones(1, 1, *first.picture.size)
        shape = flat(first.picture).shape[-2:]
        found["reference_mask"] = F.interpolate(mask, shape, mode="bilinear", antialias=True)
        return found, tuple(notes)

    def finish(self, color: Tensor, hints: Hints, settings: Settings | None) -> Tensor:
        """Whiten what surrounds the figure, if that is wanted and there is a mask."""
        mask = hints.get("mask")
        if not isinstance(settings, LatentSettings) or not settings.halves.clear or mask is None:
            return color
        figure = (F.interpolate(mask, color.shape[-2:], mode="bilinear") + 1) / 2
        return torch.where(figure > settings.halves.drawing, color, torch.ones_like(color))

    def region_map(self, colorizer: Colorizer, reference: Picture, settings: Settings) -> Picture:
        """Draw which places of a reference the edits by text move, see `token_edits.draw`."""
        assert isinstance(settings, LatentSettings)
        _, condition, _ = published.parts(colorizer)
        whole = flat(reference)
        with torch.inference_mode():
            tokens = condition.read(whole.to(colorizer.device), settings)
            shown = from_tensor(resize.widen(whole, settings.margin))
            return draw(shown, tokens, condition.edits(settings), settings.prompts)


def flat(picture: Picture, side: int = LARGEST) -> Tensor:
    """A picture on white in its own proportions, (1, 3, h, w), its longer side at most `side`."""
    full, longer = picture.on_white().tensor(), max(picture.size)
    if longer <= side:
        return full
    size = [max(1, round(one * side / longer)) for one in picture.size]
    return F.interpolate(full, size, mode="bilinear", antialias=True).clamp(-1, 1)
