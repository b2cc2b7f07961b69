"""What the core asks of a system: `System` answers for the core's own networks, and other systems override it."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor, nn

from colorize.checkpoints import weights_io
from colorize.diffusion.denoiser import Denoiser
from colorize.errors import ColorizeError
from colorize.hints import Hints
from colorize.model import Colorizer, Settings
from colorize.networks.spaces import Space

if TYPE_CHECKING:
    from colorize.coloring.options import Job, SampleOptions
    from colorize.images.image import Picture
    from colorize.recipes.recipe import Recipe

PREDICTIONS = ("eps", "v")
LATENT_ONLY = ("knob", "text", "edits", "visualize", "background", "mask", "ref_mask", "encoder", "predicts")
ONLY = "leave it out, or choose a model of `colorize-diffusion` with --model"
UPWARD = 128  # smaller drawings are enlarged, since no model was trained on less
PROBE = 512  # pixels a side of a picture that a space is asked for the size of its x
Fetch = Callable[[str, str], Path]  # OWNER/NAME and a file there -> its path on the disk


@dataclass(frozen=True)
class LoadOptions:
    """What a user says of a published file.

    predicts: `eps` or `v`, if the network is not to be asked. encoder: where the weights of a frozen encoder are,
    instead of where the recipe says. words: load what reads words, too. dtype: of the numbers that the network computes
    in; None is float32.
    """

    predicts: Literal["", "eps", "v"] = ""
    encoder: str = ""
    words: bool = False
    dtype: torch.dtype | None = None

    def __post_init__(self) -> None:
        if self.predicts and self.predicts not in PREDICTIONS:
            raise ColorizeError(f"unknown prediction `{self.predicts}`", "choose eps or v", code=2)


@dataclass(frozen=True)
class ModelFile:
    """A file to load. tensors: by name, empty unless it is a safetensors file. fetch: brings a further one."""

    path: Path
    tensors: Mapping[str, Tensor]
    options: LoadOptions
    fetch: Fetch


class SpaceSpec(ABC):
    """The numbers of a space; its dataclasses are found by name in `--set space=NAME`."""

    inked: bool

    @property
    @abstractmethod
    def channels(self) -> int:
        """The channels of x."""

    @abstractmethod
    def build(self) -> Space:
        """Make the space."""


class ConditionSpec(ABC):
    """The numbers of a condition; its dataclasses are found by name in `--set condition=NAME`."""

    @property
    @abstractmethod
    def stacked(self) -> int:
        """The channels that are joined to x."""

    @property
    @abstractmethod
    def tokens(self) -> int:
        """The width of the tokens, or 0."""

    @abstractmethod
    def build(self, widths: tuple[int, ...] = ()) -> nn.Module:
        """Make the module. widths: of the network's levels."""


class NetSpec(ABC):
    """The numbers of a network that belongs to a system; found by name in `--set denoiser.net=NAME`.

    home: `module:class` of the system, imported when it is asked for.
    """

    home: ClassVar[str]

    @property
    def system(self) -> System:
        """The system."""
        module, _, name = self.home.partition(":")
        found: type[System] = getattr(importlib.import_module(module), name)
        return found()

    @property
    @abstractmethod
    def widths(self) -> tuple[int, ...]:
        """Channels per level, finest first."""

    @property
    @abstractmethod
    def blocks(self) -> tuple[int, ...]:
        """Blocks per level."""

    @property
    def stride(self) -> int:
        """How many cells of x share one cell of the coarsest level: each level halves x, unless a network says else."""
        return int(2 ** (len(self.widths) - 1))

    @abstractmethod
    def build(self, inputs: int = 0, outputs: int = 0, tokens: int = 0) -> nn.Module:
        """Make the network. inputs, outputs: channels, those of x included; tokens: their width."""


class System:
    """How a kind of model is built, loaded, trained and used; see `NetSpec.system` and `Recipe.system`.

    once: one call of the network gives the picture (a GAN). chooses: regions choose among given colors, so that there
    is no noise, and nothing to exaggerate.
    """

    once = False
    chooses = False

    def build(self, recipe: Recipe) -> Colorizer:
        """Make a model with fresh weights."""
        channels, spec = recipe.space.channels, recipe.denoiser
        net = spec.net.build(channels + recipe.condition.stacked, channels, recipe.condition.tokens)
        denoiser = Denoiser(net, recipe.schedule, spec.predicts)
        return Colorizer(recipe.space.build(), recipe.condition.build(spec.net.widths), denoiser)

    # Files

    def tensors(self, colorizer: Colorizer, recipe: Recipe) -> Mapping[str, Tensor]:
        """Return the weights under the names of the model's file."""
        return colorizer.state_dict()

    def fill(self, file: ModelFile, recipe: Recipe, colorizer: Colorizer) -> Recipe:
        """Give a model on the meta device the tensors of a file that describes itself; return its recipe.

        Raises ColorizeError unless they are exactly its own, and finite.
        """
        weights_io.fill(file.path.name, colorizer, file.tensors)
        return recipe

    def adopt(self, file: ModelFile, variants: Mapping[str, Recipe]) -> tuple[Recipe, Colorizer, dict[str, str]] | None:
        """Load a published file that does not describe itself; None if it is none of this system's.

        variants: the recipes of the system, the plain one under "". Returns recipe, model and facts, such as the
        license. Raises ColorizeError for a damaged file.
        """
        return None

    # Training

    def begin(self, file: ModelFile, recipe: Recipe) -> Colorizer | None:
        """Return a model of a recipe to be trained, filled from a file of another kind of model; None if it cannot be.

        Raises ColorizeError for a damaged file.
        """
        return None

    def check_start(self, recipe: Recipe) -> None:
        """Refuse to train from fresh weights where some networks are never trained (ColorizeError, wrong usage)."""

    def multiple(self, recipe: Recipe) -> int:
        """Return what sides of pictures must be multiples of, so that no level of the network is padded."""
        line = torch.empty(1, 1, PROBE, PROBE, device="meta")
        patch = round(PROBE / recipe.space.build().shape(Hints(line=line))[-1])
        return patch * recipe.denoiser.net.stride

    # Coloring

    def check(self, name: str, options: SampleOptions) -> None:
        """Refuse settings that a model of this name does not have (ColorizeError, wrong usage)."""
        for option in LATENT_ONLY:
            if getattr(options, option):
                flag = option.replace("_", "-")
                raise ColorizeError(f"the model `{name}` does not support --{flag}", ONLY, code=2)
        if options.settings is not None:
            raise ColorizeError(f"the model `{name}` has no such settings", ONLY, code=2)

    def check_job(self, name: str, options: SampleOptions, job: Job) -> None:
        """Refuse extra inputs that a model of this name does not take (ColorizeError, wrong usage)."""
        extra = {"--mask": job.mask, "--ref-mask": job.reference_mask, "--background": job.background}
        for option, value in extra.items():
            if value is not None:
                raise ColorizeError(f"the model `{name}` does not support {option}", ONLY, code=2)

    def inner_size(self, size: tuple[int, int], wanted: int) -> tuple[int, int]:
        """Return the (H, W) at which a drawing is colored: the longer side is `wanted`, less for small drawings.

        Both are even, so that a color field of half their size covers exactly the original.
        """
        longer = max(size)
        scale = min(wanted, max(UPWARD, longer)) / longer
        height, width = (max(8, 2 * round(side * scale / 2)) for side in size)
        return height, width

    def references(self, pictures: Sequence[Picture]) -> Tensor | None:
        """Return references joined on channels, (1, 3 R, h, w); None for the core's way, on white squares."""
        return None

    def extras(self, job: Job, line: Tensor) -> tuple[dict[str, Tensor], tuple[str, ...]]:
        """Return what a job's extra inputs become, by hint, and notes. line: the drawing at its inner size."""
        return {}, ()

    def finish(self, color: Tensor, hints: Hints, settings: Settings | None) -> Tensor:
        """Change a result (1, 3, h, w) in [-1, 1] before it is laid on the original."""
        return color

    def region_map(self, colorizer: Colorizer, reference: Picture, settings: Settings) -> Picture:
        """Draw which places of a reference the settings move."""
        raise ColorizeError("this model does not edit references by text", "leave --visualize out", code=2)
