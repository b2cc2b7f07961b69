"""Batches of several shapes. Bugs guarded: stretched pictures, padding in a crop, lines beside their colors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import tiny
from PIL import Image
from safetensors.torch import load_file

from colorize import recipes
from colorize.errors import ColorizeError
from colorize.recipes.overrides import override
from colorize.recipes.recipe import Stage
from colorize.training import batches, run
from colorize.training.batches import Pictures
from colorize.training.options import TrainOptions
from colorize.training.run import WEIGHTS

THREE = ("1:1", "3:4", "4:3")


@pytest.fixture
def slopes(tmp_path: Path) -> Path:
    """Wide and tall pictures whose red is x and whose green is y in pixels, with lines of the same."""
    rows = []
    for index, (width, height) in enumerate([(120, 80), (80, 120), (100, 100), (160, 40)]):
        x = torch.arange(width).expand(height, width)
        y = torch.arange(height)[:, None].expand(height, width)
        pixels = torch.stack([x, y, torch.zeros_like(x)], 2).byte().numpy()
        for place, picture in (("color", pixels), ("line", pixels[..., 0])):
            path = tmp_path / f"train/{place}/{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(path)
        rows.append(f'{{"file_name": "color/{index}.png", "line_file_name": "line/{index}.png"}}\n')
    (tmp_path / "train/metadata.jsonl").write_text("".join(rows))
    return tmp_path


def pictures(folder: Path, shapes: tuple[str, ...] = THREE, size: int = 64, **mix: object) -> Pictures:
    recipe = tiny("anime-diffusion")
    plain = {"restyle": 0.0, "flip": 0.0, "warp": 0.0, "other": 0.0}
    mixed = replace(recipe.pretrain.mix, **plain | mix)
    stage = replace(recipe.pretrain, mix=mixed, batch=8, size=size, aspects=shapes)
    return Pictures(folder, recipe, stage, 0, torch.device("cpu"))


def test_batches_take_turns_in_all_shapes_of_about_as_many_pixels(slopes):
    data = pictures(slopes)
    seen = {tuple(data.batch(step).color.shape[-2:]) for step in range(12)}
    assert seen == {(64, 64), (74, 56), (56, 74)}
    assert data.batch(0).hints["line"].shape[-2:] == data.batch(0).color.shape[-2:]


def test_a_shape_named_more_often_is_drawn_more_often(slopes):
    data = pictures(slopes, ("1:1", "1:1", "1:1", "1:2"))
    wide = [data.batch(step).color.shape[-1] == 64 for step in range(40)]
    assert 22 <= sum(wide) <= 38


@pytest.mark.parametrize("crop", [1.0, 0.5])
def test_a_crop_holds_nothing_but_the_picture_and_does_not_stretch_it(slopes, crop):
    data = pictures(slopes, crop=crop)
    for step in range(6):
        color = (data.batch(step).color + 1) * 127.5
        assert color[:, 2].max() < 1  # padding is white, the pictures have no blue
        right, down = color[:, 0].diff(dim=2), color[:, 1].diff(dim=1)  # source pixels per pixel
        across, along = right[:, :, 8:-8].mean((1, 2)), down[:, 8:-8].mean((1, 2))
        torch.testing.assert_close(across, along, rtol=0.06, atol=0)


def test_lines_are_cut_as_their_colors_are(slopes):
    batch = pictures(slopes, crop=0.6).batch(1)
    torch.testing.assert_close(batch.hints["line"][:, 0], batch.color[:, 0], atol=0.02, rtol=0)


def test_a_foreign_reference_is_not_stretched(slopes):
    text = (slopes / "train/metadata.jsonl").read_text().replace('"file', '"group": "one", "file')
    (slopes / "train/metadata.jsonl").write_text(text)
    batch = pictures(slopes, ("1:2",), other=1.0).batch(0)
    seen = (batch.hints["reference"] + 1) * 127.5
    across, along = seen[:, 0].diff(dim=2), seen[:, 1].diff(dim=1)
    torch.testing.assert_close(across[:, :, 8:-8].mean((1, 2)), along[:, 8:-8].mean((1, 2)), rtol=0.06, atol=0)


def test_a_batch_of_shapes_depends_on_its_number_only(slopes, monkeypatch):
    inside = pictures(slopes, crop=0.7)
    inside.batch(0)
    wanted = inside.batch(5)
    monkeypatch.setattr(batches, "MEMORY", 0)  # pictures are read one by one
    read = pictures(slopes, crop=0.7).batch(5)
    assert torch.equal(read.color, wanted.color)
    assert torch.equal(read.hints["line"], wanted.hints["line"])


def test_without_aspects_nothing_is_drawn_for_them(slopes):
    # The random numbers of the batches of earlier runs must not move.
    batch = pictures(slopes, (), size=100).batch(0)
    assert batch.color.shape[-2:] == (100, 100)
    assert (batch.color[:, 2] == 1).any()


def test_the_published_sizes_come_out_at_steps_of_64():
    stage = Stage(size=768, aspects=("1:1", "11:13", "13:11", "7:5", "5:7", "5:3", "3:5"))
    published = [(768, 768), (832, 704), (704, 832), (640, 896), (896, 640), (576, 960), (960, 576)]
    assert batches.sizes(stage, 64) == published


@pytest.mark.parametrize(("name", "step"), [("diffusart", 16), ("anime-diffusion", 8)])
def test_sides_are_multiples_of_what_the_coarsest_level_sees_as_one_pixel(name, step):
    assert recipes.find(name).system.multiple(recipes.find(name)) == step


@pytest.mark.parametrize("wrong", ["", "1", "3x4", "0:1", "1:0", "-3:4", "9:1", "1:99999", "²:4"])
def test_what_is_no_shape_is_refused(wrong):
    with pytest.raises(ColorizeError, match="is not a shape"):
        Stage(aspects=("1:1", wrong))


def test_a_size_below_the_step_is_refused(slopes):
    with pytest.raises(ColorizeError, match=r"size is 1, .* in steps of 2 pixels"):
        pictures(slopes, size=1)


def test_aspects_are_set_as_a_list():
    recipe = override(recipes.find("mini"), 'pretrain.aspects=["3:4", "4:3"]')
    assert recipe.pretrain.ratios == (0.75, 4 / 3)


def test_a_stopped_run_on_several_shapes_goes_on_as_if_it_had_not(slopes, tmp_path):
    recipe = override(tiny("walker"), 'pretrain.aspects=["1:1", "1:2", "2:1"]')
    ends = []
    for stop in (2, 4):
        options = TrainOptions(slopes, out=tmp_path / f"run{stop}", device="cpu", precision="fp32", sample_every=0)
        for progress in run.Training(recipe, options).steps():
            if progress.step == stop:
                break
        list(run.Training(recipe, options).steps())
        ends.append(load_file(options.folder / WEIGHTS))
    for name, value in ends[0].items():
        assert torch.equal(value, ends[1][name])
