"""Claims about hostile checkpoints: code does not run, bombs do not go off."""

from __future__ import annotations

import argparse
import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from forged import Fake, Pickler, Storage, archive, fake, refusal, saved

from colorize.checkpoints import pickles
from colorize.checkpoints.pickles import read
from colorize.errors import ColorizeError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.pt"


# What does not run

ATTACKS = {
    "os.system": Fake("mkdir {}", call=os.system),
    "eval": Fake("__import__('os').mkdir('{}')", call=eval),
    "exec": Fake("import os; os.mkdir('{}')", call=exec),
}


def aimed(attack: Fake, target: Path) -> Fake:
    arguments = (str(a).format(target) for a in attack.arguments)
    return Fake(*arguments, call=attack.call)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_works_on_pickle(name: str, tmp_path: Path) -> None:
    # Guards the tests below: an attack that never works proves nothing.
    target = tmp_path / "target"
    pickle.loads(pickle.dumps(aimed(ATTACKS[name], target)))  # noqa: S301
    assert target.exists()


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_does_not_run(name: str, tmp_path: Path, path: Path) -> None:
    archive(path, {"a": fake(), "b": aimed(ATTACKS[name], tmp_path / "target")})
    with suppress(ColorizeError):
        read(path)
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_told(name: str, tmp_path: Path, path: Path) -> None:
    archive(path, {"a": fake(), "b": aimed(ATTACKS[name], tmp_path / "target")})
    assert "only harmful files do that" in refusal(path)


def test_opening_a_file_is_told(tmp_path: Path, path: Path) -> None:
    archive(path, {"a": fake(), "b": Fake(str(tmp_path / "target"), "w", call=open)})
    assert "io.open`" in refusal(path)


def test_an_unknown_function_is_not_called(tmp_path: Path, path: Path) -> None:
    # Not on any list of harmful names: being unknown is enough.
    archive(path, {"a": fake(), "b": Fake(tmp_path / "target", call=Path.mkdir)})
    with suppress(ColorizeError):
        read(path)
    assert not (tmp_path / "target").exists()


def test_an_unknown_function_does_not_spoil_the_rest(path: Path) -> None:
    archive(path, {"a": fake(), "b": Fake("x", call=argparse.FileType)})
    assert list(read(path)) == ["a"]


RAW = {
    "a dotted name": b"\x80\x04\x8c\x05shlex\x8c\x09os.system\x93\x8c\x04true\x85R.",
    "an attribute": b"cbuiltins\ngetattr\n(cbuiltins\n__import__\nS'os'\nRS'system'\ntR.",
    "INST": b"(S'true'\nios\nsystem\n.",
    "OBJ": b"(cos\nsystem\nS'true'\no.",
    "an extension code": b"\x82\x01.",
}


@pytest.mark.parametrize("how", RAW)
def test_every_way_to_name_a_function_is_closed(how: str, path: Path) -> None:
    assert refusal(archive(path, RAW[how]))


@pytest.mark.parametrize("state", [{"items": 1}, (1, 2, 3, 4)])
def test_attributes_cannot_be_set_on_what_is_built(state: object, path: Path) -> None:
    stream = io.BytesIO()
    Pickler(stream, 2).dump([OrderedDict(a=fake()), state])
    index = stream.getvalue().removesuffix(b"e.")  # a mark, the dict, the state: no list yet
    archive(path, index + b"be.")  # BUILD, APPENDS
    assert list(read(path)) == ["0.a"]


# What does not go off


def test_a_compressed_archive_is_refused(path: Path) -> None:
    archive(path, {"a": fake()}, {"archive/data/1": bytes(10**7)}, zipfile.ZIP_DEFLATED)
    assert "is compressed" in refusal(path)


def test_entries_of_more_than_the_limit_are_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickles, "LIMIT", 100)
    assert "declares more than" in refusal(saved({"a": torch.ones(10)}, path))


def test_the_limit_is_16_gib() -> None:
    assert pickles.LIMIT == 16 * 2**30


def test_many_views_of_one_storage_count_each(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    value = torch.ones(1000)
    saved({str(i): value for i in range(100)}, path)
    monkeypatch.setattr(pickles, "_SMALL", 0)
    assert "declares tensors of more than 4 times its size" in refusal(path)


def test_a_small_file_declares_no_large_tensor(path: Path) -> None:
    archive(path, {"a": fake(size=(2**30,), stride=(0,))})
    assert "declares tensors of more than 4 times its size" in refusal(path)


NESTED = b"(tp1\n" + b"".join(b"(g%d\ng%d\ntp%d\n" % (n, n, n + 1) for n in range(1, 60))
ENDLESS = b"(dp0\n" + NESTED + b"g0\ng60\nI1\ns."  # a dict whose key is 60 tuples deep


def test_keys_that_take_forever_to_hash_are_passed_over(path: Path) -> None:
    assert "holds no dict of tensors" in refusal(archive(path, ENDLESS))


def legacy(
    path: Path, tree: object, keys: object = ("0",), storages: bytes = struct.pack("<q4f", 4, 1, 2, 3, 4)
) -> Path:
    """A file as PyTorch before 1.6 wrote it, of a value, or its pickle, and what follows."""
    with path.open("wb") as stream:
        for part in (pickles._MAGIC, pickles._PROTOCOL, {}, tree, keys):
            if isinstance(part, bytes):
                stream.write(part)
            else:
                LegacyPickler(stream, 2).dump(part)
        stream.write(storages)
    return path


class LegacyPickler(Pickler):
    def persistent_id(self, value: object) -> object:
        return (*value.pid, None) if isinstance(value, Storage) else None


def test_an_old_file_made_by_hand_is_read(path: Path) -> None:
    # Guards the tests below.
    assert read(legacy(path, {"a": fake()}))["a"].tolist() == [1, 2, 3, 4]


def test_an_old_file_whose_keys_take_forever_to_hash_is_refused(path: Path) -> None:
    assert "holds no dict of tensors" in refusal(legacy(path, ENDLESS, [], b""))
    assert path.stat().st_size < 2000
    nested = b"(lp0\n" + NESTED + b"g0\ng60\na."
    assert "its storages are no list" in refusal(legacy(path, {"a": fake()}, nested))
    path.write_bytes(b"\x80\2" + ENDLESS)
    assert "not one that `torch.save` wrote" in refusal(path)


WRONG_OLD: dict[str, tuple[object, object, bytes]] = {
    "a storage larger than the file": ({"a": fake(Storage(count=2**33))}, ["0"], struct.pack("<q", 2**33)),
    "a size outside its storage": ({"a": fake(size=(5,))}, ["0"], struct.pack("<q4f", 4, 1, 2, 3, 4)),
    "a negative count": ({"a": fake(Storage(count=-2))}, ["0"], struct.pack("<q", -2)),
    "another count": ({"a": fake()}, ["0"], struct.pack("<q4f", 3, 1, 2, 3, 4)),
    "a storage that is not listed": ({"a": fake()}, [], b""),
    "a storage listed twice": ({"a": fake()}, ["0", "0"], struct.pack("<q4f", 4, 1, 2, 3, 4) * 2),
    "a storage that is not known": ({"a": fake()}, ["1"], struct.pack("<q4f", 4, 1, 2, 3, 4)),
    "a view of many times the file": (
        {"a": fake(size=(2**33,), stride=(0,))},
        ["0"],
        struct.pack("<q4f", 4, 1, 2, 3, 4),
    ),
}


@pytest.mark.parametrize("what", WRONG_OLD)
def test_an_old_tensor_of_nonsense_is_refused(what: str, path: Path) -> None:
    assert "`model.pt`" in refusal(legacy(path, *WRONG_OLD[what]))


def test_an_old_index_that_is_too_long_is_not_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickles, "_INDEX", 60)
    assert "too long an index" in refusal(legacy(path, {"a" * 100: fake()}))


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_in_an_old_file_is_told(name: str, tmp_path: Path, path: Path) -> None:
    legacy(path, {"a": fake(), "b": aimed(ATTACKS[name], tmp_path / "target")})
    assert "only harmful files do that" in refusal(path)
    assert not (tmp_path / "target").exists()


def test_a_long_key_is_passed_over(path: Path) -> None:
    archive(path, {"a" * 2000: fake(), "b": fake()})
    assert list(read(path)) == ["b"]


@pytest.mark.parametrize("name", ["../x", "/x", "archive/../../x", "a\\b"])
def test_an_entry_outside_the_archive_is_refused(name: str, path: Path) -> None:
    assert "names entries outside itself" in refusal(archive(path, {"a": fake()}, {name: b""}))


def test_entries_that_overlap_are_refused(path: Path) -> None:
    archive(path, {"a": fake(), "b": fake(Storage(key="1"))}, {"archive/data/1": bytes(16)})
    data = path.read_bytes()
    first = struct.pack("<L", data.index(b"archive/data/0") - 30)
    where = data.rindex(b"archive/data/1") - 4  # the offset in the central directory
    path.write_bytes(data[:where] + first + data[where + 4 :])
    assert refusal(path)


WRONG = {
    "an offset outside": fake(offset=1),
    "a size outside": fake(size=(5,)),
    "a stride outside": fake(size=(2,), stride=(4,)),
    "a negative offset": fake(offset=-1),
    "a negative size": fake(size=(-1,)),
    "a negative stride": fake(size=(2,), stride=(-1,), offset=3),
    "a size without end": fake(size=(10**5, 10**5, 10**5), stride=(0, 0, 0)),
    "a size beyond all numbers": fake(size=(10**4000,), stride=(0,)),
    "sizes that overflow": fake(size=(2**33, 2**33), stride=(2**33, 2**33)),
    "fewer strides than sizes": fake(size=(2, 2), stride=(1,)),
    "more dimensions than a tensor has": fake(size=[1] * 65, stride=[1] * 65),
    "a size that is a word": fake(size="four"),
    "a storage that is a word": fake(storage="four"),
    "a storage that is larger than its entry": fake(Storage(count=400), size=(400,)),
    "a storage of another kind": fake(Storage(torch.DoubleStorage)),
    "a storage of a negative count": fake(Storage(count=-1)),
    "a storage that is not there": fake(Storage(key="7")),
    "a storage outside": fake(Storage(key="../../x")),
    "a storage of no known kind": fake(Storage(dict)),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_tensor_of_nonsense_is_refused(what: str, path: Path) -> None:
    assert "`model.pt`" in refusal(archive(path, {"a": WRONG[what]}))


def test_a_sparse_tensor_is_named(path: Path) -> None:
    assert "_rebuild_sparse_tensor" in refusal(saved({"a": torch.eye(3).to_sparse()}, path))


def test_an_index_that_reserves_memory_is_refused(path: Path) -> None:
    assert "holds no dict of tensors" in refusal(archive(path, b"\x80\x02}r\xff\xff\xff\x7f."))


def test_an_index_that_is_too_long_is_not_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickles, "_INDEX", 10)
    assert "too long an index" in refusal(archive(path, {"a": fake()}))


def test_lists_of_lists_of_lists_are_refused(path: Path) -> None:
    bomb: list[object] = []
    for _ in range(40):
        bomb = [bomb] * 10
    assert "has too many parts" in refusal(archive(path, bomb))


def test_a_list_that_holds_itself_is_refused(path: Path) -> None:
    circle: list[object] = []
    circle.append(circle)
    assert "is nested too deeply" in refusal(archive(path, circle))


def test_two_tensors_of_one_name_are_refused(path: Path) -> None:
    assert "names two tensors `a.b`" in refusal(archive(path, {"a.b": fake(), "a": {"b": fake()}}))
