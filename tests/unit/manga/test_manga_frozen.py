"""Claims about frozen helpers: whose weights come from files, are never trained, and are there after a pause."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import tiny
from safetensors.torch import load_file, save_file
from torch import Generator

from colorize.errors import ColorizeError
from colorize.hints import Hints
from colorize.manga.networks import VGG, TaggerSpec
from colorize.recipes.overrides import override
from colorize.training import objectives, run
from colorize.training.options import TrainOptions

RECIPE = tiny("manga-gan")
TOLD = override(RECIPE, "condition.extractor=true", "condition.body.layers=[1,1,1,1]", "condition.body.size=32")


def training(data: Path, out: Path, recipe=RECIPE, **changes) -> run.Training:
    options = TrainOptions(data, out=out, device="cpu", precision="fp32", sample_every=0)
    return run.Training(recipe, replace(options, **changes))


def vgg_file(path: Path) -> Path:
    """Random weights of VGG16's first layers, and one of a deeper one."""
    torch.manual_seed(1)
    save_file({**VGG().state_dict(), "features.28.weight": torch.zeros(1)}, path)
    return path


def tagger_file(path: Path) -> Path:
    """Random weights of a small tagger under the names of RF5/danbooru-pretrained, as PyTorch wrote them before 1.6."""
    torch.manual_seed(2)
    own = TaggerSpec((1, 1, 1, 1)).build().state_dict()
    names = {name.replace("body.", "0.").replace("head.", "1."): name for name in own}
    found = {new: own[old] for new, old in names.items()} | {"1.8.bias": torch.zeros(6000)}
    torch.save(found, path, _use_new_zipfile_serialization=False)
    return path


def test_vgg_is_read_from_a_file(tmp_path):
    path = vgg_file(tmp_path / "vgg16.safetensors")
    objective = override(RECIPE, f"pretrain.objective.vgg={path}").pretrain.objective
    eyes = objectives.perceptual(objective)
    assert torch.equal(eyes.vgg.features[14].weight, load_file(path)["features.14.weight"])
    assert not any(value.requires_grad for value in eyes.parameters())


def test_vgg_is_read_from_an_old_file_of_torchvision(tmp_path):
    found = load_file(vgg_file(tmp_path / "vgg16.safetensors"))
    path = tmp_path / "vgg16-397923af.pth"
    torch.save(found, path, _use_new_zipfile_serialization=False)
    eyes = objectives.perceptual(replace(RECIPE.pretrain.objective, vgg=str(path)))
    assert torch.equal(eyes.vgg.features[14].weight, found["features.14.weight"])


def test_a_file_of_something_else_is_refused_by_what_it_lacks(tmp_path):
    save_file({"a": torch.ones(1)}, tmp_path / "a.safetensors")
    objective = replace(RECIPE.pretrain.objective, vgg=str(tmp_path / "a.safetensors"))
    with pytest.raises(ColorizeError, match=r"does not hold VGG16: it lacks `features\.0\.weight`"):
        objectives.perceptual(objective)


def test_a_helper_that_is_not_there_is_refused():
    with pytest.raises(ColorizeError, match=r"there is no file `vgg\.pth`"):
        objectives.located("vgg.pth")


def test_an_extractor_without_weights_is_refused_with_the_way_out(tmp_path, folder):
    with pytest.raises(ColorizeError) as caught:
        training(folder, tmp_path / "run", TOLD)
    assert "which has no weights yet" in caught.value.message
    assert "--set condition.tagger=" in caught.value.hint
    assert not (tmp_path / "run").exists()


def test_an_extractor_keeps_the_weights_of_its_file_while_others_learn(tmp_path, folder):
    path = tagger_file(tmp_path / "resnet50.pth")
    recipe = override(TOLD, f"condition.tagger={path}")
    list(training(folder, tmp_path / "run", recipe).steps())
    found = load_file(tmp_path / "run/model.safetensors")
    theirs = objectives.read(path)
    assert torch.equal(found["condition.tagger.body.0.weight"], theirs["0.0.weight"])
    assert torch.equal(found["condition.tagger.head.4.bias"], theirs["1.4.bias"])
    assert torch.equal(found["condition.tagger.head.2.running_mean"], theirs["1.2.running_mean"])


def test_an_extractor_that_knows_nothing_is_had_by_asking(tmp_path, folder):
    recipe = override(TOLD, "condition.tagger=random")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for progress in training(folder, whole, recipe, save_every=0).steps():
        if progress.step == 2:
            shutil.copytree(whole, cut)
    list(training(folder, cut, recipe).steps())
    ends = [load_file(path / "model.safetensors") for path in (whole, cut)]
    for name, value in ends[0].items():
        torch.testing.assert_close(value, ends[1][name], atol=1e-6, rtol=0)


def test_a_new_model_has_no_denoiser(tmp_path, folder):
    recipe = override(RECIPE, "condition.denoise=25")
    with pytest.raises(ColorizeError, match="with a network that has no weights yet"):
        training(folder, tmp_path / "run", recipe)


def test_what_a_tagger_says_changes_the_result():
    torch.manual_seed(0)
    model = TOLD.build().eval()
    torch.nn.init.normal_(model.denoiser.net.up5.weight)  # which begins with nothing to say
    hints = Hints(gray=torch.rand(2, 1, 32, 32, generator=Generator().manual_seed(0)))
    with torch.inference_mode():
        told = model.sample(hints, TOLD.sampling, [0, 0])
        model.condition.tagger.head[4].bias += 1
        assert not torch.allclose(model.sample(hints, TOLD.sampling, [0, 0]), told)
