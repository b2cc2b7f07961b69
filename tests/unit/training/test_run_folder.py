"""Claims about the folder of a run: who writes there, and how. Bugs guarded: two runs in one folder."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
import tiny as small
import torch
from conftest import tiny
from safetensors.torch import load_file

from colorize.checkpoints import weights_io
from colorize.errors import ColorizeError
from colorize.training import run
from colorize.training.optimizer import Ranks
from colorize.training.options import TrainOptions
from colorize.training.run import WEIGHTS
from colorize.training.run_folder import LOCK, STATE, Lock

LEFT = ".0123456789abcdef.safetensors"


RECIPE = tiny("anime-diffusion")  # four steps of it


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def options(folder: Path, out: Path) -> TrainOptions:
    return TrainOptions(folder, out=out, sample_every=0)


def test_a_second_run_in_a_folder_is_refused_even_if_it_would_restart(options, out):
    for progress in run.Training(RECIPE, options).steps():
        if progress.step == 2:
            break
    before = (out / STATE).read_bytes()
    held = Lock(out)
    for restart in (False, True):
        with pytest.raises(ColorizeError, match="another training run"):
            run.Training(RECIPE, replace(options, restart=restart))
    held.free()
    assert (out / STATE).read_bytes() == before


def test_a_run_holds_its_folder_from_its_beginning_to_its_end(options, out):
    training = run.Training(RECIPE, options)
    for _ in training.steps():
        with pytest.raises(ColorizeError, match="another training run"):
            run.Training(RECIPE, options)
    assert not (out / LOCK).exists()
    Lock(out).free()


def test_a_refused_run_does_not_hold_the_folder(options, out):
    out.mkdir()
    (out / WEIGHTS).write_bytes(b"of something else")
    with pytest.raises(ColorizeError, match="but no run") as caught:
        run.Training(RECIPE, options)
    assert [path.name for path in out.iterdir()] == [WEIGHTS]
    assert caught.tb is not None  # which keeps the refused object alive
    Lock(out).free()


def test_of_several_processes_of_one_run_only_the_first_takes_the_folder(options, out, monkeypatch):
    run.Training(RECIPE, options).release()
    held = Lock(out)
    monkeypatch.setattr(run.optimizer, "join", lambda name: (Ranks(1, 1), name))
    assert run.Training(RECIPE, options).lock is None
    held.free()


def test_the_next_start_removes_what_a_killed_one_left(options, out):
    out.mkdir()
    (out / LEFT).write_bytes(b"half")
    run.Training(RECIPE, options).release()
    assert not (out / LEFT).exists()


def test_batches_are_made_ahead_only_where_they_take_nothing_from_the_network(options, out):
    training = run.Training(RECIPE, options)
    assert not training.prefetch
    training.device = torch.device("cuda")
    assert not training.prefetch  # the pictures are in graphics memory, and so are the batches
    training.pictures.store.pages = None  # pictures are read when they are needed
    assert training.prefetch
    training.release()


# How its files are written


def test_others_may_read_the_state(tmp_path):
    # Guards against the library's own writer, whose files only their owner can read.
    small.train(tmp_path, small.mean_color, steps=1)
    (tmp_path / "plain").write_text("")
    assert (tmp_path / "state.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_bytes_reach_the_disk_before_the_name_and_the_name_before_the_end(tmp_path, monkeypatch):
    # Guards against states that are empty after a power cut.
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(file: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(file).st_mode) else "file")
        fsync(file)

    def renamed(path: Path, target: Path) -> Path:
        done.append("name")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    weights_io.write(tmp_path / "a.safetensors", {"a": torch.ones(2)}, {})
    assert done == ["file", "name", "folder"]


def test_a_state_is_written_that_way(tmp_path, monkeypatch):
    written: list[str] = []
    write = weights_io.write
    monkeypatch.setattr(
        "colorize.training.run_folder.write", lambda path, *more: (written.append(path.name), write(path, *more))
    )
    small.train(tmp_path, small.mean_color, steps=1)
    assert written == ["state.safetensors"]


KINDS = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
KINDS += [torch.int64, torch.int32, torch.uint8, torch.bool]


@pytest.mark.parametrize("dtype", KINDS)
def test_the_library_reads_what_we_write(dtype, tmp_path):
    values = {
        "many": torch.arange(24).reshape(2, 3, 2, 2).to(dtype),
        "last": torch.ones(1, 3, 2, 2).to(dtype, memory_format=torch.channels_last),
        "turned": torch.arange(6).reshape(2, 3).to(dtype).T,
        "one": torch.tensor(1).to(dtype),
        "none": torch.empty(0, 3).to(dtype),
        "odd": torch.ones(3, dtype=torch.uint8),  # three bytes, which must not push others
    }
    weights_io.write(tmp_path / "a.safetensors", values, {"é": "ü\n"})
    back = load_file(tmp_path / "a.safetensors")
    assert back.keys() == values.keys()
    assert all(back[name].dtype == values[name].dtype for name in values)
    assert all(torch.equal(back[name], values[name]) for name in values)
    assert weights_io.read(tmp_path / "a.safetensors")[0] == {"é": "ü\n"}


def test_a_folder_of_pictures_is_no_run_folder(tmp_path: Path) -> None:
    run.check_folder(tmp_path / "new")
    run.check_folder(tmp_path)
    (tmp_path / "log.jsonl").write_text("")
    run.check_folder(tmp_path)  # a run that ended at once
    (tmp_path / "mine.png").write_bytes(b"painted")
    with pytest.raises(ColorizeError, match=r"holds other files, such as `mine\.png`"):
        run.check_folder(tmp_path)
    (tmp_path / "recipe.json").write_text("{}")
    run.check_folder(tmp_path)  # a run's, with a file that somebody put there
