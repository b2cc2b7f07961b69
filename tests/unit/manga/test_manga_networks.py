"""Claims about the networks of manga systems: published sizes, any picture size, frozen helpers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from colorize import recipes
from colorize.checkpoints import model_files, weights_io
from colorize.errors import ColorizeError
from colorize.manga.networks import (
    VGG,
    Generator,
    GeneratorSpec,
    PatchCritic,
    Perceptual,
    SelfAttention,
    TaggerSpec,
    scaled,
)
from colorize.manga.second import UNUSED, SecondSpec
from colorize.networks.unet import Cond
from colorize.training.loop import recomputing

SMALL = GeneratorSpec((8, 8, 16, 16, 16, 16, 16, 16), dropout=0.5)
TAGGER = TaggerSpec((1, 1, 1, 1), 48)


def generator(spec: GeneratorSpec = SMALL, tokens: int = 0) -> Generator:
    torch.manual_seed(0)
    return spec.build(4, 3, tokens).eval()


def colored(net: nn.Module, page: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return net(page.new_zeros(len(page), 3, *page.shape[-2:]), torch.ones(len(page)), Cond(page))


def count(module: nn.Module, trained: bool = True) -> int:
    return sum(value.numel() for value in module.parameters() if value.requires_grad == trained)


# Sizes


@pytest.mark.parametrize(
    ("variant", "trained", "frozen"),
    [
        ("plain", 54_418_563, 0),
        ("attention", 54_746_884, 0),
        ("extractor", 58_612_867, 25_613_888),
        ("full", 59_924_868, 25_613_888),
    ],
)
def test_the_four_generators_have_their_published_number_of_weights(variant, trained, frozen):
    model = model_files.build_on_meta(recipes.find(f"manga-gan:{variant}"))
    assert (count(model), count(model, trained=False)) == (trained, frozen)


def test_the_critic_has_its_published_number_of_weights_and_answers():
    with weights_io.meta_device():
        critic = PatchCritic(groups=0)
        answers = critic(torch.empty(1, 1, 256, 256), torch.empty(1, 3, 256, 256))
    assert count(critic) == 2_767_553
    assert answers.shape == (1, 1, 15, 15)


def test_version_two_has_its_published_tensors():
    with weights_io.meta_device():
        net = SecondSpec().build(8, 3)
    assert (count(net) + count(net, trained=False), len(net.state_dict())) == (32_140_402, 645)
    assert count(net) == 30_711_515  # used at inference


def test_the_default_is_for_laptops():
    assert count(model_files.build_on_meta(recipes.find("manga-gan"))) < 5e6


# Any size


@pytest.mark.parametrize("size", [(1, 1), (37, 50), (255, 257)])
def test_any_size_comes_out_as_it_went_in(size):
    assert colored(generator(), torch.rand(1, 1, *size)).shape == (1, 3, *size)


def test_one_row_trains_down_to_a_single_place():
    # Guards against batch norms, which refuse a batch of one where the deepest map is 1 x 1.
    net = generator().train()
    out = net(torch.zeros(1, 3, 256, 256), torch.ones(1), Cond(torch.rand(1, 1, 256, 256)))
    out.mean().backward()
    deepest = net.down8.conv.weight.grad
    assert deepest is not None
    assert deepest.abs().max() > 0


def test_groups_never_hold_a_single_number():
    # Guards against a deepest map that is normalized to nothing.
    for width in (8, 16, 64, 192, 512):
        norm = generator(GeneratorSpec((width,) * 5)).down5.bn
        assert width // norm.num_groups >= 4


@pytest.mark.parametrize("widths", [(8, 8, 8), (8, 8, 8, 4)])
def test_widths_that_cannot_be_are_refused(widths):
    with pytest.raises(ColorizeError, match=r"net\.widths"):
        GeneratorSpec(widths)


def test_small_pages_have_a_patch_to_be_judged():
    assert PatchCritic(widths=(8, 8, 8, 8))(torch.rand(1, 1, 20, 33), torch.rand(1, 3, 20, 33)).numel()


# Attention


def test_attention_lets_far_places_speak():
    torch.manual_seed(0)
    layer = SelfAttention(16)
    nn.init.ones_(layer.gamma)
    x = torch.randn(1, 16, 8, 8)
    far = x.clone()
    far[..., 7, 7] += 3
    with torch.no_grad():
        assert not torch.allclose(layer(x)[..., 0, 0], layer(far)[..., 0, 0])


def test_attention_stands_at_the_deepest_map_as_published():
    net = generator(GeneratorSpec(SMALL.widths, attention=True))
    seen = []
    net.attn.register_forward_hook(lambda _, given, out: seen.append(given[0].shape[-2:]))
    colored(net, torch.rand(1, 1, 256, 256))
    assert seen == [(1, 1)]


# Frozen helpers


def test_frozen_networks_stay_in_evaluation_mode_and_still():
    tagger = TAGGER.build()
    before = {name: value.clone() for name, value in tagger.state_dict().items()}
    nn.Sequential(tagger).train()
    tagger(torch.rand(2, 1, 40, 30))
    assert not any(part.training for part in tagger.modules())
    assert not any(value.requires_grad for value in tagger.parameters())
    assert all(torch.equal(value, before[name]) for name, value in tagger.state_dict().items())


@pytest.mark.parametrize("part", ["vgg", "tagger"])
def test_both_parts_of_the_perceptual_loss_carry_gradients(part):
    # Guards against a loss computed without them, as the original's "anime loss" was.
    torch.manual_seed(0)
    eyes = Perceptual(VGG() if part == "vgg" else None, TAGGER.build() if part == "tagger" else None)
    made = torch.rand(1, 3, 32, 32, requires_grad=True)
    eyes(made, torch.rand(1, 3, 32, 32)).backward()
    assert made.grad is not None
    assert made.grad.abs().max() > 0


def test_equal_pictures_look_equal():
    picture = torch.rand(1, 3, 32, 32)
    assert float(Perceptual(VGG(), TAGGER.build())(picture, picture)) == 0


def test_helpers_see_pictures_as_they_were_trained():
    # Guards against [-1, 1] taken for [0, 1], which reached -6.5.
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    low, high = scaled(torch.tensor([-1.0, 1.0]).view(1, 1, 1, 2), mean, std)[0, 0, 0].tolist()
    assert (low, high) == pytest.approx((-0.485 / 0.229, 0.515 / 0.229))


def test_generators_forget_and_compute_again_with_the_same_gradients():
    page, found = torch.rand(1, 5, 32, 32), []
    for forget in (False, True):
        torch.manual_seed(0)
        net = SecondSpec(16, (1, 1, 1), (1, 1, 1, 1)).build(8, 3)
        assert not forget or recomputing(net) >= 5
        net(torch.zeros(1, 3, 32, 32), torch.ones(1), Cond(page)).square().mean().backward()
        found.append(net.encoder.conv1.weight.grad)
    torch.testing.assert_close(*found)


# Version two


def test_what_version_two_never_runs_changes_nothing():
    torch.manual_seed(0)
    net = SecondSpec(16, (1, 1, 1), (1, 1, 1, 1)).build(8, 3).eval()
    page = torch.rand(1, 5, 40, 64)
    before = colored(net, page)
    for name in UNUSED:
        for value in getattr(net, name).parameters():
            nn.init.constant_(value, torch.nan)
    assert torch.equal(colored(net, page), before)
    assert before.shape == (1, 3, 40, 64)


def test_version_two_is_padded_by_what_is_missing_only():
    # Guards against the original's whole 32 pixels more on sides that fit.
    net = SecondSpec(16, (1, 1, 1), (1, 1, 1, 1)).build(8, 3).eval()
    seen = []
    net.encoder.register_forward_hook(lambda _, given, out: seen.append(given[0].shape[-2:]))
    colored(net, torch.rand(1, 5, 64, 33))
    assert seen == [(64, 64)]
