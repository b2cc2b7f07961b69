"""Training against references and lines that fit too well. Bugs guarded: noise in dropped rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import tiny
from tiny import denoising
from torch import Generator

from colorize.colorize_diffusion.condition import LatentCond
from colorize.diffusion.schedules import Linear
from colorize.errors import ColorizeError
from colorize.hints import Batch, Hints
from colorize.images import lines
from colorize.networks.unet import Cond
from colorize.recipes import recipe
from colorize.recipes.recipe import Denoising
from colorize.training import objectives
from colorize.training.batches import Pictures

SCHEDULE = Linear()
ALL = torch.ones(3, dtype=torch.bool)


def noised(t: list[float], tokens: torch.Tensor, rows: torch.Tensor = ALL) -> torch.Tensor:
    rng = Generator().manual_seed(0)
    cond = objectives.noisy_tokens(Cond(tokens=tokens), torch.tensor(t), rows, SCHEDULE, rng)
    assert cond.tokens is not None
    return cond.tokens


def test_tokens_get_as_much_noise_as_their_picture():
    t = [0.2, 0.5, 0.9]
    alpha, sigma = SCHEDULE(torch.tensor(t))
    seen = noised(t, torch.full((3, 400, 50), 3.0))
    torch.testing.assert_close(seen.mean((1, 2)), 3 * alpha, atol=0.02, rtol=0)
    torch.testing.assert_close(seen.std((1, 2)), sigma, atol=0.02, rtol=0)


def test_tokens_are_clean_where_a_walk_begins():
    tokens = torch.randn(3, 4, 5)
    seen = noised([1.0, 0.95, 0.9], tokens)
    error = (seen - tokens).square().mean((1, 2)).sqrt()
    assert error[0] < 0.02 < error[1] < 0.4 < error[2]


def test_only_the_rows_asked_for_get_noise():
    tokens = torch.randn(3, 4, 5)
    seen = noised([0.5] * 3, tokens, torch.tensor([False, True, False]))
    assert [bool((a == b).all()) for a, b in zip(seen, tokens, strict=True)] == [True, False, True]


def test_every_other_part_of_a_cond_stays():
    cond = LatentCond(tokens=torch.ones(1, 2, 3), places=(0.5,) * 16)
    t = torch.tensor([0.5])
    after = objectives.noisy_tokens(cond, t, ALL[:1], SCHEDULE, Generator())
    assert isinstance(after, LatentCond)
    assert after.places == cond.places


def seen_tokens(monkeypatch: pytest.MonkeyPatch, noisy: float, drop: list[bool]) -> torch.Tensor:
    """The tokens that a tiny `mini` reads in one loss, (4, N, C)."""
    torch.manual_seed(0)
    model, seen = tiny("walker").build(), []
    inner = model.denoiser.net.forward
    monkeypatch.setattr(model.denoiser.net, "forward", lambda x, t, cond: seen.append(cond) or inner(x, t, cond))
    line, color = torch.ones(4, 1, 32, 32), torch.rand(4, 3, 32, 32)
    left_out = {"reference": torch.tensor(drop), "hints": torch.tensor(drop)}
    batch = Batch(color, Hints(line=line, reference=color), left_out)
    next(denoising(noisy=noisy)(model, batch, Generator().manual_seed(1)))
    return seen[0].tokens.detach()


def test_an_objective_makes_its_share_of_rows_noisy(monkeypatch):
    none = [False] * 4
    plain, noisy = (seen_tokens(monkeypatch, share, none) for share in (0.0, 1.0))
    assert (plain != noisy).flatten(1).any(1).all()


def test_rows_without_a_reference_stay_as_they_are(monkeypatch):
    drop = [True, False, True, False]
    plain, noisy = (seen_tokens(monkeypatch, share, drop) for share in (0.0, 1.0))
    assert (plain == noisy).flatten(1).all(1).tolist() == drop


def test_noisy_tokens_are_refused_where_there_are_none():
    stage = recipe.Stage(objective=Denoising(noisy=0.5))
    with pytest.raises(ColorizeError, match=r"noisy is 0\.5, but `anime-diffusion` has no tokens"):
        objectives.build(stage, tiny("anime-diffusion"))


@pytest.mark.parametrize("wrong", [{"noisy": 1.5}, {"offset": -0.1}])
def test_shares_and_strengths_out_of_range_are_refused(wrong):
    with pytest.raises(ColorizeError, match=rf"objective.{next(iter(wrong))} is"):
        Denoising(**wrong)


def pictures(folder: Path, **mix: float) -> Pictures:
    system = tiny("walker")
    stage = replace(system.pretrain, mix=replace(system.pretrain.mix, **mix), batch=50)
    return Pictures(folder, system, stage, 0, torch.device("cpu"))


def test_the_share_of_references_left_out_is_the_mix_s(folder):
    drop = pictures(folder, reference=0.5, gray=0.0).batch(0).drop["reference"]
    assert 15 <= int(drop.sum()) <= 35


def test_margins_whiten_borders_of_the_line_alone_and_leave_the_middle(folder):
    plain = {"gray": 0.0, "jpeg": 0.0, "degrade": 0.0, "tone": 0.0}
    before = pictures(folder, margins=0.0, **plain).batch(0)
    after = pictures(folder, margins=1.0, **plain).batch(0)
    assert torch.equal(before.color, after.color)
    old, new = before.hints["line"], after.hints["line"]
    assert ((new == old) | (new == 1)).all()
    assert torch.equal(new[..., 7:-7, 7:-7], old[..., 7:-7, 7:-7])  # a fifth of 32 are 6.4
    assert (new != old).any()


def test_a_margin_is_as_wide_on_one_side_as_on_the_other():
    line = torch.full((64, 1, 40, 60), -1.0)
    chosen = torch.arange(64) % 2 == 0
    white = lines.whiten_borders(line, chosen, Generator().manual_seed(0)) == 1
    assert torch.equal(white, white.flip(2))
    assert torch.equal(white, white.flip(3))
    assert not white[~chosen].any()
    lost = white[chosen, 0, :, 30].float().mean(1)  # of the height, both sides together
    assert lost.min() < 0.1
    assert 0.3 < lost.max() <= 0.4
