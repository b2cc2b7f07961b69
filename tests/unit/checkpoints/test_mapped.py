"""Claims about the tensors of a file: fetched when asked for, gone from memory after, refused if they change."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from colorize.checkpoints import weights_io
from colorize.checkpoints.weights_io import Mapped, Renamed, strip_prefix
from colorize.errors import ColorizeError

MEGABYTE = 2**20
ROWS = 16  # tensors of a megabyte each


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of many windows."""
    monkeypatch.setattr(weights_io, "WINDOW", 2 * MEGABYTE)
    rng = torch.Generator().manual_seed(0)
    values = {f"part.{i}": torch.rand(MEGABYTE // 4, generator=rng) for i in range(ROWS)}
    save_file({**values, "one": torch.tensor(1.0), "none": torch.zeros(0, 3)}, tmp_path / "a")
    return tmp_path / "a"


def in_memory(path: Path) -> int:
    """Bytes of a mapped file that count as memory of this process."""
    maps = Path("/proc/self/smaps").read_text()
    own = re.findall(rf"^[0-9a-f]+-[0-9a-f]+ .*{re.escape(str(path))}\n(?:.*\n)*?Rss: +(\d+)", maps, re.M)
    return 1024 * sum(map(int, own))


def test_all_tensors_are_as_written_in_any_order_and_again(file: Path) -> None:
    want, found = load_file(file), Mapped(file)
    assert set(found) == set(want)
    assert len(found) == len(want)
    for name in [*reversed(list(found)), *found]:
        assert torch.equal(found[name], want[name])


def test_a_tensor_outlives_the_window_it_came_from(file: Path) -> None:
    found, want = Mapped(file), load_file(file)
    kept = {name: found[name] for name in found}
    assert all(torch.equal(value, want[name]) for name, value in kept.items())


def test_a_name_that_is_not_there_is_no_tensor(file: Path) -> None:
    found = Mapped(file)
    assert "stranger" not in found
    with pytest.raises(KeyError):
        found["stranger"]


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted as Linux does")
def test_what_was_read_does_not_pile_up_in_memory(file: Path) -> None:
    found, most = Mapped(file), 0
    for name in found:
        found[name].clone()
        most = max(most, in_memory(file))
    assert MEGABYTE <= most <= 4 * MEGABYTE  # a window, and the tensor that filled it


def test_a_file_replaced_while_it_is_read_is_refused(file: Path, tmp_path: Path) -> None:
    found = Mapped(file)
    save_file(load_file(file), tmp_path / "b")
    (tmp_path / "b").replace(file)  # as every writer here does
    with pytest.raises(ColorizeError, match="`a` changed while it was read"):
        [found[name] for name in found]


def test_chosen_tensors_are_fetched_only_when_asked_for() -> None:
    class Counting(dict[str, Tensor]):
        asked: tuple[str, ...] = ()

        def __getitem__(self, name: str) -> Tensor:
            self.asked += (name,)
            return super().__getitem__(name)

    others = Counting({"a.x": torch.ones(1), "a.y": torch.zeros(1), "b": torch.zeros(2)})
    some = strip_prefix(Renamed(others, {name: name for name in others}), "a.")
    assert list(some) == ["x", "y"]
    assert len(some) == 2
    assert others.asked == ()
    assert some["x"] == 1
    assert others.asked == ("a.x",)


def test_a_module_is_filled_in_the_numbers_it_asks_for_whatever_the_file_holds() -> None:
    value = torch.randn(3, 2, 3, 3)
    for kept, wanted in ((torch.float16, torch.float32), (torch.float32, torch.bfloat16)):
        layer = nn.Conv2d(2, 3, 3, bias=False, device="meta", dtype=wanted)
        weights_io.fill("a", layer, {"weight": value.to(kept)})
        assert layer.weight.dtype == wanted
        assert layer.weight.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(layer.weight, value.to(kept).to(wanted))


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_one_number_that_is_none_is_found_in_any_layout(wrong: float, layout: torch.memory_format) -> None:
    value = torch.zeros(4, 3, 3, 3)
    value[2, 1, 0, 2] = wrong
    with pytest.raises(ColorizeError, match="finite"):
        weights_io.check_finite("a", "weight", value.to(memory_format=layout))


def test_numbers_too_large_for_the_kind_asked_for_are_refused() -> None:
    layer = nn.Linear(1, 1, bias=False, device="meta", dtype=torch.float16)
    with pytest.raises(ColorizeError, match="finite"):
        weights_io.fill("a", layer, {"weight": torch.full((1, 1), 1e6)})
