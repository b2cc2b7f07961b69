"""The file of an adapter, and what is refused. Bugs guarded: adapters on models they were not made for."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from saved import NET, TINY, changed, randomized
from torch import Generator, Tensor

from colorize.checkpoints import adapters, model_files
from colorize.checkpoints.model_files import Loaded
from colorize.errors import ColorizeError
from colorize.hints import Hints
from colorize.networks import lora
from colorize.networks.conditions import Drawing, HintMap, ReferenceTokens, Together
from colorize.recipes.recipe import DenoiserSpec, Recipe

LINE = Hints(line=torch.rand(1, 1, 16, 16, generator=Generator().manual_seed(1)))


def made(file: Path, path: Path, rank: int = 2, seed: int = 0) -> Path:
    """The file of an adapter for a model, of numbers as if it had been trained."""
    loaded = model_files.load(file)
    about = adapters.describe(loaded, rank)
    lora.begin(loaded.colorizer.denoiser.net, rank, Generator().manual_seed(seed))
    found = lora.tensors_of(loaded.colorizer.denoiser.net)
    rng = Generator().manual_seed(seed)
    found = {name: torch.randn(value.shape, generator=rng) for name, value in found.items()}
    adapters.save(replace(about, tensors=found), path)
    return path


@pytest.fixture
def adapter(file: Path, tmp_path: Path) -> Path:
    return made(file, tmp_path / "series.safetensors")


def answer(loaded: Loaded) -> Tensor:
    with torch.no_grad():
        return loaded.colorizer.sample(LINE, TINY.sampling, [0])


def refusal(file: Path, given: Path, weight: float = 1.0) -> ColorizeError:
    with pytest.raises(ColorizeError) as caught:
        model_files.load(file, lora=[(given, weight)])
    return caught.value


# What comes back


def test_an_adapter_comes_back_as_it_was_saved(file, adapter):
    back = adapters.load(adapter)
    assert (back.recipe, back.base, back.rank, back.alpha) == ("mini", str(file.name), 2, 2.0)
    assert back.facts == {"license": "CC0-1.0"}  # of the model
    again = adapter.with_name("again.safetensors")
    adapters.save(back, again)
    assert again.read_bytes() == adapter.read_bytes()


def test_a_folder_means_the_adapter_in_it(file, adapter, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(adapter, folder / "adapter.safetensors")
    loaded = model_files.load(file, lora=folder)
    assert [one.text for one in loaded.adapters] == ["run"]
    assert torch.equal(answer(loaded), answer(model_files.load(file, lora=str(adapter))))


def test_adapters_on_a_model_leave_its_own_weights_alone(file, adapter, tmp_path):
    other = made(file, tmp_path / "other.safetensors", rank=3, seed=1)
    plain = model_files.load(file)
    loaded = model_files.load(file, lora=[(adapter, 0.5), (str(other), 1)])
    own = lora.plain(loaded.colorizer.state_dict())
    assert all(torch.equal(own[n], value) for n, value in plain.colorizer.state_dict().items())
    assert not torch.allclose(answer(loaded), answer(plain), atol=1e-3)
    assert [(one.name, one.weight) for one in loaded.adapters] == [("series", 0.5), ("other", 1.0)]
    assert loaded.adapters[0].fingerprint != loaded.adapters[1].fingerprint


def test_the_file_of_a_merged_model_is_that_of_a_model(file, adapter, tmp_path):
    loaded = adapters.merge(model_files.load(file), adapter, 0.5)
    model_files.save(loaded.colorizer, loaded.recipe, tmp_path / "both.safetensors", loaded.facts)
    back = model_files.load(tmp_path / "both.safetensors")
    assert back.facts == {"license": "CC0-1.0", "merged": "series=0.5"}
    assert back.adapters == ()
    stacked = model_files.load(file, lora=[(adapter, 0.5)])
    torch.testing.assert_close(answer(back), answer(stacked), atol=1e-5, rtol=0)


def test_a_model_with_adapters_on_is_not_saved_as_one_without(file, adapter, tmp_path):
    loaded = model_files.load(file, lora=adapter)
    with pytest.raises(ColorizeError, match="cannot be saved"):
        model_files.save(loaded.colorizer, TINY, tmp_path / "both.safetensors")
    assert not (tmp_path / "both.safetensors").exists()


def test_an_adapter_of_numbers_that_are_none_is_not_written(file, adapter):
    back, before = adapters.load(adapter), adapter.read_bytes()
    name = next(iter(back.tensors))
    broken = {**back.tensors, name: back.tensors[name] * float("inf")}
    with pytest.raises(ColorizeError, match="not all of its weights"):
        adapters.save(replace(back, tensors=broken), adapter)
    assert adapter.read_bytes() == before


# What is refused


def other(recipe: Recipe, tmp_path: Path) -> Path:
    path = tmp_path / "another.safetensors"
    model_files.save(randomized(recipe), recipe, path)
    return path


def net(**values: object) -> Recipe:
    return replace(TINY, denoiser=DenoiserSpec(replace(NET, **values)))


TOKENS = Together((Drawing(2), HintMap(2), ReferenceTokens(width=24, size=16)))
OTHERS = {
    "that has no layer `encoder.2.transformer.cross_attention.key`": net(
        widths=(8, 16, 16), blocks=(1, 1, 1), attention=(2,)
    ),
    "cross_attention.key.up` would be 24 x 2, not 16 x 2": net(widths=(8, 24)),
    "cross_attention.key.down` would be 2 x 24, not 2 x 16": replace(TINY, condition=TOKENS),
    "layers that are not adapted differ": net(widths=(16, 16)),
    "it changes the recipe `mini`": replace(TINY, name="anime-diffusion"),
}


@pytest.mark.parametrize("why", OTHERS)
def test_an_adapter_for_another_model_is_refused_by_what_differs(why, adapter, tmp_path):
    file = other(OTHERS[why], tmp_path)
    error = refusal(file, adapter)
    assert error.message.startswith("`series.safetensors` is an adapter for another model than ")
    assert why in error.message
    assert error.hint == "use it with the model it was made for: model.safetensors"


def test_if_one_adapter_is_refused_none_is_put_on(file, adapter):
    loaded = model_files.load(file)
    with pytest.raises(ColorizeError, match="is a whole model"):
        adapters.apply(loaded, [(adapter, 1.0), (file, 1.0)])
    assert not any(".lora." in name for name in loaded.colorizer.state_dict())


@pytest.mark.parametrize("weight", [-0.1, 2.1, float("nan"), float("inf")])
def test_a_weight_out_of_range_is_refused(weight, file, adapter):
    error = refusal(file, adapter, weight)
    assert f"series.safetensors` is {weight:g}" in error.message
    assert (error.hint, error.code) == ("choose 0 to 2; 1 is usual", 2)


def test_a_model_given_as_adapter_is_told_apart(file):
    error = refusal(file, file)
    assert error.message == "`model.safetensors` is a whole model, not an adapter"
    assert error.hint == "give it with --model"


def test_an_adapter_given_as_model_is_told_apart(adapter, tmp_path):
    with pytest.raises(ColorizeError, match=r"is an adapter, not a whole model.*--lora.*model.safe"):
        model_files.load(adapter)
    adapter.rename(tmp_path / "adapter.safetensors")
    for left in tmp_path.glob("model*"):
        left.unlink()
    with pytest.raises(ColorizeError, match="it holds an adapter; give it with --lora"):
        model_files.load(tmp_path)


def test_what_is_not_there_is_refused(file, tmp_path):
    assert "there is no adapter" in refusal(file, tmp_path / "none").message
    (tmp_path / "empty").mkdir()
    assert "holds no adapter.safetensors" in refusal(file, tmp_path / "empty").message
    assert refusal(file, tmp_path).hint == "it holds a whole model; give it with --model"


def test_what_others_wrote_is_refused(file, tmp_path):
    path = tmp_path / "theirs.safetensors"
    save_file({"lora_unet_down.weight": torch.zeros(2, 2)}, path, {"format": "pt"})
    assert "is not an adapter that colorize wrote" in refusal(file, path).message
    save_file({"a": torch.zeros(1)}, path, {"kind": "colorize training state 1"})
    assert "is the state of a training run" in refusal(file, path).message
    path.write_bytes(b"PK\3\4" + bytes(60))
    assert "is a PyTorch file" in refusal(file, path).message


DAMAGE = [{"rank": word} for word in (None, "", "x", "2.5", "true", "[2]", "9" * 5000)]
DAMAGE += [{"alpha": word} for word in (None, "NaN", "-1", "1e999", '"2"x', "[]")]
DAMAGE += [{"layout": None}, {"base": None}, {"recipe": None}]


@pytest.mark.parametrize("header", DAMAGE, ids=str)
def test_a_damaged_description_is_refused(header, file, adapter):
    assert "has a damaged description" in refusal(file, changed(adapter, header)).message


@pytest.mark.parametrize("rank", ["0", "257"])
def test_a_rank_out_of_range_is_refused(rank, file, adapter):
    error = refusal(file, changed(adapter, {"rank": rank}))
    assert error.message == f"the rank of `series.safetensors` is {rank}"


def test_tensors_that_are_missing_or_broken_are_refused(file, adapter):
    with safe_open(adapter, "pt") as opened:
        name = next(key for key in sorted(opened.keys()) if key.endswith(".up"))
        value = opened.get_tensor(name)
    changed(adapter, tensors={name: value * float("nan")})
    assert "not all of its weights" in refusal(file, adapter).message
    changed(adapter, tensors={name: None})
    assert f"is damaged: it lacks `{name}`" in refusal(file, adapter).message
    changed(adapter, tensors={name: value[..., None]})
    assert "would be" in refusal(file, adapter).message
