"""Claims about predictions, losses, guidance and thresholds."""

import pytest
import torch
from torch import Tensor, nn

from colorize.diffusion.denoiser import Denoiser, Dynamic, Static, guide
from colorize.diffusion.schedules import Cosine, Linear, expand, noised
from colorize.errors import ColorizeError

KINDS = ["eps", "v", "x0"]
T = torch.tensor([0.1, 0.6])


class Says(nn.Module):
    """A network that always answers the same, and remembers what it was asked."""

    def __init__(self, answer: Tensor) -> None:
        super().__init__()
        self.answer = nn.Parameter(answer.clone())

    def forward(self, x: Tensor, t: Tensor, cond: object) -> Tensor:
        self.asked = (x, t, cond)
        return self.answer


@pytest.fixture
def pair():
    rng = torch.Generator().manual_seed(0)
    return torch.rand(2, 3, 2, 2, generator=rng), torch.randn(2, 3, 2, 2, generator=rng)


@pytest.mark.parametrize("predicts", KINDS)
def test_a_perfect_prediction_gives_the_clean_picture(predicts, pair):
    x0, noise = pair
    target = Denoiser(nn.Identity(), Linear(), predicts).prediction(x0, noise, T)
    denoiser = Denoiser(Says(target), Linear(), predicts)
    assert torch.allclose(denoiser(noised(Linear(), x0, noise, T), T), x0, atol=1e-5)


@pytest.mark.parametrize("predicts", KINDS)
def test_a_perfect_prediction_has_no_loss(predicts, pair):
    target = Denoiser(nn.Identity(), Linear(), predicts).prediction(*pair, T)
    assert Denoiser(Says(target), Linear(), predicts).loss(*pair, T).tolist() == [0, 0]


def test_v_is_alpha_noise_minus_sigma_picture(pair):
    x0, noise = pair
    alpha, sigma = (expand(part, x0) for part in Linear()(T))
    v = Denoiser(nn.Identity(), Linear(), "v").prediction(x0, noise, T)
    assert torch.equal(v, alpha * noise - sigma * x0)


@pytest.mark.parametrize("predicts", ["v", "x0"])
def test_a_clean_picture_can_be_predicted_from_pure_noise(predicts, pair):
    x0, noise = pair
    answer = x0 if predicts == "x0" else -x0
    denoiser = Denoiser(Says(answer), Cosine(zero_snr=True), predicts)
    assert torch.equal(denoiser(noise, torch.ones(2)), x0)


def test_predicting_noise_from_pure_noise_is_refused():
    with pytest.raises(ColorizeError, match="alpha = 0"):
        Denoiser(nn.Identity(), Cosine(zero_snr=True), "eps")


def test_an_unknown_prediction_is_refused():
    with pytest.raises(ColorizeError, match="cannot predict `epsilon`"):
        Denoiser(nn.Identity(), Linear(), "epsilon")


def test_the_network_gets_the_noisy_picture_the_time_and_the_condition(pair):
    net, cond = Says(pair[0]), object()
    Denoiser(net, Linear(), "v").loss(*pair, T, cond)
    x, t, given = net.asked
    assert torch.equal(x, noised(Linear(), *pair, T))
    assert t is T
    assert given is cond


def test_the_loss_is_the_mean_square_of_each_picture(pair):
    x0, noise = pair
    loss = Denoiser(Says(torch.zeros_like(x0)), Linear(), "eps").loss(x0, noise, T)
    assert torch.allclose(loss, (noise**2).mean((1, 2, 3)))


def test_a_robust_loss_is_the_square_of_small_errors_and_the_distance_of_large_ones(pair):
    x0, noise = pair
    off = torch.full_like(x0, 1e-3)
    off[1] = 50.0
    loss = Denoiser(Says(x0 + off), Linear(), "x0").loss(x0, noise, T, robust=0.1)
    assert torch.allclose(loss, torch.tensor([1e-6, 2 * 0.1 * 50]), rtol=0.01)


def test_a_weight_of_zero_hides_its_pixels(pair):
    x0, noise = pair
    weight = torch.zeros(2, 1, 2, 2)
    weight[..., 0, 0] = 4  # one pixel of four
    loss = Denoiser(Says(torch.zeros_like(x0)), Linear(), "x0").loss(x0, noise, T, weight=weight)
    assert torch.allclose(loss, (x0[..., 0, 0] ** 2).mean(1))


def test_the_loss_reaches_the_weights(pair):
    net = Says(pair[0])
    Denoiser(net, Linear(), "v").loss(*pair, T).sum().backward()
    assert (net.answer.grad != 0).any()


def test_bfloat16_answers_do_not_coarsen_the_picture(pair):
    denoiser = Denoiser(Says(pair[0].bfloat16()), Linear(), "v")
    assert denoiser(pair[0], T).dtype == torch.float32


class Counted:
    """A denoise function whose picture is the condition; it counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, x: Tensor, t: Tensor, cond: object) -> Tensor:
        self.calls += 1
        return torch.full_like(x, cond)


X = torch.zeros(1, 1, 1, 1)
WITHOUT = {"line": 1.0, "reference": 3.0}


def test_guidance_of_one_costs_no_further_call():
    denoise = Counted()
    result = guide(denoise, 5.0, WITHOUT, {"line": 1.0, "reference": 1.0})(X, T)
    assert (result.item(), denoise.calls) == (5, 1)


def test_one_guided_hint_moves_away_from_its_absence():
    assert guide(Counted(), 5.0, WITHOUT, {"reference": 4.0})(X, T).item() == 3 + 4 * (5 - 3)


def test_two_guided_hints_are_averaged():
    want = 0.5 * ((3 + 4 * (5 - 3)) + (1 + 2 * (5 - 1)))  # ColorizeDiffusion's dual form
    assert guide(Counted(), 5.0, WITHOUT, {"line": 2.0, "reference": 4.0})(X, T).item() == want


def test_a_hint_of_weight_one_does_not_dilute_the_average():
    alone = guide(Counted(), 5.0, WITHOUT, {"reference": 4.0})(X, T)
    beside = guide(Counted(), 5.0, WITHOUT, {"line": 1.0, "reference": 4.0})(X, T)
    assert torch.equal(alone, beside)


def test_joined_conditions_are_asked_in_one_call_and_joined_once():
    joins = []

    def join(conds, rows):
        joins.append(rows)
        return torch.tensor(conds).repeat_interleave(rows)[:, None, None, None]

    def denoise(x, t, cond):
        calls.append(len(x))
        return x + t[:, None, None, None] + cond

    calls = []
    x, t = torch.rand(2, 1, 3, 3), torch.tensor([0.2, 0.7])
    weights = {"line": 2.0, "reference": 4.0}
    apart = guide(denoise, 5.0, WITHOUT, weights)(x, t)
    assert calls == [2, 2, 2]
    guided = guide(denoise, 5.0, WITHOUT, weights, join)
    for _ in range(2):
        torch.testing.assert_close(guided(x, t), apart)
    assert calls == [2, 2, 2, 6, 6]
    assert joins == [2]


def test_guidance_of_zero_leaves_the_hint_out():
    assert guide(Counted(), 5.0, WITHOUT, {"reference": 0.0})(X, T).item() == 3


def test_guidance_by_an_unknown_hint_names_the_nearest():
    with pytest.raises(ColorizeError, match="did you mean `reference`"):
        guide(Counted(), 5.0, WITHOUT, {"referense": 2.0})


def test_static_threshold_clamps():
    assert Static(1.0)(torch.tensor([-3.0, 0.5, 2.0])).tolist() == [-1, 0.5, 1]


def test_dynamic_threshold_scales_its_percentile_to_one():
    x0 = torch.tensor([[0.0, 1.0, -2.0, 4.0]])[:, None, None]
    assert Dynamic(0.75)(x0).flatten().tolist() == [0, 0.5, -1, 1]


def test_dynamic_threshold_leaves_a_quiet_picture_alone():
    x0 = torch.tensor([[0.1, -0.5, 0.9]])[:, None, None]
    assert torch.equal(Dynamic(0.5)(x0), x0)


def test_dynamic_threshold_treats_rows_alone():
    x0 = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)) * 3
    both = Dynamic(0.9)(x0)
    assert torch.equal(both, torch.cat([Dynamic(0.9)(row[None]) for row in x0]))
