"""Claims about files of latent systems: the published layout in and out, CLIP beside it, what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from latents import clip_file, latent_system, published_folder, random, recipe
from safetensors.torch import load_file, save_file

from colorize import recipes
from colorize.checkpoints import weights_io
from colorize.checkpoints.model_files import load, save
from colorize.errors import ColorizeError
from colorize.hints import Hints
from colorize.system import LoadOptions

VERSIONS = ("v1", "v1.5", "v2")


def given() -> Hints:
    rng = torch.Generator().manual_seed(5)
    return Hints(
        line=torch.rand(1, 1, 32, 48, generator=rng) * 2 - 1, reference=torch.rand(1, 3, 40, 24, generator=rng) * 2 - 1
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_a_published_file_loads_strictly_and_colors(version: str, tmp_path: Path) -> None:
    loaded = load(published_folder(tmp_path, version))
    assert loaded.recipe.denoiser.predicts == ("v" if version == "v2" else "eps")
    net = load_file(tmp_path / "model.safetensors")["model.diffusion_model.out.2.weight"]
    assert torch.equal(loaded.colorizer.denoiser.net.out[2].weight, net)
    with torch.inference_mode():
        color = loaded.colorizer.sample(given(), loaded.recipe.sampling, [0])
    assert color.shape == (1, 3, 32, 48)
    assert color.isfinite().all()


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_saved_has_the_published_names_and_loads_again(version: str, tmp_path: Path) -> None:
    first = load(published_folder(tmp_path / "a", version))
    path = tmp_path / "b" / "model.safetensors"
    path.parent.mkdir()
    save(first.colorizer, first.recipe, path, {"license": "CC0-1.0"})
    before, after = load_file(tmp_path / "a" / "model.safetensors"), load_file(path)
    assert {n: v.shape for n, v in before.items()} == {n: v.shape for n, v in after.items()}
    again = load(path)
    assert again.recipe == first.recipe
    assert again.facts["license"] == "CC0-1.0"
    for name, value in first.colorizer.state_dict().items():
        assert torch.equal(value, again.colorizer.state_dict()[name]), name


def test_without_an_encoder_of_its_own_place_clip_is_in_the_file(tmp_path: Path) -> None:
    own = recipe()
    model = random(own.build())
    save(model, own, tmp_path / "model.safetensors")  # type: ignore[arg-type]
    loaded = load(tmp_path / "model.safetensors")
    assert torch.equal(loaded.colorizer.condition.vision.proj, model.condition.vision.proj)


def test_frozen_parts_stay_frozen_after_loading(tmp_path: Path) -> None:
    model = load(published_folder(tmp_path)).colorizer
    frozen = {name for name, value in model.named_parameters() if not value.requires_grad}
    assert {name.split(".")[1] for name in frozen} == {"vae", "vision"}
    assert all(not value.is_meta for value in model.state_dict().values())


def test_the_words_are_loaded_only_when_they_are_wanted(tmp_path: Path) -> None:
    folder = published_folder(tmp_path)
    assert load(folder).colorizer.condition.words is None
    words = load(folder, options=LoadOptions(words=True)).colorizer.condition.words
    text = load_file(folder / "clip.safetensors")["text_projection"]
    assert torch.equal(words.text_projection, text)


def test_clip_stays_in_its_file_and_reads_a_reference_once_for_all_drawings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = published_folder(tmp_path)
    loaded, calls = load(folder), []
    conditioner = loaded.colorizer.condition
    conditioner.vision.register_forward_hook(lambda *_: calls.append(1))
    lent = {value.data_ptr() for value in conditioner.vision.parameters()}
    monkeypatch.setattr(weights_io, "WINDOW", 0)  # each tensor from a mapping of its own
    guidance = {"reference": 2.0, "line": 1.5}
    with torch.inference_mode():
        first = loaded.colorizer.sample(given(), loaded.recipe.sampling, [0], guidance)
        assert len(calls) == 1
        assert len(lent & {value.data_ptr() for value in conditioner.vision.parameters()}) < len(lent) / 2
        (folder / "clip.safetensors").unlink()
        again = loaded.colorizer.sample(given(), loaded.recipe.sampling, [0], guidance)
        assert torch.equal(first, again)
        assert len(calls) == 1
        turned = Hints(line=given()["line"], reference=given()["reference"].flip(1))
        other = loaded.colorizer.sample(turned, loaded.recipe.sampling, [0], guidance)
    assert len(calls) == 2
    assert not torch.equal(first, other)
    assert conditioner.release is None  # there is no file any more to leave the weights in


def test_tokens_are_not_kept_where_gradients_are(tmp_path: Path) -> None:
    conditioner = load(published_folder(tmp_path)).colorizer.condition
    with torch.inference_mode():
        conditioner(given())
    kept = len(conditioner.cache)
    conditioner(given())
    assert len(conditioner.cache) == kept == 1


def test_a_clip_with_weights_that_are_no_numbers_is_refused(tmp_path: Path) -> None:
    folder = published_folder(tmp_path)
    weights = load_file(folder / "clip.safetensors")
    weights["visual.proj"][0, 0] = float("nan")
    save_file(weights, folder / "clip.safetensors")
    with pytest.raises(ColorizeError, match="proj"):
        load(folder)


def test_another_encoder_may_be_named(tmp_path: Path) -> None:
    folder = published_folder(tmp_path / "a")
    other = clip_file(tmp_path / "other.safetensors", recipe())
    (folder / "clip.safetensors").unlink()
    load(folder, options=LoadOptions(encoder=str(other)))
    with pytest.raises(ColorizeError, match="weights of CLIP"):
        load(folder)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("cast", [False, True])
def test_a_lighter_ladder_colors_nearly_alike_under_autocast_or_not(version: str, cast: bool, tmp_path: Path) -> None:
    folder, results = published_folder(tmp_path, version), []
    for dtype in (None, torch.bfloat16):
        loaded = load(folder, options=LoadOptions(dtype=dtype))
        on = cast and dtype is not None
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=on):
            results.append(loaded.colorizer.sample(given(), loaded.recipe.sampling, [0]))
    whole, light = results
    assert 0 < float((whole - light).abs().mean()) < 0.05 * float(whole.std())


@pytest.mark.parametrize("predicts", ["eps", "v"])
def test_a_user_may_say_what_a_file_predicts(predicts: str, tmp_path: Path) -> None:
    options = LoadOptions(predicts=predicts)  # type: ignore[arg-type]
    assert load(published_folder(tmp_path), options=options).recipe.denoiser.predicts == predicts


def test_nothing_else_can_be_predicted() -> None:
    with pytest.raises(ColorizeError, match="unknown prediction `x0`"):
        LoadOptions(predicts="x0")  # type: ignore[arg-type]


def test_a_file_that_says_nothing_is_asked_what_it_predicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = published_folder(tmp_path, told=False)
    small = recipe("v1", str(folder / "clip.safetensors"))
    monkeypatch.setattr(recipes, "every", lambda: (small,))
    assert load(folder).recipe.denoiser.predicts == "v"  # random weights do not return their input


def spoiled(folder: Path, **changes: torch.Tensor | None) -> Path:
    """Change tensors of a folder's file by the end of their name; None removes."""
    path = folder / "model.safetensors"
    state = load_file(path)
    for end, value in changes.items():
        (name,) = [one for one in state if one.endswith(end.replace("__", "."))] or [end]
        state.pop(name, None)
        if value is not None:
            state[name] = value
    save_file(state, path)
    return folder


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"zero_layer__0__bias": None}, r"lacks the tensor `control_encoder\.zero_layer\.0\.bias`"),
        ({"stranger": torch.zeros(1)}, "holds `stranger`, which the recipe does not have"),
        ({"zero_layer__0__bias": torch.zeros(3)}, r"zero_layer\.0\.bias` as 3; the recipe needs 32"),
        ({"zero_layer__0__bias": torch.full((32,), torch.nan)}, "finite"),
    ],
)
def test_a_spoiled_file_is_refused_by_name(changes: dict[str, torch.Tensor | None], words: str, tmp_path: Path) -> None:
    with pytest.raises(ColorizeError, match=words):
        load(spoiled(published_folder(tmp_path), **changes))


def test_a_clip_of_another_size_is_refused(tmp_path: Path) -> None:
    folder = published_folder(tmp_path)
    other = recipe()
    clip = replace(other.condition.clip, embed=16)  # type: ignore[union-attr]
    save_file(random(clip.build()).state_dict(), folder / "clip.safetensors")
    with pytest.raises(ColorizeError, match=r"`clip\.safetensors` holds `.*`"):
        load(folder)


def test_a_description_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    folder = published_folder(tmp_path)
    (folder / "config.json").write_text('{"model_type": "something"}', "utf-8")
    with pytest.raises(ColorizeError, match="the recipe needs"):  # the published sizes count
        load(folder)


def test_random_weights_have_a_value_everywhere() -> None:
    system = random(latent_system(recipe()))
    assert all(float(value.detach().abs().sum()) > 0 for value in system.parameters())
