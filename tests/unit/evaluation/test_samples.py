"""What the modes give: strangers are strange, palettes those of the truth, dots nested. Files are read once."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from colorize.errors import ColorizeError
from colorize.evaluation.samples import Dataset, samples
from colorize.images import files, palettes

SHARES = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
ROWS = (  # name, set, group: `tree` spans two sets
    ("a", "one", "cat"),
    ("b", "one", "tree"),
    ("c", "two", "tree"),
    ("d", "two", "house"),
    ("e", "three", "boat"),
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "validation"
    folder.mkdir(parents=True)
    rows = []
    for at, (name, collection, group) in enumerate(ROWS):
        pixels = np.full((64, 64, 3), 255, np.uint8)
        pixels[16:48, 16:48] = (40 * at, 200 - 30 * at, 90)
        Image.fromarray(pixels).save(folder / f"{name}.png")
        rows.append({"file_name": f"{name}.png", "set": collection, "group": group})
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder.parent


def partners(data: Path, seed: int = 0) -> dict[str, str]:
    found = samples(data, "shuffled", 64, seed)
    return {task.name[0]: task.reference.stem for task in found.tasks if task.reference}


def test_a_stranger_is_of_another_set_and_group(data):
    known = {name: (collection, group) for name, collection, group in ROWS}
    for seed in range(20):
        for name, other in partners(data, seed).items():
            assert all(mine != theirs for mine, theirs in zip(known[name], known[other], strict=True))


def test_the_same_seed_gives_the_same_strangers_and_another_seed_others(data):
    assert partners(data) == partners(data)
    assert len({tuple(partners(data, seed).items()) for seed in range(10)}) > 1


def test_a_folder_of_one_set_has_no_strangers(data):
    (data / "validation" / "metadata.jsonl").unlink()
    with pytest.raises(ColorizeError, match="another set and group"):
        samples(data, "shuffled", 64)


def test_the_palette_is_what_sample_would_be_given(data):
    one = samples(data, "palette", 64)[0]
    assert one.reference is not None
    assert torch.equal(one.reference, palettes.swatches(palettes.dominant(one.truth)))


def test_dots_of_a_smaller_share_are_among_those_of_a_larger_one(data):
    held = [samples(data, "hints", 64, share=share)[0].hints for share in SHARES]
    for fewer, more in pairwise(held):
        told = fewer[:, 3:] > 0
        assert told.sum() < (more[:, 3:] > 0).sum()
        assert torch.equal(torch.where(told, fewer, 0), torch.where(told, more, 0))


def test_only_hints_have_a_share(data):
    assert samples(data, "none", 64, share=0.02).protocol == samples(data, "none", 64).protocol
    first, second = (samples(data, "hints", 64, share=share).protocol for share in (0.02, 0.005))
    assert first != second


@pytest.mark.parametrize("share", [0, -0.1, 1.1, float("nan")])
def test_an_impossible_share_is_refused(data, share):
    with pytest.raises(ColorizeError, match="% of the pixels"):
        samples(data, "hints", 64, share=share)


def test_modes_that_share_a_data_set_read_every_file_once(data, monkeypatch):
    hashed, decoded = Counter(), Counter()
    sha256, read = files.sha256, files.read

    def hashing(content) -> str:
        if isinstance(content, Path):
            hashed[content.name] += 1
        return sha256(content)

    def decoding(path: Path):
        decoded[path.name] += 1
        return read(path)

    monkeypatch.setattr(files, "sha256", hashing)
    monkeypatch.setattr(files, "read", decoding)
    dataset = Dataset(data)
    for mode in ("same", "shuffled", "palette", "hints", "none"):
        list(samples(dataset, mode, 64))
    assert set(hashed.values()) == {1}
    assert set(decoded.values()) == {1}
    assert len(hashed) == len(decoded) == len(ROWS)


def test_pictures_that_do_not_fit_into_memory_are_read_again(data, monkeypatch):
    monkeypatch.setattr("colorize.evaluation.samples.CACHE", 2 * 3 * 64 * 64 * 4)
    kept, fresh = (samples(Dataset(data), "none", 64, kind="gray"), samples(data, "none", 64, kind="gray"))
    for _ in range(2):
        for one, other in zip(kept, fresh, strict=True):
            assert torch.equal(one.truth, other.truth)


def test_partners_may_be_asked_to_share_colors(data):
    (data / "validation" / "metadata.jsonl").write_text(
        "\n".join(json.dumps({"file_name": f"{name}.png", "set": "one", "group": "all"}) for name, _, _ in ROWS)
    )
    (data / "validation" / "e.png").write_bytes((data / "validation" / "a.png").read_bytes())
    plain = samples(data, "cross", 64)
    assert len(plain) == len(ROWS)
    fussy = samples(data, "cross", 64, alike=0.5)
    assert 0 < len(fussy) < len(ROWS)
    for task in fussy.tasks:
        here, there = (files.read(path).tensor() for path in (task.row.file, task.reference))
        assert palettes.shared(here, there) >= 0.5
    assert fussy.protocol != plain.protocol
    assert samples(data, "same", 64, alike=0.5).protocol == samples(data, "same", 64).protocol


def test_partners_that_share_no_colors_are_no_partners(data):
    with pytest.raises(ColorizeError, match="shares enough colors"):
        samples(data, "cross", 64, alike=1.0)


def test_stored_hints_are_given_where_the_picture_lies(data):
    hints = np.zeros((32, 64, 4), np.uint8)  # of a picture twice as wide as high
    hints[8:12, 16:20] = (255, 0, 0, 255)
    Image.fromarray(hints).save(data / "validation" / "hints.png")
    Image.fromarray(np.full((32, 64, 3), 200, np.uint8)).save(data / "validation" / "wide.png")
    row = {"file_name": "wide.png", "hint_file_name": "hints.png"}
    (data / "validation" / "metadata.jsonl").write_text(json.dumps(row))
    (one,) = samples(data, "stored", 64)
    assert one.hints is not None
    marked = one.hints[0, 3] > 0
    assert marked[24:28, 16:20].all()
    assert marked.sum() == 16
    assert (one.hints[0, :3, marked] == torch.tensor([[1.0], [-1.0], [-1.0]])).all()
    assert samples(data, "none", 64).protocol.data != samples(data, "stored", 64).protocol.data


def test_stored_hints_must_be_transparent(data):
    row = {"file_name": "a.png", "hint_file_name": "b.png"}
    (data / "validation" / "metadata.jsonl").write_text(json.dumps(row))
    with pytest.raises(ColorizeError, match="not transparent"):
        list(samples(data, "stored", 64))


def test_a_folder_without_hints_has_no_stored_ones(data):
    with pytest.raises(ColorizeError, match="hint_file_name"):
        samples(data, "stored", 64)
