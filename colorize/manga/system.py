"""The manga GANs as the core asks for them: pages and color hints in, and the published files of their generators."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from colorize.checkpoints import pickles, weights_io
from colorize.checkpoints.weights_io import AGAIN, refused
from colorize.errors import ColorizeError, within
from colorize.hints import Hints
from colorize.manga.colorization_v2 import FFDNet, SecondSpec
from colorize.manga.networks import FEATURES, TaggerSpec
from colorize.model import Colorizer
from colorize.networks.conditions import Drop, Strength, masked, shown
from colorize.networks.unet import Cond
from colorize.system import ConditionSpec, ModelFile, System

if TYPE_CHECKING:
    from colorize.recipes.recipe import Recipe

SIGNS = ("encoder.conv1.weight", "tunnel4.0.weight", "exit.2.weight")  # which other files lack
LARGEST = 2**28  # bytes; the published file has 129 million
SUFFIX = ".zip"  # of the published file
DENOISER = "net_rgb.pth"  # FFDNet's file; where it lies beside the generator, it is used, too
SIGMA = 25.0  # of the noise it takes out, in levels of 255; the authors' default
WRAPPED = "module."  # before the names in its file


@dataclass(frozen=True)
class Page(ConditionSpec):
    """One plane of line art or gray; behind it, where a system takes them, color hints and their mask.

    hints: add four planes, the hints' RGB where there are any and 0 elsewhere, then a mask of 0 and 1.
    extractor: give the generator's depth the features of a frozen tagger. tagger: where a new model takes the
    tagger's weights from, a file or OWNER/NAME/FILE on the Hub; `random` for a tagger that knows nothing. body:
    the tagger's numbers. denoise: noise to take out of what the generator sees, in levels of 255, by a frozen
    network; 0 takes out none.
    """

    hints: bool = False
    extractor: bool = False
    tagger: str = ""
    body: TaggerSpec = TaggerSpec()
    denoise: float = 0.0

    def __post_init__(self) -> None:
        within("condition.denoise", self.denoise, 0, 75, "25 is usual for scans, 0 for clean pages")

    @property
    def stacked(self) -> int:
        """How many channels are joined to x."""
        return 5 if self.hints else 1

    @property
    def tokens(self) -> int:
        """The width of the tagger's features, or 0."""
        return FEATURES if self.extractor else 0

    def build(self, widths: tuple[int, ...] = ()) -> nn.Module:
        """Make the module."""
        return PageEncoder(self)


class PageEncoder(nn.Module):
    """Stack of the page and its hints, and the tagger's features as one token."""

    def __init__(self, spec: Page) -> None:
        super().__init__()
        self.spec = spec
        self.tagger = spec.body.build() if spec.extractor else None
        self.denoiser = FFDNet() if spec.denoise else None

    def forward(self, hints: Hints, drop: Drop | None = None, strength: Strength | None = None) -> Cond:
        """Encode the page; dropped or missing hints look like an empty map."""
        page, tokens = shown(hints, drop or {}), None
        with torch.no_grad():
            if self.denoiser is not None:
                page = self.denoiser(page, self.spec.denoise)
            if self.tagger is not None:
                tokens = self.tagger(page)[:, None]  # (B, 512) -> (B, 1, 512)
        stack = page
        if self.spec.hints:
            marks = masked(hints, drop or {}, (strength or {}).get("hints", 1.0))
            stack = torch.cat([page, marks], dim=1)
        return Cond(stack=stack, tokens=tokens)


class MangaSystem(System):
    """Generators that color in one call."""

    once = True

    def adopt(self, file: ModelFile, variants: Mapping[str, Recipe]) -> tuple[Recipe, Colorizer, dict[str, str]] | None:
        """Load the published file of manga-colorization-v2, of which no code is run.

        A file net_rgb.pth beside it takes noise out of pages first. Raises ColorizeError for tensors that are
        missing, superfluous, misshapen or not finite, and for a damaged file that is called .zip.
        """
        found = None if file.tensors else published(file.path)
        if found is None:
            return None
        try:
            net = spec_of(found)
        except (ColorizeError, ValueError) as error:
            raise refused(file.path.name, "is no whole file of manga-colorization-v2", AGAIN) from error
        recipe = variants["v2"]
        recipe = replace(recipe, denoiser=replace(recipe.denoiser, net=net))
        beside = file.path.with_name(DENOISER)
        if beside.is_file():
            recipe = replace(recipe, condition=Page(hints=True, denoise=SIGMA))
        with weights_io.meta_device():
            colorizer = recipe.build()
        weights_io.fill(file.path.name, colorizer.network, found)
        if beside.is_file():
            names = {name.removeprefix(WRAPPED): value for name, value in pickles.read(beside).items()}
            assert isinstance(colorizer.condition, PageEncoder)
            assert colorizer.condition.denoiser is not None
            weights_io.fill(beside.name, colorizer.condition.denoiser, names)
        return recipe, colorizer.eval(), {}


def published(path: Path) -> dict[str, Tensor] | None:
    """Return the tensors of a file that PyTorch wrote if they are those of manga-colorization-v2, else None."""
    try:
        if weights_io.sniff(path) != "zip" or path.stat().st_size > LARGEST:
            return None
        found = pickles.read(path)
    except OSError:
        return None  # the next reader says why
    except ColorizeError:
        if path.suffix.lower() == SUFFIX:
            raise
        return None
    return found if all(sign in found for sign in SIGNS) else None


def spec_of(found: Mapping[str, Tensor]) -> SecondSpec:
    """Return the numbers of the network that has these tensors."""

    def blocks(pattern: str) -> int:
        return len({match.group(1) for name in found if (match := re.match(pattern, name))})

    first, second, third = (blocks(rf"encoder\.layer{n}\.(\d+)\.") for n in (1, 2, 3))
    a, b, c, d = (blocks(rf"tunnel{n}\.2\.(\d+)\.") for n in (4, 3, 2, 1))
    return SecondSpec(len(found[SIGNS[0]]), (first, second, third), (a, b, c, d))
