"""Take the tensors out of a PyTorch checkpoint without running what is in it."""

from __future__ import annotations

import io
import math
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from colorize.checkpoints.weights_io import AGAIN, refused, sniff, unreadable
from colorize.errors import ColorizeError

LIMIT = 16 * 2**30  # bytes of all entries together
_SHARED, _SMALL = (
    4,
    16 * 2**20,
)  # times the size of the file, and bytes, that all tensors may take: they may share memory
_INDEX = 16 * 2**20  # bytes of the pickle that names the tensors; 100,000 tensors need about this
_NODES = 1_000_000  # dicts, lists and leaves in that pickle; far more is a bomb of nested references
_DIMENSIONS = 64  # of a tensor, as many as PyTorch allows
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # what files of PyTorch before 1.6 begin with
_NAME = 1000  # characters of a tensor's dotted name; a longer one runs in a circle
_DTYPES = {
    "BFloat16Storage": torch.bfloat16,
    "BoolStorage": torch.bool,
    "ByteStorage": torch.uint8,
    "CharStorage": torch.int8,
    "ComplexDoubleStorage": torch.complex128,
    "ComplexFloatStorage": torch.complex64,
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "ShortStorage": torch.int16,
}
# No honest checkpoint mentions these. Nothing here would call them; the user should know all the same.
_HARMFUL = {"os", "posix", "nt", "subprocess", "pty", "runpy", "socket", "ctypes"}
_HARMFUL_BUILTINS = {"eval", "exec", "compile", "open", "__import__"}
_BUILTINS = ("builtins", "__builtin__", "io", "_io")  # where those are found


def read(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file that `torch.save` wrote, under their dotted names, in its order.

    Only what a state dict is made of is read: tensors in dicts, lists and tuples. All else is left out, and no code of
    the file runs. Tensors may share memory, as they did. The state of an optimizer is left out, too.
    Zip files and the bare pickles of PyTorch before 1.6 are read alike.

    Raises ColorizeError if the file is no such checkpoint, is damaged, holds no tensors, is laid out to exhaust memory,
    or mentions functions that only harmful files mention.
    """
    try:
        if (kind := sniff(path)) == "pickle":
            return _Legacy(path).tensors()
        if kind != "zip":
            hint = "name a .pt, .pth, .ckpt or .bin file"
            raise refused(path.name, "is not a checkpoint as PyTorch writes them", hint)
        with zipfile.ZipFile(path) as archive:
            return _Checkpoint(archive, path).tensors()
    except OSError as error:
        raise unreadable(path, error) from error
    except ColorizeError:
        raise
    except Exception as error:  # a file made to confuse can raise anything
        raise refused(path.name, "is damaged: its tensors cannot be read", AGAIN) from error


def _without_optimizer(tree: object) -> object:
    """Leave out what only training needs, which is twice as large as the weights."""
    if not isinstance(tree, dict):
        return tree
    return {name: part for name, part in tree.items() if not (isinstance(name, str) and "optim" in name)}


class _Storage(NamedTuple):
    """Where the numbers of a tensor lie: an entry of the archive."""

    dtype: torch.dtype
    key: str
    amount: int


class _Saved(NamedTuple):
    """A tensor that has not been read yet; what a file says of it may be nonsense."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def check(self) -> int:
        """Return how many bytes the tensor takes by itself; ValueError for what is not a tensor inside its storage."""
        numbers = (self.offset, *self.size, *self.stride)
        if not isinstance(self.storage, _Storage) or len(self.size) != len(self.stride):
            raise ValueError("not a tensor")
        if any(type(number) is not int or not 0 <= number < LIMIT for number in numbers):
            raise ValueError("a size is not a count")
        last = self.offset + sum((n - 1) * m for n, m in zip(self.size, self.stride, strict=True))
        if 0 not in self.size and last >= self.storage.amount:
            raise ValueError("the tensor ends outside its storage")
        return math.prod(self.size) * self.storage.dtype.itemsize


class _Inert:
    """Stands for every class and function that is not known: it takes anything and does nothing."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        pass

    def _ignore(self, *args: object) -> None:
        pass

    append = extend = _ignore


def _saved(storage: Any, offset: Any, size: Any, stride: Any, *_: object) -> _Saved:
    if max(len(size), len(stride)) > _DIMENSIONS:
        raise ValueError("too many dimensions")
    return _Saved(storage, offset, tuple(size), tuple(stride))


_KNOWN: dict[tuple[str, str], object] = {
    ("collections", "OrderedDict"): lambda *_: {},  # its items follow
    ("torch._utils", "_rebuild_tensor"): _saved,
    ("torch._utils", "_rebuild_tensor_v2"): _saved,
    ("torch._utils", "_rebuild_parameter"): lambda data, *_: data,
}


class _Unpickler(pickle._Unpickler):
    """Builds descriptions of tensors, and nothing that is named in the file itself.

    The one of the standard library that is written in Python: that in C gives a table of any length to a number in the
    file, and cannot be interrupted while it hashes tuples of tuples, which takes time exponential in their depth. Here
    attributes and sets are left out, and of dicts the items whose key is no name or number.
    """

    stack: list[Any]
    pop_mark: Callable[[], list[Any]]
    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)

    def __init__(self, file: io.BytesIO, storages: dict[str, _Storage]) -> None:
        super().__init__(file, encoding="utf-8")
        self.storages = storages

    def _set_items(self) -> None:
        items = self.pop_mark()
        self._put(zip(items[::2], items[1::2], strict=False))

    def _set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._put([(key, value)])

    def _dict(self) -> None:
        items = self.pop_mark()
        self.stack.append({})
        self._put(zip(items[::2], items[1::2], strict=False))

    def _put(self, items: Iterable[tuple[object, object]]) -> None:
        if isinstance(target := self.stack[-1], dict):
            target.update(item for item in items if isinstance(item[0], int) or _is_word(item[0]))

    def _drop(self) -> None:
        self.stack.pop()

    def _drop_marked(self) -> None:
        self.pop_mark()

    def _nothing(self) -> None:
        self.pop_mark()
        self.stack.append(_Inert())

    def _refuse(self) -> None:
        raise ValueError("a state dict holds no such thing")

    dispatch |= {
        pickle.SETITEM[0]: _set_item,
        pickle.SETITEMS[0]: _set_items,
        pickle.DICT[0]: _dict,
        pickle.BUILD[0]: _drop,
        pickle.ADDITEMS[0]: _drop_marked,
        pickle.FROZENSET[0]: _nothing,
        pickle.BYTEARRAY8[0]: _refuse,
    }

    def find_class(self, module: str, name: str) -> object:
        """Return one of our own stand-ins; nothing is ever imported."""
        builtin = module in _BUILTINS and name in _HARMFUL_BUILTINS
        if builtin or module.partition(".")[0] in _HARMFUL:
            message = f"the file would run `{module}.{name}` if PyTorch opened it: only harmful files do that"
            raise ColorizeError(message, "delete it; nothing of it was run here")
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        if module.startswith("torch._") and "rebuild" in name and (module, name) not in _KNOWN:
            message = f"the file holds tensors of a kind that is not understood (`{name}`)"
            raise ColorizeError(message, "save it again as a plain state dict of dense float tensors")
        return _KNOWN.get((module, name), _Inert)

    def persistent_load(self, pid: object) -> _Storage:
        """Describe and note a storage: ("storage", its class, its entry, its device, its count of numbers)."""
        match pid:
            case ("storage", torch.dtype() as dtype, str(key), str(), int(count), *rest) if rest in ([], [None]):
                return self.storages.setdefault(key, _Storage(dtype, key, count))
        raise ValueError("not a storage")


def _is_word(key: object) -> bool:
    return isinstance(key, str) and len(key) <= _NAME


class _Checkpoint:
    """An open archive whose entries have been checked before any is read."""

    def __init__(self, archive: zipfile.ZipFile, path: Path) -> None:
        self.archive, self.name = archive, path.name
        infos = archive.infolist()
        self.entries = {info.filename: info for info in infos}
        total = sum(info.file_size for info in infos)
        paths = [PurePosixPath(name) for name in self.entries]
        indexes = [p for p in paths if p.name == "data.pkl" and len(p.parts) == 2]
        packed = any(info.compress_type != zipfile.ZIP_STORED for info in infos)
        outside = any(p.is_absolute() or ".." in p.parts or "\\" in str(p) for p in paths)
        self.size = path.stat().st_size
        self._refuse(total > LIMIT, f"declares more than {LIMIT / 2**30:g} GiB")
        self._refuse(packed, "is compressed, which PyTorch never does")
        self._refuse(len(self.entries) != len(infos) or total > self.size, "holds entries that overlap")
        self._refuse(outside, "names entries outside itself")
        self._refuse(len(indexes) != 1, "is a zip file, but not one that `torch.save` wrote")
        self.root = indexes[0].parent

    def tensors(self) -> dict[str, Tensor]:
        """Read every tensor that can be reached from the top."""
        found = self._named(self._index())
        self._refuse(not found, "holds no dict of tensors; it may be a whole model, as a pickle")
        huge = sum(saved.check() for saved in found.values()) > _SHARED * self.size + _SMALL
        self._refuse(huge, f"declares tensors of more than {_SHARED} times its size")
        flat = {storage: self._read(storage) for storage in {s.storage for s in found.values()}}
        return {name: flat[s.storage].as_strided(s.size, s.stride, s.offset).contiguous() for name, s in found.items()}

    def _index(self) -> object:
        order = self.entries.get(f"{self.root}/byteorder")
        self._refuse(bool(order and self.archive.read(order) == b"big"), "was written by a big-endian machine")
        entry = f"{self.root}/data.pkl"
        self._refuse(self.entries[entry].file_size > _INDEX, "has too long an index")
        return _Unpickler(io.BytesIO(self.archive.read(entry)), {}).load()

    def _named(self, tree: object) -> dict[str, Any]:
        """Walk dicts, lists and tuples in their order; the way to a tensor is its name."""
        found: dict[str, Any] = {}
        stack, seen = [("", _without_optimizer(tree))], 0
        while stack:
            name, node = stack.pop()
            if isinstance(node, _Saved):
                self._refuse(name in found, f"names two tensors `{name}`")
                found[name] = node
            elif isinstance(node, dict | list | tuple):
                seen += len(node)
                self._refuse(seen > _NODES, "has too many parts")
                self._refuse(len(name) > _NAME, "is nested too deeply")
                items = node.items() if isinstance(node, dict) else enumerate(node)
                parts = [(f"{name}.{key}" if name else str(key), value) for key, value in items]
                stack += reversed(parts)
        return found

    def _read(self, storage: _Storage) -> Tensor:
        """Read the numbers of a storage: (count,)."""
        info = self.entries[f"{self.root}/data/{storage.key}"]
        wanted = storage.amount * storage.dtype.itemsize
        self._refuse(info.file_size != wanted, f"is damaged: `{info.filename}` has another size")
        return _numbers(self.archive.read(info), storage.dtype)

    def _refuse(self, wrong: bool, why: str) -> None:
        if wrong:
            raise refused(self.name, why, "ask its author for a safetensors file")


def _numbers(data: bytes, dtype: torch.dtype) -> Tensor:
    return torch.frombuffer(bytearray(data), dtype=dtype) if data else torch.empty(0, dtype=dtype)


class _Legacy(_Checkpoint):
    """A file of PyTorch before 1.6: five pickles, then the storages that the last one lists.

    The pickles are a magic number, the version of the format, the machine's sizes, the value that was saved, and the
    order of the storages, each of which is its count of numbers (int64) and these, little-endian.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.name, self.size = path, path.name, path.stat().st_size
        self.storages: dict[str, _Storage] = {}
        self.places: dict[str, int] = {}  # where the numbers of a storage begin

    def _index(self) -> object:
        with self.path.open("rb") as stream:
            head = io.BytesIO(stream.read(_INDEX))
            begin = [_Unpickler(head, {}).load()]
            if begin == [_MAGIC]:
                begin.append(_Unpickler(head, {}).load())
            self._refuse(begin != [_MAGIC, _PROTOCOL], "is a pickle, but not one that `torch.save` wrote")
            try:
                _, tree, keys = (_Unpickler(head, self.storages).load() for _ in range(3))
            except EOFError:
                self._refuse(self.size > _INDEX, "has too long an index")
                raise
            at = head.tell()
            for key in keys:
                self._refuse(not isinstance(key, str) or key in self.places, "is damaged: its storages are no list")
                stream.seek(at)
                (amount,) = struct.unpack("<q", stream.read(8))
                storage = self.storages[key]
                self._refuse(not 0 <= amount == storage.amount, f"is damaged: storage `{key[:20]}` has another size")
                self.places[key] = at + 8
                at += 8 + amount * storage.dtype.itemsize
        self._refuse(at > self.size, "is damaged: it ends too early")
        return tree

    def _read(self, storage: _Storage) -> Tensor:
        """Read the numbers of a storage: (count,)."""
        with self.path.open("rb") as stream:
            stream.seek(self.places[storage.key])
            return _numbers(stream.read(storage.amount * storage.dtype.itemsize), storage.dtype)
