"""The published layout of ColorizeDiffusion's files, under which its models are saved, too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from colorize.checkpoints import weights_io
from colorize.checkpoints.weights_io import AGAIN, Renamed, refused, strip_prefix
from colorize.colorize_diffusion.clip import Words
from colorize.colorize_diffusion.condition import LatentCond
from colorize.colorize_diffusion.conditioner import Conditioner
from colorize.colorize_diffusion.encoders import SketchSpec
from colorize.colorize_diffusion.unet import LatentUNet
from colorize.colorize_diffusion.vae import LatentSpace
from colorize.diffusion.schedules import ScaledLinear
from colorize.errors import ColorizeError
from colorize.model import Colorizer
from colorize.system import Fetch, ModelFile

if TYPE_CHECKING:
    from colorize.recipes.recipe import Recipe

Version = Literal["v1", "v1.5", "v2"]
UNET = "model.diffusion_model."  # which every published file has
OWN = "condition."  # before the names of CLIP's tensors where the file holds them, too
BASE = (f"{UNET}input_blocks.0.0.weight", "first_stage_model.quant_conv.weight")  # which Stable Diffusion has, too
LICENSE = "cc-by-nc-sa-4.0"  # of the authors' weights
SIGNS: tuple[tuple[Literal["xl", "v2", "v1.5", "v1"], tuple[str, ...]], ...] = (  # the first that is found decides
    ("xl", ("model.diffusion_model.label_emb.", "proj.attn.")),
    ("v2", ("style_encoder.", "bg_encoder.", "model.diffusion_model.warp_modules.")),
    ("v1.5", ("thresh_embedder.", "transformer.embedding")),
    ("v1", ("control_encoder.",)),
)
OPTIONAL = {  # networks that not all versions have: their name in the file, and in the condition
    "thresh_embedder": "threshold",
    "transformer": "clusters",
    "bg_encoder": "background",
    "style_encoder": "style",
}
PROBE = 32  # cells a side of the noise that tells what a network predicts
SURE = 0.8  # correlation with the noise from which on a network must predict it


def parts(colorizer: Colorizer) -> tuple[LatentSpace, Conditioner, LatentUNet]:
    """Return space, condition and network of a model."""
    space, condition, net = colorizer.space, colorizer.condition, colorizer.denoiser.net
    assert isinstance(space, LatentSpace)
    assert isinstance(condition, Conditioner)
    assert isinstance(net, LatentUNet)
    return space, condition, net


def networks(colorizer: Colorizer) -> nn.Module:
    """Return a model's networks but CLIP, and its noise schedule, in a module whose tensors have published names."""
    space, condition, net = parts(colorizer)
    assert isinstance(colorizer.denoiser.schedule, ScaledLinear)
    found = nn.Module()
    for name, values in buffers(colorizer.denoiser.schedule).items():
        found.register_buffer(name, values)
    found.model = nn.Module()
    found.model.diffusion_model = net
    found.first_stage_model, found.control_encoder = space.vae, condition.sketch
    for theirs, ours in OPTIONAL.items():
        if hasattr(condition, ours):
            setattr(found, theirs, getattr(condition, ours))
    return found


def hollow(recipe: Recipe) -> Colorizer:
    """Build a model on the meta device: names and shapes, no memory."""
    with weights_io.meta_device():
        return recipe.build()


def layout(recipe: Recipe) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor in the file of a recipe, by its name; without CLIP."""
    return {name: tuple(value.shape) for name, value in networks(hollow(recipe)).state_dict().items()}


def tensors(colorizer: Colorizer) -> dict[str, Tensor]:
    """Return a model's weights under their published names; CLIP's only if they are its own."""
    _, condition, _ = parts(colorizer)
    found: dict[str, Tensor] = dict(networks(colorizer).state_dict())
    if not condition.spec.encoder:
        for name in ("vision", "words"):
            tower = getattr(condition, name)
            own = {} if tower is None else tower.state_dict()
            found |= {f"{OWN}{name}.{key}": value for key, value in own.items()}
    return found


def adopt(file: ModelFile, variants: Mapping[str, Recipe]) -> tuple[Recipe, Colorizer]:
    """Load a file of the authors', which does not describe itself, in evaluation mode.

    variants: the recipes of versions 1 (under ""), v1.5 and v2. Raises ColorizeError like `fill`.
    """
    version = recognize(file.tensors, file.path.name)
    recipe = variants["" if version == "v1" else version]
    colorizer = hollow(recipe)
    recipe = fill(file, recipe, colorizer)
    if not file.options.predicts:
        space, condition, net = parts(colorizer)
        noise = torch.randn(1, space.channels, PROBE, PROBE, generator=torch.Generator().manual_seed(0))
        found = probed(net.eval(), noise, noise.new_zeros(1, 1, condition.spec.tokens))
        recipe = _predicting(recipe, colorizer, found)
    return recipe, colorizer.eval()


def begin(file: ModelFile, recipe: Recipe) -> Colorizer | None:
    """Return a model to be trained whose U-Net and autoencoder are those of a Stable Diffusion 2 file; None for others.

    Its sketch encoder is fresh, and CLIP's tower of pictures takes the place of the text encoder. Raises ColorizeError
    for tensors that are missing or misshapen, and for recipes with further networks, which begin with version 1.
    """
    before = weights_io.prefix(file.tensors, BASE)
    if before is None or not _is_base(given := strip_prefix(file.tensors, before)):
        return None
    colorizer = hollow(recipe)
    condition, schedule = parts(colorizer)[1], colorizer.denoiser.schedule
    assert isinstance(schedule, ScaledLinear)
    module = networks(colorizer)
    wanted = module.state_dict()
    if any(name.startswith(tuple(OPTIONAL)) or ".lora_" in name for name in wanted):
        raise refused(file.path.name, "has no networks for masks", "train version 1: colorize-diffusion")
    found = {name: value for name, value in given.items() if name in wanted}
    for name, value in found.items():  # layers that were convolutions of one pixel, or are
        if value.numel() == wanted[name].numel() and {value.dim(), wanted[name].dim()} == {2, 4}:
            found[name] = value.reshape(wanted[name].shape)
    sketch = SketchSpec(recipe.denoiser.net.widths).build()
    found |= {f"control_encoder.{name}": value for name, value in sketch.state_dict().items()} | buffers(schedule)
    weights_io.fill(file.path.name, module, found)
    _fill_clip(condition, file)
    return colorizer


def _is_base(names: Iterable[str]) -> bool:
    """Whether tensors of these names are of a latent diffusion without a sketch."""
    known = [*names]
    return any(name.startswith(UNET) for name in known) and not any(
        name.startswith(sign) for name in known for _, signs in SIGNS for sign in signs
    )


def fill(file: ModelFile, recipe: Recipe, colorizer: Colorizer) -> Recipe:
    """Give a model on the meta device the tensors of a file, in float32 and channels-last; return its recipe.

    Raises ColorizeError for tensors that are missing, superfluous, misshapen or not finite, and for CLIP's weights that
    cannot be had.
    """
    recognize(file.tensors, file.path.name)
    fill_networks(file.path.name, colorizer, file.tensors, file.options.dtype)
    _fill_clip(parts(colorizer)[1], file)
    return _predicting(recipe, colorizer, file.options.predicts) if file.options.predicts else recipe


def fill_networks(
    file: str, colorizer: Colorizer, found: Mapping[str, Tensor], dtype: torch.dtype | None = None
) -> nn.Module:
    """Fill all networks but CLIP, and return them as `networks` does. dtype: see `LatentUNet.cast`."""
    if dtype is not None:
        parts(colorizer)[2].cast(dtype)
    module = networks(colorizer)
    weights_io.fill(file, module, Renamed(found, {name: name for name in found if not name.startswith(OWN)}))
    return module


def _predicting(recipe: Recipe, colorizer: Colorizer, predicts: Literal["eps", "v"]) -> Recipe:
    """Settle what a model's network predicts, and return its recipe."""
    colorizer.denoiser.predicts = predicts
    return replace(recipe, denoiser=replace(recipe.denoiser, predicts=predicts))


def probed(net: Callable[[Tensor, Tensor, LatentCond], Tensor], noise: Tensor, tokens: Tensor) -> Literal["eps", "v"]:
    """Return what a trained network predicts, by its answer to pure noise (B, C, H, W) at the last time.

    One that predicts noise returns its input, and one that predicts v the negated picture. tokens: (B, N, T), or zeros.
    """
    with torch.no_grad():
        answer = net(noise, torch.ones(len(noise), device=noise.device), LatentCond(tokens=tokens))
    both = torch.stack([answer.float().flatten(), noise.float().flatten()])
    return "eps" if torch.corrcoef(both)[0, 1] > SURE else "v"


def _fill_clip(condition: Conditioner, model: ModelFile) -> None:
    """Load CLIP's tower of pictures, and that of words if it is wanted, from the model's file or their own."""
    if place := model.options.encoder or condition.spec.encoder:
        path = _located(place, model.fetch)
        file, theirs = path.name, weights_io.read(path)[1]
        pictures = strip_prefix(theirs, "visual.")
        # `attn_mask` is a constant that older files hold
        names = [name for name in theirs if not name.startswith("visual.") and name != "attn_mask"]
        texts: Mapping[str, Tensor] = Renamed(theirs, {name: name for name in names})
    else:
        file, pictures = "this model", strip_prefix(model.tensors, f"{OWN}vision.")
        texts = strip_prefix(model.tensors, f"{OWN}words.")
    if not pictures:
        raise refused(file, "holds none of CLIP's weights", AGAIN)
    if place:
        _lend(file, condition, pictures)
    else:
        weights_io.fill(file, condition.vision, pictures)
    condition.vision.requires_grad_(False).eval()
    if not model.options.words:
        return
    if not texts:
        raise refused(file, "has no text encoder", "leave edits by text out, or give --encoder")
    with weights_io.meta_device():
        condition.words = Words(condition.spec.clip).requires_grad_(False).eval()
    weights_io.fill(file, condition.words, texts)


def _lend(file: str, condition: Conditioner, found: Mapping[str, Tensor]) -> None:
    """Let the tower of pictures use weights of a file, which memory holds only while a reference is read."""

    def release() -> None:
        if next(condition.vision.parameters()).device.type != "cpu":
            return  # they were copied there
        try:
            weights_io.fill(file, condition.vision, found, mapped=True, known=True)
        except (OSError, ColorizeError):  # the file is gone, or another; what was read of it stays
            condition.release = None

    weights_io.fill(file, condition.vision, found, mapped=True)
    condition.release = release


def _located(place: str, fetch: Fetch) -> Path:
    """The file of CLIP's weights: a path, or OWNER/NAME/FILE on the Hub."""
    path = Path(place)
    if path.is_file():
        return path
    owner, _, rest = place.partition("/")
    name, _, file = rest.partition("/")
    if not file or path.is_absolute():
        hint = "check --encoder: a file, or OWNER/NAME/FILE.safetensors on the Hub"
        raise ColorizeError(f"there is no file `{place}` with the weights of CLIP", hint)
    return fetch(f"{owner}/{name}", file)


def recognize(names: Iterable[str], file: str = "this file") -> Version:
    """Return which version has tensors of these names; file: what messages call it.

    Raises ColorizeError for those of version XL, which is not supported, and for those of none.
    """
    known = list(names)
    version = next((one for one, signs in SIGNS if any(name.startswith(signs) for name in known)), None)
    if version is None or not any(name.startswith(UNET) for name in known):
        why = "is not a model of ColorizeDiffusion: it lacks its U-Net or its sketch encoder"
        train = f"; or train one: `colorize train colorize-diffusion --from {file}`" if _is_base(known) else ""
        raise refused(file, why, f"name one of its files, such as mult-eps-ft.safetensors{train}")
    if version == "xl":
        why = "is a model of ColorizeDiffusion XL, which colorize cannot run"
        raise refused(file, why, "name a file of version 1, 1.5 or 2, such as mult-eps-ft.safetensors")
    return version


def buffers(schedule: ScaledLinear) -> dict[str, Tensor]:
    """Return what the files say of their schedule, (T,) float32 each (Ho et al. 2020, equations 4 and 7)."""
    abar = schedule.abar()
    before = torch.cat([torch.ones(1, dtype=torch.float64), abar[:-1]])
    beta = 1 - abar / before
    spread = beta * (1 - before) / (1 - abar)
    double = {
        "betas": beta,
        "alphas_cumprod": abar,
        "alphas_cumprod_prev": before,
        "sqrt_alphas_cumprod": abar.sqrt(),
        "sqrt_one_minus_alphas_cumprod": (1 - abar).sqrt(),
        "log_one_minus_alphas_cumprod": (1 - abar).log(),
        "sqrt_recip_alphas_cumprod": abar.rsqrt(),
        "sqrt_recipm1_alphas_cumprod": (1 / abar - 1).sqrt(),
        "posterior_variance": spread,
        "posterior_log_variance_clipped": spread.clamp(min=1e-20).log(),
        "posterior_mean_coef1": beta * before.sqrt() / (1 - abar),
        "posterior_mean_coef2": (1 - before) * (1 - beta).sqrt() / (1 - abar),
    }
    return {name: values.float() for name, values in double.items()}
