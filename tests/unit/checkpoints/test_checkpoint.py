"""Claims about the one file a system is: what comes back, and how it is written."""

from __future__ import annotations

import copy
import math
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from saved import CONV, NET, TINY, randomized

from colorize.checkpoints.model_files import build_on_meta, load, save
from colorize.diffusion.schedules import Cosine
from colorize.diffusion.schedules import _angles as schedule_cache
from colorize.errors import ColorizeError
from colorize.hints import Hints
from colorize.networks.conditions import ReferenceTokens
from colorize.recipes.recipe import DenoiserSpec

# What comes back


def test_weights_come_back_exactly(system, file):
    back = load(file).colorizer.state_dict()
    assert all(torch.equal(back[name], value) for name, value in system.state_dict().items())


def test_a_loaded_system_draws_the_same_picture(system, file):
    rng = torch.Generator().manual_seed(1)
    hints = Hints(line=torch.rand(1, 1, 16, 16, generator=rng), reference=torch.rand(1, 3, 16, 16, generator=rng))
    with torch.no_grad():
        want = system.eval().sample(hints, TINY.sampling, [0])
        got = load(file).colorizer.sample(hints, TINY.sampling, [0])
    assert torch.allclose(got, want, atol=1e-5)  # channels-last sums in another order


def test_values_of_the_recipe_come_back(tmp_path, system):
    other = replace(TINY, size=320, sampling=replace(TINY.sampling, steps=7, threshold=None))
    save(system, other, tmp_path / "a.safetensors")
    assert load(tmp_path / "a.safetensors").recipe == other


def test_facts_come_back_and_nothing_else(file):
    assert load(file).facts == {"license": "CC0-1.0"}


def test_facts_cannot_replace_the_header_s_own_words(system, tmp_path):
    with pytest.raises(AssertionError, match="config"):
        save(system, TINY, tmp_path / "a.safetensors", {"config": "{}"})


def test_half_precision_takes_half_the_room(system, file, tmp_path):
    save(system, TINY, tmp_path / "half.safetensors", half=True)
    weights = sum(2 * value.numel() for value in system.state_dict().values())
    saved = file.stat().st_size - (tmp_path / "half.safetensors").stat().st_size
    assert saved == pytest.approx(weights, rel=0.01)  # the headers differ a little


def test_half_precision_is_read_as_float32(system, tmp_path):
    save(system, TINY, tmp_path / "half.safetensors", half=True)
    assert load(tmp_path / "half.safetensors").colorizer.state_dict()[CONV].dtype == torch.float32


def test_a_loaded_system_is_in_evaluation_mode(file):
    assert not load(file).colorizer.training


def test_a_loaded_system_can_be_trained_on(file):
    assert all(value.requires_grad for value in load(file).colorizer.parameters())


def test_convolutions_are_channels_last(file):
    weight = load(file).colorizer.state_dict()[CONV]
    assert weight.is_contiguous(memory_format=torch.channels_last)


def test_weights_do_not_follow_the_file(system, file):
    # Guards against tensors in mapped memory: training writes to the file that it was started from.
    loaded = load(file)
    with file.open("rb+") as stream:
        stream.write(bytes(file.stat().st_size))
    back = loaded.colorizer.state_dict()
    assert all(torch.equal(back[name], value) for name, value in system.state_dict().items())


def test_loading_leaves_schedules_alone(tmp_path):
    # Guards against a table computed while new weights are left unfilled; tables are cached.
    schedule = Cosine(offset=0.0125)  # in no other test, so in no cache
    recipe = replace(TINY, schedule=schedule, denoiser=DenoiserSpec(net=NET, predicts="eps"))
    path = tmp_path / "a.safetensors"
    save(randomized(recipe), recipe, path)
    schedule_cache.cache_clear()
    alpha, _ = load(path).colorizer.denoiser.schedule(torch.tensor(0.5))
    angles = [(t + 0.0125) / 1.0125 * math.pi / 2 for t in (0, 0.5)]
    assert alpha.item() == pytest.approx(math.cos(angles[1]) / math.cos(angles[0]), rel=1e-5)


@pytest.fixture(scope="module")
def imported(system, tmp_path_factory):
    path = tmp_path_factory.mktemp("imports") / "model.safetensors"
    save(system, TINY, path)
    code = "import sys; from colorize.checkpoints.model_files import load; load(sys.argv[1]); print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    return run.stdout.split()


@pytest.mark.parametrize("module", ["huggingface_hub", "torch._dynamo", "sympy", "torchvision"])
def test_loading_a_local_file_imports_nothing_slow(imported, module):
    assert "torch" in imported
    assert module not in imported


def test_fresh_systems_are_filled_after_one_was_loaded(file):
    # Guards against weights left out while a file is loaded, such as the token of "no reference".
    load(file)
    torch.manual_seed(0)
    none = ReferenceTokens(width=1000).build().none
    assert none.std().item() == pytest.approx(0.02, rel=0.1)  # 1000 draws: 2 % is one deviation


@pytest.mark.parametrize("changes", [{"widths": (-8, 16)}, {"dropout": 7.0}, {"blocks": (1, 2000)}])
def test_a_network_that_cannot_be_is_wrong_usage(changes):
    net = copy.copy(NET)
    vars(net).update(changes)  # as a file or --set may describe it
    with pytest.raises(ColorizeError) as caught:
        build_on_meta(replace(TINY, denoiser=DenoiserSpec(net=net)))
    assert caught.value.code == 2


# Writing


def test_weights_that_are_not_finite_are_not_written(tmp_path):
    broken = randomized()
    broken.denoiser.net.enter.weight.data[0] = torch.nan
    with pytest.raises(ColorizeError, match="not all of its weights"):
        save(broken, TINY, tmp_path / "a.safetensors")


def test_a_failed_save_keeps_the_old_file(file):
    before, broken = file.read_bytes(), randomized()
    broken.denoiser.net.enter.weight.data[0] = torch.nan
    with pytest.raises(ColorizeError):
        save(broken, TINY, file)
    assert file.read_bytes() == before


def test_a_save_leaves_no_other_file(file):
    assert list(file.parent.iterdir()) == [file]


def test_weights_too_large_for_half_precision_are_refused(tmp_path):
    large = randomized()
    large.denoiser.net.enter.weight.data[0] = 1e6
    with pytest.raises(ColorizeError, match="float16"):
        save(large, TINY, tmp_path / "a.safetensors", half=True)


def test_others_may_read_the_file(file):
    # Guards against the library's own writer, whose files only their owner can read.
    plain = file.with_name("plain")
    plain.write_text("")
    assert file.stat().st_mode == plain.stat().st_mode
