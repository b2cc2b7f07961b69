"""Data sets in Parquet: rows become the same training data as files, and hints are told from lines."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from sources import SMALL, colored, contents, run, save
from tables import BLOB, SIDE, encoded, published, row, scribbled, sketch, table

from colorize.datasets import parquet
from colorize.datasets.crop import make_pair
from colorize.datasets.prepare import PrepareOptions, prepare
from colorize.errors import ColorizeError
from colorize.images import files, hint_files
from colorize.images.dataset_folder import read_folder

FULL = {"size": SIDE}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return published(tmp_path / "source")


def test_rows_become_color_line_and_hints(source, tmp_path):
    summary = run(source, tmp_path / "data", **FULL)
    assert (summary.layout, summary.counts) == ("parquet", {"train": 8, "validation": 2, "test": 2})
    rows = read_folder(tmp_path / "data", "test")
    left, top, right, bottom = BLOB
    for seed, one in zip((10, 11), rows, strict=True):
        assert np.array_equal(np.asarray(Image.open(one.file)), colored(seed, SIDE))
        assert np.array_equal(np.asarray(Image.open(one.line)), sketch(seed)[..., 0])
        hint = np.asarray(Image.open(one.hint))
        apart = (scribbled(seed) != sketch(seed)).any(2)
        assert not hint[~apart].any()
        held = hint[top:bottom, left:right]
        assert (held[..., 3] == 255).mean() > 0.8
        under, seen = colored(seed, SIDE)[top:bottom, left:right], held[..., 3] > 0
        assert np.array_equal(held[seen, :3], under[seen])


def test_a_row_says_where_it_comes_from(source, tmp_path):
    run(source, tmp_path / "data")
    lines = (tmp_path / "data/test/metadata.jsonl").read_text().splitlines()
    assert json.loads(lines[1]) == {
        "file_name": "color/data/test-00000-of-00001/000001.png",
        "line_file_name": "line/data/test-00000-of-00001/000001.png",
        "hint_file_name": "hints/data/test-00000-of-00001/000001.png",
        "group": "data/test-00000-of-00001/000001",
        "source": "data/test-00000-of-00001.parquet:1:full_colour",
    }


def test_a_stopped_run_reads_only_what_is_missing(source, tmp_path, monkeypatch):
    run(source, tmp_path / "whole")
    halted = prepare(source, tmp_path / "halted", PrepareOptions(**SMALL))
    done = len(list(islice(halted, 5)))
    halted.close()
    made = []
    monkeypatch.setattr("colorize.datasets.prepare.make_pair", lambda *job: made.append(job) or make_pair(*job))
    run(source, tmp_path / "halted")
    assert len(made) == 12 - done
    assert contents(tmp_path / "halted") == contents(tmp_path / "whole")


def test_rows_are_read_as_they_are_needed(tmp_path, monkeypatch):
    """A data set of 13 GB must not be in memory at once, though a row group may hold all of it."""
    table(tmp_path / "one.parquet", [row(seed) for seed in range(40)], group=40)
    monkeypatch.setattr("colorize.datasets.parquet.AT_ONCE", 2)
    events = prepare(tmp_path / "one.parquet", tmp_path / "data", PrepareOptions(**SMALL))
    read, plain = [], pq.ParquetFile.iter_batches

    def watched(self, *arguments, **named):
        for batch in plain(self, *arguments, **named):
            read.append(batch.num_rows)
            yield batch

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", watched)
    taken = list(islice(events, 3))
    events.close()
    assert len(taken) == 3
    assert max(read) == 2
    assert sum(read) < 16


def test_broken_rows_are_named_and_left_out(tmp_path):
    rows = [row(seed) for seed in range(4)]
    rows[0]["full_colour"] = {"bytes": b"no picture", "path": "a.png"}
    rows[1]["sketch"] = {"bytes": None, "path": "/etc/passwd"}
    rows[2]["full_colour"] = None
    path = table(tmp_path / "train.parquet", rows)
    summary = run(path, tmp_path / "data")
    assert sum(summary.counts.values()) == 1
    reasons = dict(summary.skipped)
    assert list(reasons) == [f"train.parquet:{n}:full_colour" for n in range(3)]
    assert "`train.parquet:1:sketch` holds no picture" in reasons["train.parquet:1:full_colour"]


def test_what_follows_a_damaged_place_is_left_out(tmp_path):
    path = table(tmp_path / "train.parquet", [row(seed) for seed in range(6)])
    data = bytearray(path.read_bytes())
    middle = data.find(encoded(colored(3, SIDE))[:60])
    assert middle > 0
    start = data.rfind(encoded(colored(2, SIDE))[:8], 0, middle)
    data[start - 60 : start] = b"\xff" * 60  # the header of the page
    path.write_bytes(data)
    summary = run(path, tmp_path / "data")
    assert [name for name, _ in summary.skipped] == [f"train.parquet:{n}:full_colour" for n in range(2, 6)]


def test_binary_columns_of_other_names_will_do(tmp_path):
    rows = [{"Image": encoded(colored(seed)), "id": seed} for seed in range(3)]
    summary = run(table(tmp_path / "source/a.parquet", rows).parent, tmp_path / "data")
    assert sum(summary.counts.values()) == 3
    assert not any(one.hint for one in read_folder(tmp_path / "data"))


def test_rows_without_hints_leave_the_column_empty(tmp_path):
    rows = [row(seed) for seed in range(3)]
    rows[1]["sketch_and_scribbles_merged"] = rows[1]["sketch"]
    run(table(tmp_path / "a.parquet", rows), tmp_path / "data", validation=0, test=0)
    hints = [one.hint is not None for one in read_folder(tmp_path / "data")]
    assert hints == [True, False, True]
    assert len(list((tmp_path / "data/train/hints").rglob("*.png"))) == 2


def test_prepared_data_is_read_by_datasets(source, tmp_path, monkeypatch):
    run(source, tmp_path / "data")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    from datasets import load_dataset

    found = load_dataset("imagefolder", data_dir=str(tmp_path / "data"), cache_dir=str(tmp_path / "cache"))
    assert {name: len(part) for name, part in found.items()} == {"train": 8, "validation": 2, "test": 2}
    assert found["test"][0]["hint"].mode == "RGBA"


# What is refused


def test_missing_columns_are_named(tmp_path):
    path = table(tmp_path / "a.parquet", [{"photo": b"x", "image": 3}])
    with pytest.raises(ColorizeError, match="its columns are `photo`, `image`") as error:
        run(path, tmp_path / "data")
    assert "full_colour" in error.value.hint


def test_the_missing_package_is_named(source, tmp_path, monkeypatch):
    monkeypatch.setattr("colorize.datasets.parquet.find_spec", lambda name: None)
    with pytest.raises(ColorizeError, match="datasets") as error:
        run(source, tmp_path / "data")
    assert "pip install datasets" in error.value.hint


def test_a_missing_file_of_a_numbered_set_is_named(source, tmp_path):
    (source / "data/train-00001-of-00002.parquet").unlink()
    with pytest.raises(ColorizeError, match=r"lacks 1 of 2 .*`data/train-00001-of-00002.parquet`"):
        run(source, tmp_path / "data")


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + b"\xff" * 60 + b"PAR1", b"text" * 99])
def test_what_is_no_parquet_is_refused(tmp_path, data):
    (tmp_path / "a.parquet").write_bytes(data)
    with pytest.raises(ColorizeError, match=r"`a\.parquet` cannot be read as Parquet"):
        run(tmp_path / "a.parquet", tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_file_that_claims_more_rows_than_it_has_bytes_is_refused(tmp_path):
    cells = pa.nulls(1_000_000, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    pq.write_table(pa.table({"image": cells}), tmp_path / "a.parquet")
    with pytest.raises(ColorizeError, match="it claims 1000000 rows in"):
        run(tmp_path / "a.parquet", tmp_path / "data")


def test_a_column_that_unpacks_to_far_more_than_its_size_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "UNPACKED", 2**20)
    pq.write_table(pa.table({"image": [bytes(2**22)]}), tmp_path / "a.parquet", compression="zstd")
    with pytest.raises(ColorizeError, match="would unpack to more than 200 times its size"):
        run(tmp_path / "a.parquet", tmp_path / "data")


def test_pictures_beside_parquet_come_first_unless_told_otherwise(source, tmp_path):
    save(colored(50), source / "a.png")
    assert run(source, tmp_path / "one").layout == "pictures"
    assert run(source, tmp_path / "two", layout="parquet").layout == "parquet"


# Hints and lines


def tensor(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 127.5 - 1


@pytest.mark.parametrize("quality", [95, 75, 50])
def test_the_noise_of_jpeg_is_no_hint(quality):
    """Drawing and merged picture were stored each for itself, and lines ring."""
    left, top, right, bottom = BLOB
    drawing, both = (files.read(encoded(pixels, "JPEG", quality)).tensor() for pixels in (sketch(1), scribbled(1)))
    mask = hint_files.from_painted(both, drawing)[0, 3].numpy() > 0
    near = np.zeros_like(mask)
    near[top - 16 : bottom + 16, left - 16 : right + 16] = True  # blocks of 16 x 16 pixels
    assert mask[top + 4 : bottom - 4, left + 4 : right - 4].mean() > 0.8
    assert not (mask & ~near).any()


def test_hints_keep_their_texture():
    found = hint_files.from_painted(tensor(scribbled(2)), tensor(sketch(2)))
    mask = found[0, 3] > 0
    assert torch.equal(found[0, :3, mask], tensor(scribbled(2))[0, :, mask])
    assert len(torch.unique(found[0, :3, mask], dim=1).T) > 4
