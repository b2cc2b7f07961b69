"""Claims about `generator.zip`, the published file of manga-colorization-v2: it loads, exactly, and colors pages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SMALL_STAGE
from drawings import gray, run, sketch
from torch import Tensor

from colorize import recipes
from colorize.checkpoints import model_files
from colorize.errors import ColorizeError
from colorize.hints import Hints
from colorize.images import files
from colorize.images.color import rgb_to_lab
from colorize.manga.networks import FFDNet
from colorize.manga.second import UNUSED, SecondSpec
from colorize.recipes.overrides import override
from colorize.recipes.recipe import DenoiserSpec
from colorize.training import run as training
from colorize.training.options import TrainOptions

SMALL = SecondSpec(16, (1, 2, 1), (2, 1, 1, 1))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder with a gray page, on the CPU."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLORIZE_DEVICE", "cpu")
    files.write(gray(), Path("page.png"))


def state(spec: SecondSpec = SMALL) -> dict[str, Tensor]:
    """Random weights under the published names, strong enough to be seen."""
    torch.manual_seed(0)
    found = spec.build(8, 3).state_dict()
    found["exit.2.weight"] = torch.randn_like(found["exit.2.weight"])
    return found


def zipped(found: dict[str, Tensor], name: str = "generator.zip") -> Path:
    """The file as its authors wrote it: a flat state dict, by PyTorch."""
    torch.save(found, name)
    return Path(name)


def refusal(found: dict[str, Tensor]) -> str:
    with pytest.raises(ColorizeError) as caught:
        model_files.load(zipped(found))
    return caught.value.message


def test_its_tensors_arrive_under_their_names_and_sizes() -> None:
    found = state()
    loaded = model_files.load(str(zipped(found)))
    assert loaded.recipe == replace(recipes.find("manga-gan:v2"), denoiser=DenoiserSpec(net=SMALL, predicts="x0"))
    held = loaded.colorizer.denoiser.net.state_dict()
    assert held.keys() == found.keys()
    assert all(torch.equal(value, found[name]) for name, value in held.items())


def test_a_missing_tensor_is_named() -> None:
    found = state()
    del found["tunnel3.0.bias"]
    assert refusal(found) == "`generator.zip` lacks the tensor `tunnel3.0.bias`"


def test_a_tensor_of_another_system_is_named() -> None:
    assert "holds `more`, which the recipe does not have" in refusal(state() | {"more": torch.ones(1)})


def test_a_tensor_of_another_shape_is_named() -> None:
    found = state()
    found["exit.0.bias"] = torch.zeros(3)
    assert "holds `exit.0.bias` as 3; the recipe needs 8" in refusal(found)


def test_a_width_that_cannot_be_is_refused() -> None:
    found = state()
    found["encoder.conv1.weight"] = torch.zeros(15, 1, 7, 7)
    assert "is no whole file of manga-colorization-v2" in refusal(found)


def test_weights_that_are_no_numbers_are_refused() -> None:
    found = state()
    found["exit.0.bias"] = torch.full((8,), torch.nan)
    assert "not all of its weights `exit.0.bias` are finite" in refusal(found)


def test_a_zip_that_pytorch_did_not_write_is_called_that() -> None:
    import zipfile

    with zipfile.ZipFile("generator.zip", "w") as archive:
        archive.writestr("a.png", b"")
    with pytest.raises(ColorizeError, match=r"not one that `torch\.save` wrote"):
        model_files.load("generator.zip")


def test_it_colors_a_page_and_a_hint_changes_the_result() -> None:
    zipped(state())
    told = run("page.png", "--model", "generator.zip", "-o", "out.png")
    assert (told.exit_code, told.stderr) == (0, "")
    hinted = run("page.png", "--model", "generator.zip", "--hint", "10,10=red", "-o", "red.png")
    assert hinted.exit_code == 0, hinted.stderr
    out, red = (files.read(Path(name)) for name in ("out.png", "red.png"))
    assert out.size == red.size == (96, 64)
    here, there = (picture.pixels[10, 10].astype(int) for picture in (out, red))
    assert there[0] - there[1:].max() > here[0] - here[1:].max()  # redder


def test_pixels_of_a_first_result_are_hints_of_the_second() -> None:
    found = state()
    found["exit.2.bias"] = torch.tensor([0.8, -0.5, -0.5])  # so that there is color to pick
    zipped(found)
    out = {}
    for share in ("", "0", "0.05", "0.05"):
        how = ["--auto-hints", share] if share else []
        told = run("page.png", "--model", "generator.zip", "-o", "out.png", "--overwrite", *how)
        assert told.exit_code == 0, told.stderr
        again = files.read(Path("out.png")).pixels
        assert np.array_equal(out.setdefault(share, again), again)  # the same pixels every time
    assert np.array_equal(out[""], out["0"])
    assert not np.array_equal(out[""], out["0.05"])


def test_other_models_have_no_auto_hints() -> None:
    told = run("page.png", "--model", "mini", "--auto-hints", "0.003")
    assert told.exit_code == 2
    assert "`mini` does not support --auto-hints" in " ".join(told.stderr.split())


def test_the_lightness_of_a_gray_page_stays() -> None:
    zipped(state())
    run("page.png", "--model", "generator.zip", "-o", "out.png")
    light = [rgb_to_lab(files.read(Path(name)).tensor())[:, 0] for name in ("page.png", "out.png")]
    assert float((light[0] - light[1]).abs().max()) < 0.5
    assert np.ptp(files.read(Path("out.png")).pixels.astype(int), axis=2).max() > 3  # in color


def test_line_art_keeps_its_ink() -> None:
    files.write(sketch(), Path("sketch.png"))
    zipped(state())
    assert run("sketch.png", "--model", "generator.zip", "-o", "out.png").exit_code == 0
    drawn = files.read(Path("sketch.png")).pixels[..., 0] == 0
    assert not files.read(Path("out.png")).pixels[drawn].any()


def test_more_than_one_step_is_refused() -> None:
    zipped(state())
    told = run("page.png", "--model", "generator.zip", "--steps", "8")
    assert told.exit_code == 2
    assert "colors in one step, not 8" in " ".join(told.stderr.split())


def test_saved_again_it_is_a_model_like_any_other() -> None:
    first = model_files.load(zipped(state()))
    model_files.save(first.colorizer, first.recipe, Path("model.safetensors"))
    again = model_files.load("model.safetensors")
    assert again.recipe == first.recipe
    for name, value in first.colorizer.state_dict().items():
        assert torch.equal(value, again.colorizer.state_dict()[name])


def noise_file() -> None:
    """A denoiser that finds the noise level everywhere, whatever the picture: its first planes, and no more."""
    found = {name: torch.zeros_like(value) for name, value in FFDNet().state_dict().items()}
    for name, value in found.items():
        if name.endswith("running_var"):
            value.fill_(1 - 1e-5)
        elif value.dim() == 4:
            value[:, 0, 1, 1] = 1
        elif name.endswith("weight"):
            value.fill_(1)
    named = {f"module.{name}": value for name, value in found.items()}
    torch.save(named, "net_rgb.pth", _use_new_zipfile_serialization=False)  # as in 2019


def test_a_denoiser_beside_it_cleans_what_it_sees() -> None:
    zipped(state())
    noise_file()
    loaded = model_files.load("generator.zip")
    assert sum(v.numel() for v in loaded.colorizer.condition.parameters()) == 854_688
    page = torch.rand(1, 1, 33, 50) * 2 - 1
    seen = loaded.colorizer.condition(Hints(gray=page)).stack[:, :1]
    expected = ((page + 1) / 2 - 25 / 255).clamp(0, 1) * 2 - 1
    torch.testing.assert_close(seen, expected, atol=1e-5, rtol=0)
    assert run("page.png", "--model", "generator.zip", "-o", "out.png").exit_code == 0


@pytest.mark.parametrize("content", [b"", b"\x80\2", b"<html>"])
def test_a_denoiser_that_cannot_be_read_is_a_note(content: bytes) -> None:
    zipped(state())
    Path("net_rgb.pth").write_bytes(content)
    told = run("page.png", "--model", "generator.zip", "-o", "out.png")
    assert told.exit_code == 0, told.stderr
    assert "note: pages are not denoised: `net_rgb.pth` is" in " ".join(told.stderr.split())
    assert files.read(Path("out.png")).size == (96, 64)


def test_a_denoiser_of_something_else_is_a_note() -> None:
    zipped(state())
    torch.save({"a": torch.ones(1)}, "net_rgb.pth")
    (note,) = model_files.load("generator.zip").colorizer.notes
    assert note.startswith("pages are not denoised: `net_rgb.pth` lacks the tensor")


def test_it_is_finetuned_on_pictures_but_for_what_it_never_runs(folder: Path) -> None:
    zipped(state())
    recipe = model_files.load("generator.zip").recipe
    sets = [f"finetune.{text}" for text in (*SMALL_STAGE, "objective.critic=[8,8,8,8]")]
    recipe = override(recipe, *sets)
    options = TrainOptions(folder, "finetune", "generator.zip", out=Path("tuned"), device="cpu", precision="fp32")
    list(training.Training(recipe, replace(options, sample_every=0)).steps())
    before, after = state(), model_files.load("tuned").colorizer.denoiser.net.state_dict()
    for name, value in before.items():
        still = name.startswith(UNUSED) or "running_" in name or "num_batches" in name
        assert torch.equal(value, after[name]) == still, name


@pytest.mark.slow
def test_the_full_size_loads_and_colors() -> None:
    found = state(SecondSpec())
    assert len(found) == 645
    assert sum(v.numel() for n, v in found.items() if "running" not in n and v.dim()) == 32_140_402
    zipped(found)
    told = run("page.png", "--model", "generator.zip", "--hint", "10,10=red", "-o", "out.png")
    assert told.exit_code == 0, told.stderr
    assert files.read(Path("out.png")).size == (96, 64)
