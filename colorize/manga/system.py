"""The manga GANs as the core asks for them, and manga-colorization-v2 with its published files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from colorize.checkpoints import pickles, weights_io
from colorize.checkpoints.weights_io import AGAIN, prefix, refused, strip_prefix
from colorize.errors import ColorizeError, within
from colorize.hints import Hints
from colorize.manga.networks import FEATURES, FFDNet, GeneratorSpec, TaggerSpec
from colorize.manga.second import SIGNS, spec_of
from colorize.model import Colorizer
from colorize.networks.conditions import Drop, Strength, masked, shown
from colorize.networks.unet import Cond
from colorize.system import ConditionSpec, ModelFile, System

if TYPE_CHECKING:
    from colorize.recipes.recipe import Recipe

GENERATOR = ("down1.conv.weight", "down1.bn.running_mean", "up1.deconv.weight")  # of the manga GAN
TAGGER = "context."  # before the names of its tagger
DENOISER = "net_rgb.pth"  # FFDNet's file; where it lies beside the generator, it is used, too
SIGMA = 25.0  # of the noise it takes out, in levels of 255; the authors' default
WRAPPED = "module."  # before the names in its file


@dataclass(frozen=True)
class Page(ConditionSpec):
    """One plane of line art or gray; behind it, where a system takes them, color hints and their mask.

    hints: add four planes, the hints' RGB where there are any and 0 elsewhere, then a mask of 0 and 1. extractor: give
    the generator's depth the features of a frozen tagger. tagger: where a new model takes the tagger's weights from, a
    file or OWNER/NAME/FILE on the Hub; `random` for a tagger that knows nothing. body: the tagger's numbers. denoise:
    noise to take out of what the generator sees, in levels of 255, by a frozen network; 0 takes out none.
    """

    hints: bool = False
    extractor: bool = False
    tagger: str = ""
    body: TaggerSpec = TaggerSpec()
    denoise: float = 0.0

    def __post_init__(self) -> None:
        within("condition.denoise", self.denoise, 0, 75, "choose 0 to 75; 25 is usual for scans, 0 for clean pages")

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
        """Load a published file: of the manga GAN, whatever it is called, or of manga-colorization-v2.

        A file net_rgb.pth beside the latter takes noise out of pages first; one that cannot be read is a note. Raises
        ColorizeError for tensors that are missing, superfluous, misshapen or not finite.
        """
        path, denoiser = file.path, None
        notes: tuple[str, ...] = ()
        before = prefix(file.tensors, GENERATOR)
        what, describe = ("the manga GAN", generator) if before is not None else ("manga-colorization-v2", second)
        before = prefix(file.tensors, SIGNS) if before is None else before
        if before is None:
            return None
        found = strip_prefix(file.tensors, before)
        try:
            recipe = describe(found, variants)
            if describe is second:
                denoiser, notes = denoiser_beside(path)
            if denoiser is not None:
                recipe = replace(recipe, condition=Page(hints=True, denoise=SIGMA))
            with weights_io.meta_device():
                colorizer = recipe.build()
        except (ColorizeError, ValueError) as error:
            raise refused(path.name, f"is no whole file of {what}", AGAIN) from error
        condition, own = colorizer.condition, {name: name for name in found if not name.startswith(TAGGER)}
        assert isinstance(condition, PageEncoder)
        weights_io.fill(path.name, colorizer.network, weights_io.Renamed(found, own))
        if condition.tagger is not None:
            weights_io.fill(path.name, condition.tagger, strip_prefix(found, TAGGER))
        condition.denoiser, colorizer.notes = denoiser, notes
        return recipe, colorizer.eval(), {}


def generator(found: Mapping[str, Tensor], variants: Mapping[str, Recipe]) -> Recipe:
    """Return the recipe of the manga GAN whose generator has these tensors, those of its tagger among them."""
    widths = list[int]()
    while (name := f"down{len(widths) + 1}.conv.weight") in found:
        widths.append(len(found[name]))
    parts = (f"{TAGGER}body.{level}." for level in range(4, 8))  # of the tagger
    a, b, c, d = (len({name.split(".")[3] for name in found if name.startswith(part)}) for part in parts)
    kinds = {(False, False): "plain", (True, False): "attention", (False, True): "extractor", (True, True): "full"}
    recipe = variants[kinds["attn.gamma" in found, a > 0]]
    net, page = recipe.denoiser.net, recipe.condition
    assert isinstance(net, GeneratorSpec)
    assert isinstance(page, Page)
    body = replace(page.body, layers=(a, b, c, d)) if a else page.body
    denoiser = replace(recipe.denoiser, net=replace(net, widths=tuple(widths)))
    return replace(recipe, condition=replace(page, body=body), denoiser=denoiser)


def second(found: Mapping[str, Tensor], variants: Mapping[str, Recipe]) -> Recipe:
    """Return the recipe of manga-colorization-v2 with these tensors."""
    recipe = variants["v2"]
    return replace(recipe, denoiser=replace(recipe.denoiser, net=spec_of(found)))


def denoiser_beside(path: Path) -> tuple[FFDNet | None, tuple[str, ...]]:
    """Return the denoiser whose file lies beside another, None without one, and a note on one that cannot be read."""
    beside = path.with_name(DENOISER)
    if not beside.is_file():
        return None, ()
    try:
        with weights_io.meta_device():
            denoiser = FFDNet()
        names = {name.removeprefix(WRAPPED): value for name, value in pickles.read(beside).items()}
        weights_io.fill(beside.name, denoiser, names)
    except ColorizeError as error:
        return None, (f"pages are not denoised: {error.message}",)
    return denoiser, ()
