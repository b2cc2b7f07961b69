"""PyTorch checkpoints made by hand, as no honest program makes them. Knows nothing of what is claimed."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from colorize.checkpoints.pickles import read
from colorize.errors import ColorizeError


def saved(value: object, path: Path) -> Path:
    torch.save(value, path)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ColorizeError) as caught:
        read(path)
    return caught.value.message


class Storage:
    """In a pickle: the storage of an entry, as PyTorch notes it."""

    def __init__(self, kind: object = torch.FloatStorage, key: object = "0", count: object = 4) -> None:
        self.pid = ("storage", kind, key, "cpu", count)


class Fake:
    """In a pickle: a tensor of any size, offset and stride, or any other call."""

    def __init__(self, *arguments: object, call: object = torch._utils._rebuild_tensor_v2) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.call, self.arguments


def fake(storage: object = None, offset: object = 0, size: object = (4,), stride: object = (1,)) -> Fake:
    return Fake(storage or Storage(), offset, size, stride, False, OrderedDict())


class Pickler(pickle.Pickler):
    def persistent_id(self, value: object) -> object:
        return value.pid if isinstance(value, Storage) else None


def archive(path: Path, index: object, entries: dict[str, bytes] | None = None, pack: int = 0) -> Path:
    """A checkpoint made by hand: an index (bytes, or a value to pickle) and entries beside it."""
    stream = io.BytesIO()
    Pickler(stream, 2).dump(index)
    data = index if isinstance(index, bytes) else stream.getvalue()
    with zipfile.ZipFile(path, "w", pack) as file:
        file.writestr("archive/data.pkl", data)
        for name, content in {"archive/data/0": bytes(16), **(entries or {})}.items():
            file.writestr(name, content)
    return path
