"""The tensors of a file, mapped when they are asked for, so that few of them lie in memory. Knows no networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

from colorize.errors import ColorizeError
from colorize.pictures.files import shown

WINDOW = 2**28  # bytes of tensors to give out before the file is mapped anew


class Mapped(Mapping[str, Tensor]):
    """The tensors of a safetensors file by name; each lies in the file, and is gone with it if it changes.

    What was read of a mapped file counts as memory of this process for as long as the mapping lives. So
    the file is mapped anew now and then, which lets go of tensors that nobody kept: copied one by one, a
    file takes up what the copies do and hardly more.

    Raises OSError and SafetensorError like the library, and ColorizeError where the file became another.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._map()
        self._mark = self._marked()
        self._names = dict.fromkeys(self._file.keys())
        self.words: dict[str, str] = self._file.metadata() or {}

    def __getitem__(self, name: str) -> Tensor:
        """Return a tensor that lies in the file."""
        if name not in self._names:
            raise KeyError(name)
        if self._given > WINDOW:
            self._map()
            if self._marked() != self._mark:
                raise ColorizeError(
                    f"`{shown(self._path.name)}` changed while it was read", "try again"
                )
        value: Tensor = self._file.get_tensor(name)
        self._given += value.nbytes
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def _map(self) -> None:
        self._file: Any = safe_open(self._path, framework="pt")
        self._given = 0

    def _marked(self) -> tuple[int, ...]:
        """What tells this file from another of its name."""
        known = self._path.stat()
        return known.st_ino, known.st_size, known.st_mtime_ns


class Chosen(Mapping[str, Tensor]):
    """Some tensors of others under names of their own, still not in memory before they are asked for.

    names: those of the others by the new ones.
    """

    def __init__(self, others: Mapping[str, Tensor], names: Mapping[str, str]) -> None:
        self._others, self._names = others, names

    def __getitem__(self, name: str) -> Tensor:
        """Return a tensor."""
        return self._others[self._names[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def below(found: Mapping[str, Tensor], prefix: str) -> Mapping[str, Tensor]:
    """Return the tensors whose names begin so, without that beginning."""
    names = {name.removeprefix(prefix): name for name in found if name.startswith(prefix)}
    return Chosen(found, names)
