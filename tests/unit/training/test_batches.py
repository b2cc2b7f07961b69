"""Training batches: repeatable, aligned, and drawn as the recipe says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import torch
from conftest import tiny
from PIL import Image

from colorize.images.dataset_folder import Row
from colorize.recipes.recipe import Mix
from colorize.training.batches import Pictures, companions, row_weights

CPU = torch.device("cpu")


def pictures(folder: Path, seed: int = 0, name: str = "walker", **mix: object) -> Pictures:
    recipe = tiny(name)
    stage = replace(recipe.pretrain, mix=replace(recipe.pretrain.mix, **mix), batch=4)
    return Pictures(folder, recipe, stage, seed, CPU)


def test_a_batch_depends_on_its_number_only(folder: Path) -> None:
    first, second = pictures(folder), pictures(folder)
    second.batch(0)
    assert torch.equal(first.batch(7).color, second.batch(7).color)


def test_another_seed_gives_another_batch(folder: Path) -> None:
    assert not torch.equal(pictures(folder).batch(0).color, pictures(folder, seed=1).batch(0).color)


def test_everything_lies_in_range(folder: Path) -> None:
    batch = pictures(folder).batch(3)
    for value in (batch.color, *batch.hints.values()):
        assert value.isfinite().all()
        assert value.abs().max() <= 1 + 1e-4


def test_gray_rows_have_no_ink_and_are_marked(folder: Path) -> None:
    batch = pictures(folder, gray=1.0).batch(0)
    assert bool(batch.drop["line"].all())
    assert bool((batch.hints["line"] == 1).all())


def test_without_hue_changes_colors_are_the_pictures_own(folder: Path) -> None:
    plain = pictures(folder, name="anime-diffusion", hue=0.0, flip=0.0).batch(0)
    stored = {tuple(Image.open(p).getpixel((24, 24))) for p in folder.glob("train/*.png")}
    seen = ((plain.color[:, :, 16, 16] + 1) * 127.5).round().int().tolist()
    assert all(min(max(abs(a - b) for a, b in zip(row, s, strict=True)) for s in stored) <= 2 for row in seen)


def test_hue_changes_reach_the_reference_too(folder: Path) -> None:
    mix = {"hue": 1.0, "reference": 1.0, "gray": 0.0, "warp": 0.0, "loose": 0.0, "shuffle": 0.0}
    batch = pictures(folder, other=0.0, degrade=0.0, **mix).batch(0)
    center = batch.color[:, :, 16, 16] - batch.hints["reference"][:, :, 16, 16]
    assert center.abs().max() < 0.05


def test_named_sets_get_their_share() -> None:
    rows = [Row(Path(str(i)), set="a" if i < 90 else "b") for i in range(100)]
    weights = row_weights(rows, (("b", 0.5), ("absent", 0.3)))
    assert abs(float(weights[90:].sum()) - 0.5) < 1e-9


def test_references_come_from_the_same_group_only() -> None:
    rows = [Row(Path(str(i)), group=g) for i, g in enumerate("aabc")]
    assert companions(rows) == [[1], [0], [], []]


def test_unreadable_pictures_are_left_out_and_named(folder: Path) -> None:
    (folder / "train" / "broken.png").write_bytes(b"not a picture")
    data = pictures(folder)
    assert len(data) == 6
    assert "broken.png" in data.skipped[0]


def test_a_folder_too_large_for_memory_gives_the_same_batch(folder: Path, monkeypatch: object) -> None:
    from colorize.training import batches

    inside = pictures(folder).batch(2).color
    monkeypatch.setattr(batches, "MEMORY", 0)  # type: ignore[attr-defined]
    assert torch.equal(pictures(folder).batch(2).color, inside)


def test_palettes_are_mosaics_of_few_colors(folder: Path) -> None:
    batch = pictures(folder, palette=1.0).batch(0)
    for reference in batch.hints["reference"]:
        assert len(reference.flatten(1).T.unique(dim=0)) <= 8


def test_tones_lie_on_line_art_only(folder: Path) -> None:
    mix = {"gray": 0.0, "degrade": 0.0, "restyle": 0.0, "jpeg": 0.0}
    plain = pictures(folder, tone=0.0, **mix).batch(1).hints["line"]
    toned = pictures(folder, tone=1.0, **mix).batch(1).hints["line"]
    assert (toned <= plain).all()
    assert not torch.equal(toned, plain)
    assert (pictures(folder, tone=1.0, gray=1.0).batch(1).hints["line"] == 1).all()


def test_a_mate_without_shared_colors_is_no_reference(folder: Path) -> None:
    # The figures of the folder are one square each, of a color of its own; all are one group.
    rows = [{"file_name": f"picture{i}.png", "group": "one"} for i in range(6)]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "train" / "metadata.jsonl").write_text(text)
    plain = {"other": 1.0, "warp": 0.0, "loose": 0.0, "shuffle": 0.0, "palette": 0.0}
    plain |= {"hue": 0.0, "crop": 1.0, "turn": 0.0, "flip": 0.0, "gray": 1.0}
    foreign = pictures(folder, alike=0.0, **plain).batch(0)
    own = pictures(folder, alike=1.0, **plain).batch(0)
    far = (foreign.hints["reference"] - foreign.color).abs().mean((1, 2, 3))
    near = (own.hints["reference"] - own.color).abs().mean((1, 2, 3))
    assert (far > 0.05).sum() > (near > 0.05).sum()
    assert (near <= 0.05).any()


def test_gray_systems_get_no_line(folder: Path) -> None:
    batch = pictures(folder, name="lab-diffusion").batch(0)
    assert set(batch.hints) == {"gray"}
    assert batch.drop == {}


def test_mix_refuses_shares_outside_zero_to_one() -> None:
    import pytest

    from colorize.errors import ColorizeError

    with pytest.raises(ColorizeError, match="share"):
        Mix(gray=1.5)
