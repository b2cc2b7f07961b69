"""Training in threes: the same batch by number, stores that are made once, resuming to the same curve, and memory."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from conftest import tiny
from PIL import Image
from torch._subclasses.fake_tensor import FakeTensorMode

from colorize.checkpoints import model_files
from colorize.errors import ColorizeError
from colorize.hints import Hints
from colorize.recipes.overrides import override
from colorize.region_diffusion.system import RegionColorizer
from colorize.training import objectives, region_batches, region_objective, run
from colorize.training.options import TrainOptions
from colorize.training.region_batches import Threes
from colorize.training.run import WEIGHTS

RECIPE = tiny("mini")
CPU = torch.device("cpu")


@pytest.fixture
def cast(tmp_path: Path) -> Path:
    """Two characters in three poses each, with metadata, and a picture of neither."""
    train = tmp_path / "cast" / "train"
    train.mkdir(parents=True)
    rows = []
    for name, colors in (("a", ((200, 30, 30), (30, 30, 200))), ("b", ((20, 160, 40), (240, 200, 0)))):
        for pose in range(3):
            picture = Image.new("RGB", (64, 64), "white")
            for at, color in enumerate(colors):
                picture.paste((0, 0, 0), (8 + 4 * pose, 6 + 26 * at, 44 + 4 * pose, 32 + 26 * at))
                picture.paste(color, (10 + 4 * pose, 8 + 26 * at, 42 + 4 * pose, 30 + 26 * at))
            picture.save(train / f"{name}{pose}.png")
            rows.append({"file_name": f"{name}{pose}.png", "set": "cast", "group": name})
    Image.new("RGB", (64, 64), (90, 90, 90)).save(train / "c.png")
    rows.append({"file_name": "c.png", "set": "other", "group": ""})
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (train / "metadata.jsonl").write_text(text)
    return tmp_path / "cast"


def options(data: Path, out: Path) -> TrainOptions:
    return TrainOptions(data, out=out, device="cpu", precision="fp32", sample_every=0)


def test_a_batch_depends_on_its_number_only(cast: Path, tmp_path: Path) -> None:
    batches = run.batches(RECIPE, options(cast, tmp_path / "run"), CPU)
    first, again, other = batches.batch(3), batches.batch(3), batches.batch(4)
    assert torch.equal(first.color, again.color)
    assert torch.equal(first.labels, again.labels)
    assert not torch.equal(first.color, other.color)


def test_three_pictures_of_a_batch_are_of_one_character(cast: Path, tmp_path: Path) -> None:
    batches = run.batches(RECIPE, options(cast, tmp_path / "run"), CPU)
    for step in range(8):
        pick = batches.batch(step).pick.view(-1, 3)
        characters = torch.tensor([0, 0, 0, 1, 1, 1, 2])[pick]
        assert (characters == characters[:, :1]).all()


def test_a_store_is_made_once_and_anew_when_the_pictures_change(cast: Path) -> None:
    first = region_batches.opened(cast, ())
    folders = set(region_batches.cache().iterdir())
    assert torch.equal(first.color, region_batches.opened(cast, ()).color)
    assert set(region_batches.cache().iterdir()) == folders
    Image.new("RGB", (50, 50), "red").save(cast / "train" / "c.png")
    changed = region_batches.opened(cast, ())
    assert not torch.equal(first.color, changed.color)
    assert len(set(region_batches.cache().iterdir())) == len(folders)  # the old one is gone


def test_a_picture_that_cannot_be_read_is_never_drawn(cast: Path) -> None:
    (cast / "train" / "a1.png").write_bytes(b"no picture")
    store = region_batches.opened(cast, ())
    assert store.skipped == ["a1.png"]
    assert store.weights[1] == 0
    assert all(1 not in mates for mates in store.mates)


def test_a_full_disk_is_told_before_anything_is_written(cast: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cast / "train" / "new.png").write_bytes((cast / "train" / "a0.png").read_bytes())
    usage = region_batches.shutil.disk_usage(cast)
    monkeypatch.setattr(region_batches.shutil, "disk_usage", lambda _: usage._replace(free=10_000))
    (cast / "train" / "metadata.jsonl").unlink()
    with pytest.raises(ColorizeError, match="has no room for"):
        region_batches.opened(cast, ())


def test_a_stopped_run_ends_with_the_weights_of_one_that_was_not(cast: Path, tmp_path: Path) -> None:
    whole = run.Training(RECIPE, options(cast, tmp_path / "whole"))
    list(whole.steps())
    begun = run.Training(RECIPE, options(cast, tmp_path / "parts"))
    for progress in begun.steps():
        if progress.step == 2:
            break
    rest = run.Training(RECIPE, options(cast, tmp_path / "parts"))
    assert rest.step == 2
    list(rest.steps())
    one, other = (model_files.load(tmp_path / name / WEIGHTS).colorizer.state_dict() for name in ("whole", "parts"))
    learnt = [name for name in one if name.startswith("net.")]
    assert all(torch.equal(one[name], other[name]) for name in learnt)


def test_what_training_saves_remembers_pictures_of_its_own_data(cast: Path, tmp_path: Path) -> None:
    list(run.Training(RECIPE, options(cast, tmp_path / "run")).steps())
    model = model_files.load(tmp_path / "run" / WEIGHTS).colorizer
    assert isinstance(model, RegionColorizer)
    assert len(model.memory) == 2  # one of each character that has several colors
    store = region_batches.opened(cast, ())
    region_objective.keep(model, store, [0, 3])
    assert len(model.memory) == 2
    offer = model.memory.offer(model.network, torch.tensor([1]))
    colors = offer.colors[0][offer.valid[0]]
    green = torch.tensor((20, 160, 40)) / 127.5 - 1
    assert (colors - green).norm(dim=1).min() < 0.03


def test_memory_survives_its_file(cast: Path, tmp_path: Path) -> None:
    model = RECIPE.build()
    assert isinstance(model, RegionColorizer)
    region_objective.keep(model, region_batches.opened(cast, ()), [0, 3])
    model_files.save(model, RECIPE, tmp_path / "m.safetensors", half=True)
    again = model_files.load(tmp_path / "m.safetensors").colorizer
    for name, value in model.memory.state_dict().items():
        kept = again.state_dict()[f"memory.{name}"]
        assert torch.allclose(kept.float(), value.float(), atol=2e-3), name


def test_an_objective_and_a_network_that_do_not_go_together_are_refused() -> None:
    other = tiny("walker")
    with pytest.raises(ColorizeError, match="cannot be trained with the objective Denoising"):
        objectives.build(replace(RECIPE.pretrain, objective=other.pretrain.objective), RECIPE)


def test_the_loss_mixes_no_devices(cast: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Fake tensors say where they are without a GPU, and refuse to meet those of another device.
    batch = run.batches(RECIPE, options(cast, tmp_path / "run"), CPU).batch(0)
    monkeypatch.setattr(region_objective, "_happens", lambda *_: True)
    with FakeTensorMode(allow_non_fake_inputs=True) as fake:
        with torch.device("cuda"):
            model = RECIPE.build()
        there = Threes(**{one.name: _there(fake, getattr(batch, one.name)) for one in fields(batch)})
        losses = list(region_objective.ChoosingLoss()(model, there, torch.Generator().manual_seed(0)))
    assert [loss.device.type for loss in losses] == ["cuda"]


def _there(fake: FakeTensorMode, value: object) -> object:
    """A fake of a batch's tensors on a GPU."""
    if isinstance(value, Hints):
        return Hints(**{name: fake.from_tensor(one).to("cuda") for name, one in value.items()})
    return fake.from_tensor(value).to("cuda") if isinstance(value, torch.Tensor) else value


@pytest.mark.parametrize("size", [65, 30, 16])
def test_a_size_that_cells_do_not_divide_is_refused(cast: Path, tmp_path: Path, size: int) -> None:
    recipe = override(RECIPE, f"pretrain.size={size}")
    with pytest.raises(ColorizeError, match=f"size is {size}, but this model trains on multiples of 4"):
        run.batches(recipe, options(cast, tmp_path / "run"), CPU)
