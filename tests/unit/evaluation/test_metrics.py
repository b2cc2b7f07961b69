"""The scores are the published formulas, and say what their names say."""

from __future__ import annotations

import sys
import types

import pytest
import torch
from skimage.metrics import structural_similarity

from colorize.errors import ColorizeError
from colorize.evaluation import metrics


def noise(seed: int, height: int = 48, width: int = 48) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(1, 3, height, width, generator=rng) * 2 - 1


def plain(red: float, green: float, blue: float, side: int = 16) -> torch.Tensor:
    return torch.tensor([red, green, blue]).view(1, 3, 1, 1).repeat(1, 1, side, side)


def half(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    return torch.cat((left, right), 3)


RED, BLUE, WHITE = plain(0.9, -0.8, -0.8), plain(-0.8, -0.8, 0.9), plain(1, 1, 1)


def test_psnr_of_an_error_of_a_tenth_is_twenty_decibels():
    truth = plain(0, 0, 0)
    assert metrics.psnr(truth + 0.2, truth).item() == pytest.approx(20, abs=1e-3)


def test_psnr_of_equal_pictures_is_capped():
    assert metrics.psnr(noise(0), noise(0)).item() == metrics.PSNR_CAP


def test_psnr_scores_each_picture_of_a_batch_alone():
    a, b = noise(0), noise(1)
    both = metrics.psnr(torch.cat((a, b)), torch.cat((b, b)))
    assert torch.equal(both, torch.cat((metrics.psnr(a, b), metrics.psnr(b, b))))


def test_ssim_equals_scikit_image():
    a = noise(0, 40, 56)
    b = (a + 0.5 * noise(1, 40, 56)).clamp(-1, 1)
    ours = metrics.ssim(a, b).item()
    one, other = (((x[0].permute(1, 2, 0) + 1) / 2).double().numpy() for x in (a, b))
    theirs = structural_similarity(
        one, other, gaussian_weights=True, use_sample_covariance=False, data_range=1, channel_axis=2
    )
    assert ours == pytest.approx(theirs, abs=1e-5)  # float32 variances


def test_ssim_refuses_pictures_smaller_than_its_window():
    with pytest.raises(ValueError, match="11 pixels"):
        metrics.ssim(noise(0, 10, 40), noise(1, 10, 40))


def test_ms_ssim_is_one_for_equal_pictures_of_any_size():
    for side in (11, 30, 180):  # one, two and five scales
        assert metrics.ms_ssim(noise(0, side, side), noise(0, side, side)).item() == pytest.approx(1)


def test_ms_ssim_of_one_scale_is_ssim():
    a = noise(0, 16, 16)
    b = (a + 0.3 * noise(1, 16, 16)).clamp(-1, 1)
    assert metrics.ms_ssim(a, b).item() == pytest.approx(metrics.ssim(a, b).item(), abs=1e-6)


def test_ms_ssim_forgives_fine_noise_more_than_ssim():
    smooth = torch.linspace(-1, 1, 176).expand(1, 3, 176, 176)
    rough = (smooth + 0.2 * noise(1, 176, 176)).clamp(-1, 1)
    assert metrics.ms_ssim(rough, smooth) > metrics.ssim(rough, smooth)


def test_equal_pictures_have_no_color_difference():
    assert metrics.delta_e(noise(0), noise(0)).item() == 0


def test_black_against_white_is_a_color_difference_of_a_hundred():
    assert metrics.delta_e(plain(-1, -1, -1), WHITE).item() == pytest.approx(100, abs=0.1)


def test_gray_misses_all_the_colorfulness_of_a_picture():
    colored = half(RED, BLUE)
    gap = metrics.colorfulness_gap(colored.mean(1, keepdim=True).expand(-1, 3, -1, -1), colored)
    assert gap.item() > 50


def test_ink_multiplied_over_color_is_kept():
    line = half(plain(-0.8, 0, 0), plain(1, 0, 0))[:, :1]
    result = torch.minimum(line.expand(-1, 3, -1, -1), half(RED, RED))
    assert metrics.ink_kept(result, line).item() == 1


def test_ink_that_became_lighter_in_one_channel_is_lost():
    line = plain(-0.8, 0, 0)[:, :1]
    result = line.repeat(1, 3, 1, 1)
    result[:, 2, :8] += 0.1  # the upper half turns bluish
    assert metrics.ink_kept(result, line).item() == 0.5


def test_a_drawing_without_ink_loses_none():
    assert metrics.ink_kept(noise(0), torch.ones(1, 1, 48, 48)).item() == 1


def test_palettes_do_not_depend_on_where_colors_lie():
    assert metrics.palette_distance(half(RED, BLUE), half(BLUE, RED)).item() < 1e-3


def test_palettes_do_not_depend_on_the_paper_around():
    assert metrics.palette_distance(half(RED, WHITE), RED).item() < 1e-3


def test_a_close_color_is_nearer_than_a_far_one():
    orange = plain(0.9, -0.4, -0.8)
    near, far = metrics.palette_distance(RED, orange), metrics.palette_distance(RED, BLUE)
    assert near < 0.9 * far


def test_red_and_blue_have_disjoint_palettes():
    assert metrics.palette_distance(RED, BLUE).item() > 0.95


@pytest.mark.parametrize("make", [metrics.lpips.__wrapped__, metrics.FrechetDistance])
def test_without_the_extra_the_user_learns_what_to_install(monkeypatch, make):
    for name in ("torchmetrics", "torchmetrics.image.lpip", "torchmetrics.image.fid"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ColorizeError) as caught:
        make()
    assert 'pip install "torchmetrics[image]"' in caught.value.hint


def library(monkeypatch, network: type) -> None:
    """Stand in for torchmetrics, whose two classes are `network`."""
    for name in ("torchmetrics", "torchmetrics.image"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    for name, title in (("lpip", "LearnedPerceptualImagePatchSimilarity"), ("fid", "FrechetInceptionDistance")):
        module = types.ModuleType(f"torchmetrics.image.{name}")
        setattr(module, title, network)
        monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.mark.parametrize("make", [metrics.lpips.__wrapped__, metrics.FrechetDistance])
@pytest.mark.parametrize("error", [OSError("no route"), RuntimeError("invalid hash value")])
def test_weights_that_cannot_be_had_are_a_sentence(monkeypatch, make, error):
    def offline(**settings: object) -> None:
        raise error

    library(monkeypatch, offline)
    with pytest.raises(ColorizeError, match="could not be fetched"):
        make()


class Fake:
    """A metric that remembers what it was given, and says how far apart two pictures are."""

    def __init__(self, **settings: object) -> None:
        self.seen: list[tuple[torch.Tensor, bool]] = []
        Fake.last = self

    def __call__(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        return (first - second).abs().mean()

    def update(self, pictures: torch.Tensor, real: bool) -> None:
        self.seen.append((pictures, real))

    def compute(self) -> torch.Tensor:
        return torch.tensor(12.5)

    def reset(self) -> None:
        pass


def test_lpips_scores_picture_by_picture(monkeypatch):
    library(monkeypatch, Fake)
    score = metrics.lpips.__wrapped__()
    assert score(RED, RED) == 0
    assert score(WHITE, RED) > 0


def test_fid_knows_results_from_true_pictures(monkeypatch):
    library(monkeypatch, Fake)
    metrics.FrechetDistance().add(WHITE, plain(-1, -1, -1))
    assert [(p.float().mean().item(), real) for p, real in Fake.last.seen] == [(255, False), (0, True)]


def test_one_picture_has_no_fid(monkeypatch):
    library(monkeypatch, Fake)
    distance = metrics.FrechetDistance()
    distance.add(RED, RED)
    assert distance.value() is None
    distance.add(RED, RED)
    assert distance.value() == 12.5
