"""Claims about what a latent U-Net is told, and how guidance asks it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from latents import random, recipe

from colorize.colorize_diffusion.condition import (
    BackgroundSettings,
    InjectionSettings,
    LatentCond,
    LatentSettings,
    ReferenceWeights,
    Window,
)
from colorize.errors import ColorizeError
from colorize.hints import Hints
from colorize.model import Colorizer


def system(version: str = "v1") -> Colorizer:
    return random(recipe(version).build()).eval()  # type: ignore[return-value]


def given(references: int = 1, batch: int = 1, **more: torch.Tensor) -> Hints:
    rng = torch.Generator().manual_seed(3)
    line = torch.rand(batch, 1, 24, 32, generator=rng) * 2 - 1
    reference = torch.rand(batch, 3 * references, 40, 24, generator=rng) * 2 - 1
    return Hints(line=line, reference=reference, **more)


def told(model: Colorizer, hints: Hints, settings: LatentSettings | None = None, drop: str = "") -> LatentCond:
    rows = {drop: torch.ones(hints.batch, dtype=torch.bool)} if drop else {}
    cond = model.encode(hints, rows, {}, settings or LatentSettings())
    assert isinstance(cond, LatentCond)
    return cond


def test_a_dropped_sketch_is_black_and_not_nothing() -> None:
    model = system()
    maps = told(model, given(), drop="line").maps
    black = model.condition.sketch(torch.full((1, 3, 32, 32), -1.0))
    assert all(torch.equal(one, other) for one, other in zip(maps, black, strict=True))
    assert any(bool(one.any()) for one in maps)


def test_the_sketch_enters_as_white_lines_on_black() -> None:
    model, paper = system(), Hints(line=torch.ones(1, 1, 32, 32))
    black = model.condition.sketch(torch.full((1, 3, 32, 32), -1.0))
    for one, other in zip(told(model, paper).maps, black, strict=True):
        torch.testing.assert_close(one, other)


def test_a_dropped_reference_is_zeros() -> None:
    assert not told(system(), given(), drop="reference").tokens.any()


def test_several_references_join_their_tokens() -> None:
    model, two = system(), given(references=2)
    both = told(model, two).tokens
    for at in (0, 1):
        one = Hints(line=two["line"], reference=two["reference"][:, 3 * at : 3 * at + 3])
        torch.testing.assert_close(told(model, one).tokens, both.chunk(2, dim=1)[at])


def test_a_margin_changes_what_clip_sees() -> None:
    model = system()
    first, wide = (told(model, given(), LatentSettings(margin=m)).tokens for m in (1.0, 1.5))
    assert first.shape == wide.shape
    assert not torch.allclose(first, wide)


def test_levels_become_weights_of_the_places() -> None:
    model = system()
    assert told(model, given()).places == ()
    cond = told(model, given(), LatentSettings(levels=ReferenceWeights(overall=0.5, low=0.0)))
    assert (cond.places[4], cond.places[0], cond.places[6]) == (0.0, 0.5, 0.5)
    assert told(model, given(), LatentSettings(compat=True)).places == (1.0,) * 16
    own = tuple(i / 15 for i in range(16))
    assert told(model, given(), LatentSettings(levels=ReferenceWeights(places=own))).places == own


def calls(model: Colorizer, hints: Hints, settings: LatentSettings | None = None, **guidance: float) -> list[int]:
    """The rows of each call of the network in a walk of two steps."""
    rows: list[int] = []
    hook = model.denoiser.net.register_forward_hook(lambda _, args, __: rows.append(len(args[0])))
    with torch.inference_mode():
        model.sample(hints, recipe().sampling, [1] * hints.batch, guidance, settings=settings)
    hook.remove()
    return rows


def test_guidance_makes_one_call_a_step() -> None:
    model = system()
    assert calls(model, given()) == [1, 1]
    assert calls(model, given(), reference=5.0) == [2, 2]
    assert calls(model, given(batch=2), reference=5.0, line=2.0) == [6, 6]


def test_one_call_answers_as_several_do() -> None:
    model, hints = system(), given(batch=2)
    rows = {name: torch.ones(2, dtype=torch.bool) for name in ("reference", "line")}
    x, t = torch.randn(2, 4, 4, 4), torch.tensor([0.6, 0.6])
    with torch.inference_mode():
        joint = model.guided(hints, {"reference": 4.0, "line": 2.0}, {})(x, t)
        full = model.denoiser(x, t, model.encode(hints, {}, {}))
        without = [model.denoiser(x, t, model.encode(hints, {name: rows[name]}, {})) for name in rows]
    pushes = 3.0 * (full - without[0]) + 1.0 * (full - without[1])
    torch.testing.assert_close(joint, full + pushes / 2, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "settings",
    [
        LatentSettings(echo=InjectionSettings()),
        LatentSettings(echo=InjectionSettings(lines=0.5, own=0.0)),
        LatentSettings(window=Window(0.5, 1.0)),
        LatentSettings(levels=ReferenceWeights(overall=0.3)),
        LatentSettings(margin=2.0),
    ],
)
def test_every_knob_changes_the_result_alike_in_a_batch(settings: LatentSettings) -> None:
    model, hints = system(), given(batch=2)
    sampling, guidance = recipe().sampling, {"reference": 3.0}
    with torch.inference_mode():
        plain = model.sample(hints, sampling, [1, 2], guidance)
        turned = model.sample(hints, sampling, [1, 2], guidance, settings=settings)
        second = model.sample(hints.rows(slice(1, 2)), sampling, [2], guidance, settings=settings)
    assert not torch.allclose(plain, turned, atol=1e-4)
    torch.testing.assert_close(turned[1:], second, atol=1e-3, rtol=1e-3)


MASK = torch.cat([torch.ones(1, 1, 24, 16), -torch.ones(1, 1, 24, 16)], dim=3)
REFERENCE_MASK = torch.cat([torch.ones(1, 1, 40, 12), -torch.ones(1, 1, 40, 12)], dim=3)


@pytest.mark.parametrize("version", ["v1", "v1.5", "v2"])
def test_masks_give_every_half_tokens_of_its_own(version: str) -> None:
    model = system(version)
    masked = given(mask=MASK, reference_mask=REFERENCE_MASK)
    cond = told(model, masked)
    assert cond.tokens.shape[1] == 512
    assert cond.split is not None
    assert cond.split.mask.shape == (1, 1, 4, 4)
    front, back = cond.tokens.chunk(2, dim=1)
    torch.testing.assert_close(front, told(model, given()).tokens)
    assert not torch.allclose(front, back)
    assert bool(cond.background) is (version == "v2")
    assert not told(model, masked, drop="reference").tokens.any()


def test_a_background_takes_the_place_of_the_masked_reference() -> None:
    model = system()
    other = torch.zeros(1, 3, 30, 30)
    cond = told(model, given(mask=MASK, background=other))
    alone = told(model, Hints(line=given()["line"], reference=other))
    torch.testing.assert_close(cond.tokens.chunk(2, dim=1)[1], alone.tokens)


@pytest.mark.parametrize("version", ["v1", "v1.5", "v2"])
def test_a_masked_walk_ends_in_a_picture_of_one_call_a_step(version: str) -> None:
    model, hints = system(version), given(mask=MASK, reference_mask=REFERENCE_MASK)
    settings = LatentSettings(halves=BackgroundSettings(merge=0.2, style=version == "v2"), echo=InjectionSettings())
    assert calls(model, hints, settings, reference=4.0) == [2, 2]


def test_two_references_and_one_background_are_halves_of_one_size() -> None:
    cond = told(system(), given(2, mask=MASK, background=torch.zeros(1, 3, 30, 30)))
    front, back = cond.tokens.chunk(2, dim=1)
    assert front.shape == back.shape == (1, 512, 24)
    assert torch.equal(back[:, :256], back[:, 256:])


def test_only_version_2_has_an_encoder_of_styles() -> None:
    with pytest.raises(ColorizeError, match="no style encoder"):
        told(system(), given(), LatentSettings(halves=BackgroundSettings(style=True)))
    model = system("v2")
    assert told(model, given(), LatentSettings(halves=BackgroundSettings(style=True))).style


def test_a_mask_without_anything_to_take_colors_from_is_refused() -> None:
    with pytest.raises(ColorizeError, match="needs a background or a reference, and neither"):
        told(system(), Hints(line=given()["line"], mask=MASK))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LatentSettings(margin=3.0), "margin of references is 3"),
        (lambda: ReferenceWeights(overall=-1.0), r"overall\) is -1"),
        (lambda: ReferenceWeights(places=(1.0,)), "1 weights were given for 16 places"),
        (lambda: InjectionSettings(start=2.0), r"echo\.start is 2"),
        (lambda: BackgroundSettings(merge=1.5), r"halves\.merge is 1\.5"),
        (lambda: LatentSettings(skip=3), "skip is 3"),
        (lambda: LatentSettings(window=Window(-1.0)), "start of the reference's window is -1"),
    ],
)
def test_knobs_out_of_range_are_refused(make, words: str) -> None:
    with pytest.raises(ColorizeError, match=words):
        make()


def test_other_systems_have_no_knobs() -> None:
    from conftest import tiny

    model = tiny("mini").build()
    with pytest.raises(ColorizeError, match="takes none of these settings"):
        model.encode(Hints(line=torch.ones(1, 1, 32, 32)), {}, {}, LatentSettings())


def test_sizes_that_the_network_cannot_take_lie_on_a_canvas() -> None:
    model, small = system(), replace(recipe(), size=32)
    with torch.inference_mode():
        color = model.sample(Hints(line=torch.ones(1, 1, 25, 39)), small.sampling, [0])
    assert color.shape == (1, 3, 25, 39)
    assert model.space.shape(Hints(line=torch.ones(1, 1, 25, 39))) == (1, 4, 4, 6)
