"""Between a latent system and the published layout of its file, under which it is saved, too. Knows no pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from colorize import recipes
from colorize.checkpoints import hub, weights_io
from colorize.checkpoints.weights_io import AGAIN, Renamed, refused, strip_prefix
from colorize.colorize_diffusion.controls import LatentDoors, SketchAndReference
from colorize.colorize_diffusion.latent_space import Latent, LatentSpace, SketchSpec
from colorize.colorize_diffusion.system import VERSIONS, System, SystemSpec, Version, buffers, probed
from colorize.colorize_diffusion.unet import LatentUNet, LatentUNetSpec
from colorize.diffusion.schedules import ScaledLinear
from colorize.errors import ColorizeError
from colorize.model import Colorizer
from colorize.recipes.recipe import Recipe

NAME = "colorize-diffusion"
UNET = "model.diffusion_model."  # which every published file has
OWN = "condition."  # before the names of CLIP's tensors where the file holds them, too
PROBE = 32  # cells a side of the noise that tells what a network predicts
LICENSE = "cc-by-nc-sa-4.0"  # of the authors' weights
PREDICTIONS = ("eps", "v")


@dataclass(frozen=True)
class Wants:
    """What a user says of a latent system's file.

    predicts: what its network does, if the file is not to be asked. encoder: where CLIP's weights are,
    instead of where the recipe says. words: load the tower of words, too, for edits by text. dtype: numbers
    that the U-Net is to compute in; None is float32.
    """

    predicts: Literal["", "eps", "v"] = ""
    encoder: str = ""
    words: bool = False
    dtype: torch.dtype | None = None

    def __post_init__(self) -> None:
        if self.predicts and self.predicts not in PREDICTIONS:
            raise ColorizeError(f"a latent network cannot predict `{self.predicts}`", "eps or v", code=2)


def is_published(names: Mapping[str, Tensor]) -> bool:
    """Tell whether a file has the layout of ColorizeDiffusion's, whole or not."""
    return any(name.startswith(UNET) for name in names)


def spec(recipe: Recipe) -> SystemSpec:
    """Return the numbers of a latent recipe's networks."""
    net, space, condition = recipe.denoiser.net, recipe.space, recipe.condition
    assert isinstance(net, LatentUNetSpec)
    assert isinstance(space, Latent)
    assert isinstance(condition, SketchAndReference)
    return SystemSpec(
        net,
        SketchSpec(net.widths),
        space.vae,
        condition.tokens,
        condition.threshold,
        condition.clusters,
        condition.sides,
    )


def state(colorizer: Colorizer, recipe: Recipe) -> dict[str, Tensor]:
    """Return the weights of a latent system under their published names; CLIP's only if they are its own."""
    system, (space, doors, net) = hollow(spec(recipe)), parts(colorizer)
    _share(system, space, doors, net)
    assert isinstance(recipe.condition, SketchAndReference)
    assert isinstance(recipe.schedule, ScaledLinear)
    found = {**system.state_dict(), **buffers(recipe.schedule)}
    if not recipe.condition.encoder:
        for name, value in doors.vision.state_dict().items():
            found[f"{OWN}vision.{name}"] = value
        if doors.words is not None:
            for name, value in doors.words.state_dict().items():
                found[f"{OWN}words.{name}"] = value
    return found


def parts(colorizer: Colorizer) -> tuple[LatentSpace, LatentDoors, LatentUNet]:
    """Return the three parts of a latent system."""
    space, doors, net = colorizer.space, colorizer.condition, colorizer.denoiser.net
    assert isinstance(space, LatentSpace)
    assert isinstance(doors, LatentDoors)
    assert isinstance(net, LatentUNet)
    return space, doors, net


def opened(
    path: Path, recipe: Recipe | None, found: Mapping[str, Tensor], wants: Wants, offline: bool
) -> tuple[Recipe, Colorizer]:
    """Build the system of a published file, in evaluation mode, and say of which recipe it is.

    recipe: what the file says of itself, None if nothing. Raises ColorizeError for tensors that are missing,
    superfluous or misshapen, and for CLIP's weights that cannot be had.
    """
    rest = Renamed(found, {name: name for name in found if not name.startswith(OWN)})
    specs = VERSIONS if recipe is None else dict.fromkeys(VERSIONS, spec(recipe))
    version, system = filled(path.name, rest, specs, wants.dtype)
    if recipe is None:
        recipe = recipes.find(NAME if version == "v1" else f"{NAME}:{version}")
        recipe = told(recipe, wants.predicts or _asked(system))
    elif wants.predicts:
        recipe = told(recipe, wants.predicts)
    with weights_io.meta_device():
        colorizer = recipe.build()
    space, doors, _ = parts(colorizer)
    colorizer.denoiser.net = system.net
    _take(system, space, doors)
    _see(doors, found, wants, offline)
    return recipe, colorizer.eval()


def told(recipe: Recipe, predicts: str) -> Recipe:
    """Return a recipe whose network predicts `eps` or `v`."""
    from dataclasses import replace

    denoiser = replace(recipe.denoiser, predicts=predicts)  # type: ignore[arg-type]
    return replace(recipe, denoiser=denoiser)


def _asked(system: System) -> str:
    """Ask a network what it predicts."""
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn(1, system.spec.vae.channels, PROBE, PROBE, generator=rng)
    return probed(system.net, noise, noise.new_zeros(1, 1, system.spec.tokens))


def _share(system: System, space: LatentSpace, doors: LatentDoors, net: LatentUNet) -> None:
    """Give a system the networks of a colorizer."""
    system.model.diffusion_model = net
    system.first_stage_model, system.control_encoder = space.vae, doors.sketch
    for theirs, ours in _sometimes():
        if hasattr(system, theirs):
            setattr(system, theirs, getattr(doors, ours))


def _take(system: System, space: LatentSpace, doors: LatentDoors) -> None:
    """Give a colorizer the networks of a system."""
    space.vae, doors.sketch = system.first_stage_model.requires_grad_(False), system.control_encoder
    for theirs, ours in _sometimes():
        if hasattr(system, theirs):
            setattr(doors, ours, getattr(system, theirs))


def _sometimes() -> tuple[tuple[str, str], ...]:
    """The networks that not all versions have: their name in the file, and here."""
    return (
        ("thresh_embedder", "threshold"),
        ("transformer", "clusters"),
        ("bg_encoder", "background"),
        ("style_encoder", "style"),
    )


def _see(doors: LatentDoors, own: Mapping[str, Tensor], wants: Wants, offline: bool) -> None:
    """Give the doors CLIP's weights: the tower of pictures, and that of words if it is wanted."""
    place = wants.encoder or doors.spec.encoder
    if place:
        path = _located(place, offline)
        file, theirs = path.name, weights_io.read(path)[1]
        pictures = strip_prefix(theirs, "visual.")
        names = {name: name for name in theirs if not name.startswith("visual.")}
        names.pop("attn_mask", None)  # a constant that older files hold
        texts: Mapping[str, Tensor] = Renamed(theirs, names)
    else:
        file = "this model"
        pictures, texts = strip_prefix(own, f"{OWN}vision."), strip_prefix(own, f"{OWN}words.")
    if place:
        _lend(file, doors, pictures)
    else:
        _fill(file, doors.vision, pictures)
    if not wants.words:
        return
    if not texts:
        raise refused(file, "has no tower of words", "leave edits by text out, or give --encoder")
    with weights_io.meta_device():
        doors.words = doors.spec.clip.texts()
    _fill(file, doors.words, texts)


def _lend(file: str, doors: LatentDoors, found: Mapping[str, Tensor]) -> None:
    """Let the tower of pictures use weights that stay in their file, and leave them there after use.

    Memory then holds them only while a reference is read, which is once for all drawings of a folder.
    """
    if not found:
        raise refused(file, "holds none of CLIP's weights", AGAIN)

    def let_go() -> None:
        if next(doors.vision.parameters()).device.type != "cpu":
            return  # they were copied there
        try:
            weights_io.fill(file, doors.vision, found, mapped=True, known=True)
        except (OSError, ColorizeError):  # the file is gone, or another; what was read of it stays
            doors.let_go = None

    weights_io.fill(file, doors.vision, found, mapped=True)
    doors.vision.requires_grad_(False).eval()
    doors.let_go = let_go


def _fill(file: str, tower: nn.Module, found: Mapping[str, Tensor]) -> None:
    """Give a frozen tower its weights, exactly these."""
    if not found:
        raise refused(file, "holds none of CLIP's weights", AGAIN)
    weights_io.fill(file, tower, found)
    tower.requires_grad_(False).eval()


def _located(place: str, offline: bool) -> Path:
    """The file of CLIP's weights: a path, or OWNER/NAME/FILE on the Hub."""
    path = Path(place)
    if path.is_file():
        return path
    owner, _, rest = place.partition("/")
    name, _, file = rest.partition("/")
    if not file or path.is_absolute():
        raise ColorizeError(
            f"there is no file `{place}` with the weights of CLIP",
            "check --encoder: a file, or OWNER/NAME/FILE.safetensors on the Hub",
        )
    return hub.fetch_file(f"{owner}/{name}", file, offline)


Kind = Literal["v1", "v1.5", "v2", "xl"]
Shapes = Mapping[str, tuple[int, ...]]
SIGNS: tuple[tuple[Kind, tuple[str, ...]], ...] = (  # the first that is found decides
    ("xl", ("model.diffusion_model.label_emb.", "proj.attn.")),
    ("v2", ("style_encoder.", "bg_encoder.", "model.diffusion_model.warp_modules.")),
    ("v1.5", ("thresh_embedder.", "transformer.embedding")),
    ("v1", ("control_encoder.",)),
)
SHOWN = 3  # names in a sentence


def recognize(names: Iterable[str], file: str = "this file") -> Kind:
    """Return which version has tensors of these names.

    file: what messages call it. Raises ColorizeError if none has.
    """
    known = list(names)
    if any(name.startswith("model.diffusion_model.") for name in known):
        for kind, signs in SIGNS:
            if any(name.startswith(signs) for name in known):
                return kind
    raise refused(
        file,
        "is no model of ColorizeDiffusion: it lacks its U-Net or its sketch encoder",
        "name one of its files, such as mult-eps-ft.safetensors",
    )


@lru_cache(maxsize=8)
def _layout(spec: SystemSpec) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in hollow(spec).state_dict().items()}


def layout(version: Version) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor in a file of a version, by name."""
    return dict(_layout(VERSIONS[version]))


def hollow(spec: SystemSpec) -> System:
    """Build the networks on the meta device: names and shapes, no memory."""
    with weights_io.meta_device():
        return spec.build()


def check(file: str, found: Shapes, specs: Mapping[Version, SystemSpec] = VERSIONS) -> Version:
    """Return the version of a file whose tensors have these names and shapes, exactly those of its version.

    specs: the numbers of every version. Raises ColorizeError for XL, for what is no such file, and for
    tensors that are missing, superfluous or of another shape, which it names.
    """
    kind = recognize(found, file)
    if kind == "xl":
        raise refused(
            file,
            "is a model of ColorizeDiffusion XL, which colorize cannot run",
            "name a file of version 1, 1.5 or 2, such as mult-eps-ft.safetensors",
        )
    wanted = _layout(specs[kind])
    missing = [name for name in wanted if name not in found]
    extra = [name for name in found if name not in wanted]
    bent = [
        f"`{name}` as {_told(found[name])} and not {_told(shape)}"
        for name, shape in wanted.items()
        if name in found and tuple(found[name]) != shape
    ]
    faults = []
    if missing:
        faults.append(f"lacks {_some([f'`{name}`' for name in missing])}")
    if extra:
        faults.append(f"has {_some([f'`{name}`' for name in extra])}, which does not belong there")
    if bent:
        faults.append(f"holds {_some(bent)}")
    if faults:
        why = f"is not a whole file of ColorizeDiffusion {kind}: it {'; it '.join(faults)}"
        raise refused(file, why, "fetch it again, or name another file")
    return kind


def load(
    path: Path, specs: Mapping[Version, SystemSpec] = VERSIONS, dtype: torch.dtype | None = None
) -> tuple[Version, System]:
    """Return the version of a file and its networks, in evaluation mode, float32, channels-last.

    dtype: numbers for the U-Net's ladder, see `LatentUNet.lighten`; bfloat16 halves its memory. The file is
    mapped and every tensor copied once. Raises ColorizeError like `check`, and if the file cannot be read,
    is a pickle, or holds weights that are not finite.
    """
    return filled(path.name, weights_io.read(path)[1], specs, dtype)


def filled(
    file: str,
    found: Mapping[str, Tensor],
    specs: Mapping[Version, SystemSpec] = VERSIONS,
    dtype: torch.dtype | None = None,
) -> tuple[Version, System]:
    """Do what `load` does for the tensors of an opened file."""
    version = check(file, {name: tuple(value.shape) for name, value in found.items()}, specs)
    system = hollow(specs[version])
    if dtype is not None:
        system.net.lighten(dtype)
    weights_io.fill(file, system, found)
    return version, system.eval()


def _some(names: list[str]) -> str:
    """List the first few names, and how many more there are."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _told(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a single number"
