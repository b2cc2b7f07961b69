"""What the painter promises: a picture depends on what is given and on nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from drawings import DOT, MINI, colored, gray, model, one, pixels, ref, sketch
from PIL import Image

import colorize
from colorize.checkpoints.model_files import Loaded
from colorize.coloring import album, inputs
from colorize.coloring.batch import seed_of
from colorize.coloring.options import Job, Named, SampleOptions
from colorize.coloring.paint import Outcome, paint_all, work
from colorize.errors import ColorizeError
from colorize.images import files
from colorize.images.image import Picture
from colorize.recipes.overrides import override
from colorize.system import System


@pytest.mark.parametrize("size", [(96, 64), (33, 131), (300, 100)])
def test_results_have_the_size_of_the_drawing(size: tuple[int, int]) -> None:
    assert one(Job("a", sketch(*size))).painted[0].picture.size == size


def test_one_call_colors_a_file(tmp_path: Path) -> None:
    files.write(sketch(), tmp_path / "sketch.png")
    files.write(colored(), tmp_path / "ref.png")
    result = colorize.paint(tmp_path / "sketch.png", reference=tmp_path / "ref.png", model=MINI)
    assert result.array.shape == (96, 64, 3)


def test_same_seed_same_picture_other_seed_other_picture() -> None:
    first, again, other = (pixels(one(Job("a", sketch()), seed=seed)) for seed in (5, 5, 6))
    assert (first == again).all()
    assert (first != other).any()


def test_neither_batch_nor_order_nor_name_changes_a_picture() -> None:
    # Rows of a batch once drew their noise from one generator, so that it depended on the neighbors.
    drawings = [sketch(step=step) for step in (20, 22, 25)]
    apart = [pixels(one(Job("x", drawing), batch=1)) for drawing in drawings]
    jobs = [Job(f"{at}", drawing) for at, drawing in reversed([*enumerate(drawings)])]
    together = [pixels(done) for done in paint_all(MINI, jobs, SampleOptions(batch=3))]
    for alone, grouped in zip(apart, reversed(together), strict=True):
        assert np.abs(alone.astype(int) - grouped).max() <= 1  # rounding of batched convolutions


def test_drawings_of_several_sizes_and_kinds_keep_their_order() -> None:
    jobs = [Job(str(at), made) for at, made in enumerate([sketch(), gray(), sketch(64, 96), gray()])]
    done = list(paint_all(MINI, jobs, SampleOptions(batch=4)))
    assert [outcome.job.name for outcome in done] == ["0", "1", "2", "3"]
    assert [outcome.painted[0].kind for outcome in done] == ["line", "gray", "line", "gray"]


def test_variations_differ_and_the_first_is_what_a_single_one_would_be() -> None:
    several = one(Job("a", sketch()), variations=2)
    assert (pixels(several, 0) == pixels(one(Job("a", sketch())))).all()
    assert (pixels(several, 0) != pixels(several, 1)).any()


def test_seeds_depend_on_pixels_and_variation() -> None:
    seeds = {seed_of(0, sketch(), 0), seed_of(1, sketch(), 0), seed_of(0, sketch(), 1)}
    seeds |= {seed_of(0, sketch(step=22), 0)}
    assert len(seeds) == 4
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_references_change_the_result_and_may_be_several() -> None:
    none, red, both = (pixels(one(Job("a", sketch(), given))) for given in ((), ref(1), ref(1) + ref(2)))
    assert (none != red).any()
    assert (red != both).any()


def test_references_stand_on_white_squares_of_one_size() -> None:
    wide = Named("wide", Picture(colored(1, 96).pixels[:48]))
    both = inputs.references((wide, *ref(2)))
    assert both is not None
    assert both.shape == (1, 6, 96, 96)
    assert (both[:, :3, :20] == 1).all()


def test_json_hints_count_in_pixels_of_the_drawing() -> None:
    hints, notes = inputs.hint_map(Named("a", sketch()), DOT, ())
    rows, columns = torch.nonzero(hints[0, 3] > 0).float().mean(0).tolist()
    assert rows > 28
    assert columns > 18
    assert notes == ()


def test_hints_change_the_result() -> None:
    drawing = sketch(128, 96)
    without, given = (pixels(one(Job("a", drawing, hints=hints))) for hints in (None, DOT))
    assert (without != given).any()


def test_guidance_costs_one_more_call_a_step() -> None:
    plain, guided = (
        one(Job("a", sketch(), ref()), guidance=weights).painted[0]
        for weights in ({"reference": 1.0}, {"reference": 2.0})
    )
    assert (plain.calls, guided.calls) == (2, 4)


def test_a_result_says_how_it_was_made_and_nothing_of_folders() -> None:
    painted = one(Job("a", sketch(), ref()), seed=7).painted[0]
    told = json.loads(painted.picture.text["colorize"])
    assert told == painted.meta
    assert (told["seed"], told["steps"], told["recipe"]) == (7, 2, "mini")
    assert list(told["references"]) == ["ref.png"]
    assert "/home" not in painted.picture.text["colorize"]


def test_too_little_memory_for_a_batch_is_enough_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = model()
    walk = loaded.colorizer.walk

    def narrow(hints, *rest):
        if hints.batch > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return walk(hints, *rest)

    monkeypatch.setattr(loaded.colorizer, "walk", narrow)
    done = paint_all(loaded, [Job("a", sketch()), Job("b", sketch(step=22))], SampleOptions(batch=2))
    assert [outcome.error for outcome in done] == [None, None]


def test_inference_mode_ends_before_the_caller_goes_on() -> None:
    # A generator that waits inside `with torch.inference_mode()` leaves it on for everybody.
    for _ in work(MINI, [Job("a", sketch())], SampleOptions()):
        assert not torch.is_inference_mode_enabled()


def test_the_shares_of_all_steps_are_one_per_drawing() -> None:
    events = work(MINI, [Job("a", sketch()), Job("b", gray())], SampleOptions(variations=2, batch=2))
    shares = [event.share for event in events if not isinstance(event, Outcome)]
    assert sum(shares) == pytest.approx(2)


def test_a_film_has_a_frame_per_step_and_rests_on_the_last(tmp_path: Path) -> None:
    painted = one(Job("a", sketch(600, 100)), film=Path("film.gif"), steps=3).painted[0]
    assert [picture.size for picture in painted.frames] == [(512, 85)] * 3
    album.write_film(painted.frames, tmp_path / "film.gif")
    with Image.open(tmp_path / "film.gif") as film:
        film.seek(film.n_frames - 1)
        assert film.info["duration"] == 1500


def test_a_grid_shows_all_pictures() -> None:
    shades = [Picture(np.full((20, 30, 3), shade, np.uint8)) for shade in (10, 80, 160)]
    assert {10, 80, 160, 255} == set(np.unique(album.grid(shades).pixels))


@pytest.mark.parametrize(
    ("size", "wanted", "inner"),
    [
        ((1024, 512), 256, (256, 128)),
        ((100, 50), 256, (128, 64)),  # enlarged: no model saw less
        ((200, 101), 256, (200, 100)),
        ((9000, 40), 256, (256, 8)),
        ((100, 50), 32, (32, 16)),
    ],
)
def test_the_inner_size_is_even_and_keeps_proportions(
    size: tuple[int, int], wanted: int, inner: tuple[int, int]
) -> None:
    assert System().inner_size(size, wanted) == inner


def test_thin_lines_stay_dark_when_a_drawing_is_shrunk() -> None:
    drawing = Picture(np.full((1024, 1024, 1), 255, np.uint8))
    drawing.pixels[100:900, ::100][..., :1] = 0
    for at in range(100, 900, 100):
        drawing.pixels[at : at + 4, 100:900] = 0
    recipe = override(MINI.recipe, "size=128")
    fitted = inputs.model_input(Named("a", drawing), recipe, SampleOptions())
    assert fitted.hints["line"].min() < -0.4  # 0 without: 4 of 8 pixels are ink
    assert fitted.hints["line"].max() == 1


def test_a_palette_colors_a_drawing_and_is_told_in_its_text() -> None:
    warm, cold = (colorize.paint(sketch(), palette=one, model=MINI) for one in ("red", "#0000ff"))
    assert not np.array_equal(warm.array, cold.array)
    assert list(json.loads(warm.picture.text["colorize"])["references"]) == ["palette red"]


def test_a_palette_may_be_all_gray_and_stand_beside_a_reference() -> None:
    both = colorize.paint(sketch(), palette="gray", reference=colored(), model=MINI)
    alone = colorize.paint(sketch(), reference=colored(), model=MINI)
    assert not np.array_equal(both.array, alone.array)


def test_a_model_that_never_saw_palettes_refuses_them() -> None:
    with pytest.raises(ColorizeError, match="was not trained on palettes"):
        colorize.paint(sketch(), palette="red", model=model("anime-diffusion"))


def one_of(loaded: Loaded, job: Job, options: SampleOptions) -> object:
    (outcome,) = paint_all(loaded, [job], options)
    return outcome.painted[0].meta["guidance"]


def test_python_takes_every_option_by_its_name() -> None:
    plain, seeded = (colorize.paint(sketch(), reference=colored(), model=MINI, seed=seed).array for seed in (0, 1))
    assert not (plain == seeded).all()
    with pytest.raises(TypeError, match="sede"):
        colorize.paint(sketch(), model=MINI, sede=1)
