"""Claims about training that begins with a Stable Diffusion: what is taken, what is fresh, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from latents import clip_file, latent_system, random, recipe
from safetensors.torch import save_file
from torch import Tensor

from colorize.checkpoints import foreign, model_files
from colorize.colorize_diffusion.published import UNET
from colorize.errors import ColorizeError
from colorize.recipes.recipe import Recipe
from colorize.training.options import TrainOptions
from colorize.training.run import Training

OWN = ("control_encoder.", "alphas", "betas", "log_", "posterior_", "sqrt_")


@pytest.fixture
def small(tmp_path: Path) -> Recipe:
    """The tiny recipe of version 1, CLIP in a file of its own."""
    return recipe("v1", str(clip_file(tmp_path / "clip.safetensors", recipe())))


def base(of: Recipe) -> dict[str, Tensor]:
    """What a Stable Diffusion 2 file of that size holds: linear projections, half precision, another text encoder."""
    found = {}
    for name, value in random(latent_system(of), 3).state_dict().items():
        if not name.startswith(OWN):
            linear = name.endswith(("proj_in.weight", "proj_out.weight")) and name.startswith(UNET)
            found[name] = (value[..., 0, 0] if linear else value).half().contiguous()
    return {**found, "cond_stage_model.model.ln_final.weight": torch.ones(4), "model_ema.decay": torch.ones(())}


def test_the_network_and_the_autoencoder_are_taken_and_the_sketch_encoder_is_fresh(
    tmp_path: Path, small: Recipe
) -> None:
    given = base(small)
    assert any(value.dim() == 2 and name.endswith("proj_in.weight") for name, value in given.items())
    save_file(given, tmp_path / "sd21.safetensors")
    model = foreign.begun(tmp_path / "sd21.safetensors", small)
    assert model is not None
    state = small.system.tensors(model, small)
    for name, value in given.items():
        if name in state:
            torch.testing.assert_close(state[name], value.float().reshape(state[name].shape))
    assert len(set(given) - set(state)) == 2
    ways_out = [value for name, value in state.items() if name.startswith("control_encoder.zero")]
    assert ways_out
    assert not any(value.any() for value in ways_out)  # at first it changes nothing
    assert float(state["control_encoder.model.0.weight"].std()) > 0.01


@pytest.mark.parametrize("name", ["sd21.safetensors", "sd21.ckpt"])
def test_training_begins_with_it_goes_on_and_leaves_a_model(
    tmp_path: Path, folder: Path, small: Recipe, name: str
) -> None:
    file, given = tmp_path / name, base(small)
    save_file(given, file) if file.suffix == ".safetensors" else torch.save({"state_dict": given}, file)
    options = TrainOptions(folder, start=str(file), out=tmp_path / "run", steps=2, device="cpu", sample_every=0)
    stage = replace(small.pretrain, steps=2, lr=1e-3, warmup=0)
    assert [one.step for one in Training(replace(small, pretrain=stage), options).steps()] == [1, 2]
    loaded = model_files.load(tmp_path / "run")
    state = loaded.recipe.system.tensors(loaded.colorizer, loaded.recipe)
    moved = [
        name
        for name in given
        if name in state and not torch.equal(state[name].flatten(), given[name].float().flatten())
    ]
    assert any(name.startswith(UNET) for name in moved)
    assert not any(name.startswith("first_stage_model.") for name in moved)
    assert any(value.any() for name, value in state.items() if name.startswith("control_encoder.zero"))


def test_no_drawing_is_colored_with_it(tmp_path: Path, small: Recipe) -> None:
    save_file(base(small), tmp_path / "sd21.safetensors")
    with pytest.raises(ColorizeError, match="lacks its U-Net or its sketch encoder") as told:
        model_files.load(tmp_path / "sd21.safetensors")
    assert "`colorize train colorize-diffusion --from sd21.safetensors`" in told.value.hint


def test_a_base_of_another_size_is_refused_by_its_shape(tmp_path: Path, small: Recipe) -> None:
    given = base(small)
    name = next(name for name in given if name.endswith("attn2.to_k.weight"))
    save_file({**given, name: given[name][:, :8].contiguous()}, tmp_path / "sd15.safetensors")
    with pytest.raises(ColorizeError, match=r"attn2.to_k.weight` as .* x 8; the recipe needs .* x 24"):
        foreign.begun(tmp_path / "sd15.safetensors", small)


@pytest.mark.parametrize("version", ["v1.5", "v2"])
def test_later_versions_do_not_begin_with_it(tmp_path: Path, version: str) -> None:
    save_file(base(recipe()), tmp_path / "sd21.safetensors")
    with pytest.raises(ColorizeError, match="has no networks for masks"):
        foreign.begun(tmp_path / "sd21.safetensors", recipe(version))
