"""What the painter does not take, and what it says then."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from drawings import DOT, MINI, colored, gray, model, one, ref, refused, sketch

from colorize.coloring import inputs, options
from colorize.coloring.options import Job, Named, SampleOptions
from colorize.coloring.paint import paint_all
from colorize.errors import ColorizeError
from colorize.images.image import Picture
from colorize.model import Noise


def test_a_gray_reference_is_refused_by_name() -> None:
    error = refused(Job("a", sketch(), (Named("old.png", gray()),)))
    assert "`old.png` has no color" in error.message


def test_a_hint_layer_of_another_size_is_scaled_with_a_note() -> None:
    layer = np.zeros((48, 32), np.uint8)
    layer[10:20, 10:20] = 255
    hints = Picture(np.full((48, 32, 3), 200, np.uint8), layer)
    assert "scaled to 64 x 96" in one(Job("a", sketch(), hints=hints)).painted[0].notes[0]


def test_a_drawing_in_color_is_left_alone_unless_forced() -> None:
    assert isinstance(refused(Job("cover.png", colored())), inputs.AlreadyColored)
    assert one(Job("cover.png", colored()), force=True).painted[0].kind == "gray"


def test_a_result_is_not_colored_again() -> None:
    result = one(Job("a", sketch())).painted[0].picture
    look_alike = replace(sketch(), text=result.text)
    assert isinstance(refused(Job("a", look_alike)), inputs.AlreadyColored)


@pytest.mark.parametrize(
    ("drawing", "words"),
    [
        (sketch(40, 1), "1 x 40 pixels; a drawing needs at least 32 x 32"),
        (Picture(np.full((64, 64, 1), 255, np.uint8)), "is blank"),
        (b"", "is empty"),
    ],
    ids=["tiny", "blank", "empty"],
)
def test_what_is_no_drawing_is_refused_in_a_sentence(drawing: Picture | bytes, words: str) -> None:
    error = refused(Job("page3.png", drawing))
    assert "`page3.png`" in error.message
    assert words in error.message


def test_a_bad_file_leaves_the_others_alone(tmp_path: Path) -> None:
    jobs = [Job("a", sketch()), Job("b", tmp_path / "missing.png"), Job("c", sketch())]
    done = list(paint_all(MINI, jobs, SampleOptions(batch=8)))
    assert [bool(outcome.error) for outcome in done] == [False, True, False]


def test_a_line_model_draws_the_lines_of_a_gray_picture_and_says_so() -> None:
    painted = one(Job("a", gray()), model("anime-diffusion")).painted[0]
    assert painted.kind == "gray"
    assert any("lines of `a` were extracted" in note for note in painted.notes)


def test_a_line_model_without_reference_says_that_it_guesses() -> None:
    line = model("anime-diffusion")
    assert "no reference was given" in one(Job("a", sketch()), line).painted[0].notes[0]
    assert one(Job("a", sketch(), ref()), line).painted[0].notes == ()


def test_wrong_hints_are_told_with_the_drawing_they_are_for() -> None:
    error = refused(Job("p1.png", sketch(), hints=DOT.replace("60", "6000")))
    assert error.message.startswith("`p1.png`: point 1 is at")


def test_hints_that_the_model_does_not_take_are_wrong_usage() -> None:
    error = refused(Job("a", sketch(), hints=DOT), model("anime-diffusion"))
    assert "does not support `hints`" in error.message
    assert error.code == 2


def test_a_hint_that_the_model_needs_is_asked_for() -> None:
    error = refused(Job("a", sketch()), model("anime-diffusion", 'needs=["reference"]'))
    assert "needs the hint `reference`" in error.message


@pytest.mark.parametrize(
    "wrong", [{"sampler": "dppm"}, {"guidance": {"refernce": 2.0}}, {"sampler": "unipc", "eta": 0.5}]
)
def test_options_that_no_drawing_could_have_are_refused_before_the_first(wrong: dict[str, object]) -> None:
    def jobs() -> Iterator[Job]:
        pytest.fail("a drawing was asked for")
        yield Job("a", sketch())

    with pytest.raises(ColorizeError) as caught:
        paint_all(MINI, jobs(), SampleOptions(**wrong))
    assert caught.value.code == 2


@pytest.mark.parametrize("weight", [-0.1, 20.5, 1e9, math.inf, math.nan])
def test_guidance_outside_its_range_is_wrong_usage(weight: float) -> None:
    # Guards against flat, glaring pictures, and black ones for what is no number.
    with pytest.raises(ColorizeError) as caught:
        SampleOptions(guidance={"reference": weight})
    assert caught.value.message == f"the guidance of `reference` is {weight:g}"
    assert "choose 0 (without it) to 20" in caught.value.hint
    assert caught.value.code == 2


@pytest.mark.parametrize("weight", [0, 1, 20])
def test_guidance_at_the_ends_of_its_range_is_taken(weight: float) -> None:
    assert one(Job("a", sketch(), ref()), guidance={"reference": weight}).painted


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_seeds_that_no_generator_takes_are_wrong_usage(seed: int) -> None:
    for refuses in (lambda: SampleOptions(seed=seed), lambda: Noise([0, seed])):
        with pytest.raises(ColorizeError, match=f"seed is {seed}") as caught:
            refuses()
        assert caught.value.code == 2


def test_the_largest_seed_is_taken() -> None:
    assert one(Job("a", sketch()), seed=2**63 - 1).painted
    Noise([2**63 - 1])


def test_another_sampler_drops_the_eta_of_the_recipe() -> None:
    recipe = model("walker", "sampling.eta=1").recipe
    assert options.sampling(recipe, SampleOptions()).eta == 1
    assert options.sampling(recipe, SampleOptions(sampler="dpmpp")).eta == 0
    assert options.sampling(recipe, SampleOptions(sampler="ddim")).eta == 1


def test_guidance_by_a_reference_that_is_not_given_is_wrong_usage() -> None:
    error = refused(Job("a", sketch()), guidance={"reference": 2.0})
    assert error.code == 2


def test_too_little_memory_for_one_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = model()

    def never(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(loaded.colorizer, "walk", never)
    assert "--size" in refused(Job("a", sketch()), loaded).hint
