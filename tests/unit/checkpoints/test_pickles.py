"""Claims about reading PyTorch checkpoints: tensors come out, and what is none is refused."""

from __future__ import annotations

import argparse
import io
import pickle
import struct
import time
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from forged import Pickler, archive, fake, refusal, saved
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from colorize.checkpoints.pickles import read
from colorize.errors import ColorizeError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.pt"


def old(value: object, path: Path) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=False)
    return path


# What comes through

KINDS = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32]
KINDS += [torch.int16, torch.int8, torch.uint8, torch.bool, torch.complex64, torch.complex128]


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("save", [saved, old])
def test_numbers_of_every_kind_come_through(
    dtype: torch.dtype, save: Callable[[object, Path], Path], path: Path
) -> None:
    value = torch.tensor([[0, 1, 2], [3, 4, 5]]).to(dtype)
    back = read(save({"a": value}, path))["a"]
    assert back.dtype == dtype
    assert torch.equal(back, value)


def test_a_state_dict_comes_through_in_its_order(path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(2, 2))
    back = read(saved(net.state_dict(), path))
    assert list(back) == list(net.state_dict())
    assert all(torch.equal(back[name], value) for name, value in net.state_dict().items())


BASE = torch.arange(24.0).reshape(2, 3, 4)
VIEWS = {
    "transposed": BASE.transpose(0, 2),
    "a slice": BASE[1:, ::2, 1:3],
    "channels last": torch.randn(1, 3, 2, 2).contiguous(memory_format=torch.channels_last),
    "repeated": torch.ones(1).expand(5),
    "a single number": torch.tensor(3.5),
    "empty": torch.empty(0, 3),
    "a parameter": nn.Parameter(torch.ones(3)),
}


@pytest.mark.parametrize("what", VIEWS)
def test_views_come_through(what: str, path: Path) -> None:
    assert torch.equal(read(saved({"a": VIEWS[what]}, path))["a"], VIEWS[what])


def test_nested_tensors_have_dotted_names(path: Path) -> None:
    tree = {"state_dict": {"net.0": torch.ones(1)}, "moments": [torch.ones(2), (torch.ones(3),)], 7: 8}
    assert list(read(saved(tree, path))) == ["state_dict.net.0", "moments.0", "moments.1.0"]


def test_tensors_that_share_memory_still_do(path: Path) -> None:
    back = read(saved({"a": BASE, "b": BASE}, path))
    assert back["a"].data_ptr() == back["b"].data_ptr()


def test_what_is_no_tensor_is_left_out(path: Path) -> None:
    other = argparse.Namespace(lr=1e-4, betas=(0.9, 0.99), when={time.gmtime(0)})
    back = read(saved({"config": other, "epoch": 3, "weight": torch.ones(2), "set": {1, 2}}, path))
    assert list(back) == ["weight"]


def test_a_checkpoint_without_a_suffix_is_read(tmp_path: Path) -> None:
    assert list(read(saved({"a": torch.ones(1)}, tmp_path / "weights"))) == ["a"]


# What is no checkpoint

OTHER = {
    "empty": b"",
    "a page": b"<html>",
    "a safetensors file": struct.pack("<Q", 2) + b"{}",
    "a bare pickle": pickle.dumps({"a": 1}, 2),
    "a zip file cut short": b"PK\3\4" + bytes(40),
}


@pytest.mark.parametrize("what", OTHER)
def test_what_is_no_checkpoint_is_a_sentence(what: str, path: Path) -> None:
    path.write_bytes(OTHER[what])
    assert "`model.pt`" in refusal(path)


# Files of PyTorch before 1.6


def test_an_old_state_dict_comes_through_in_its_order(path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(2, 2))
    back = read(old({"state_dict": net.state_dict(), "epoch": 3}, path))
    assert list(back) == [f"state_dict.{name}" for name in net.state_dict()]
    assert all(torch.equal(back[f"state_dict.{name}"], value) for name, value in net.state_dict().items())


@pytest.mark.parametrize("what", VIEWS)
def test_old_views_come_through(what: str, path: Path) -> None:
    back = read(old({"a": VIEWS[what]}, path))["a"]
    assert torch.equal(back, VIEWS[what])
    assert not back.requires_grad


def test_an_old_checkpoint_runs_no_code(path: Path, tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[object, tuple[Path, ...]]:
            return Path.mkdir, (tmp_path / "target",)

    old({"a": torch.ones(1), "b": Attack()}, path)
    with suppress(ColorizeError):
        read(path)
    assert not (tmp_path / "target").exists()


def test_old_tensors_that_share_memory_still_do(path: Path) -> None:
    back = read(old({"a": BASE, "b": BASE[1]}, path))
    assert torch.equal(back["b"], BASE[1])
    assert back["a"][1].data_ptr() == back["b"].data_ptr()


def test_an_old_optimizer_is_left_out(path: Path) -> None:
    tree = {"optimizer": {"m": torch.zeros(9)}, "net": torch.ones(2), "scheduler_optim": torch.zeros(3)}
    back = read(old(tree, path))
    assert list(back) == ["net"]
    assert torch.equal(back["net"], torch.ones(2))


def test_an_old_checkpoint_cut_short_anywhere_is_refused(path: Path) -> None:
    data = old({"a": torch.ones(50)}, path).read_bytes()
    for size in [*range(0, len(data) - 1, 37), len(data) - 1]:
        path.write_bytes(data[:size])
        refusal(path)


def test_an_old_checkpoint_is_refused_before_it_fills_memory(path: Path) -> None:
    assert "declares tensors of more than" in refusal(old({"a": torch.ones(1).expand(2**33)}, path))


# Other files


def test_another_zip_file_is_named(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a/b.txt", "")
    assert "not one that `torch.save` wrote" in refusal(path)


def test_a_whole_model_is_told_from_a_state_dict(path: Path) -> None:
    assert "a whole model" in refusal(saved(nn.Linear(2, 2), path))


def test_a_missing_file_is_a_sentence(path: Path) -> None:
    assert refusal(path).endswith("cannot be read: No such file or directory")


def test_a_checkpoint_cut_short_anywhere_is_refused(path: Path) -> None:
    data = saved({"a": torch.ones(50)}, path).read_bytes()
    for size in [*range(0, len(data) - 1, 37), len(data) - 1]:
        path.write_bytes(data[:size])
        refusal(path)


def test_a_changed_number_is_noticed(path: Path) -> None:
    data = bytearray(saved({"a": torch.full((4,), 3.0)}, path).read_bytes())
    data[data.index(struct.pack("<f", 3.0))] ^= 1
    path.write_bytes(data)
    assert "is damaged" in refusal(path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_index_is_a_sentence_or_harmless(path: Path, data: st.DataObject) -> None:
    stream = io.BytesIO()
    Pickler(stream, 2).dump(OrderedDict(a=fake(), b=[1, fake(size=(2, 2), stride=(2, 1))]))
    index = bytearray(stream.getvalue())
    for _ in range(data.draw(st.integers(1, 3))):
        index[data.draw(st.integers(0, len(index) - 1))] = data.draw(st.integers(0, 255))
    archive(path, bytes(index))
    with suppress(ColorizeError):
        assert all(isinstance(value, Tensor) for value in read(path).values())
