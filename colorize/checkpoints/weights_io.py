"""Read and write safetensors files, and fill modules with their tensors."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from colorize.errors import ColorizeError
from colorize.images.files import atomic, shown

AGAIN = "fetch or save it again"
PICKLE_HINT = (
    "ask its author for a .safetensors file that colorize wrote, or train a model of your own: `colorize train`"
)
_PICKLE = "is a PyTorch file (a pickle), which can hide a program that runs when it is opened; it was not opened"
_NOT_WEIGHTS = {
    "zip": (_PICKLE, PICKLE_HINT),
    "pickle": (_PICKLE, PICKLE_HINT),
    "empty": ("is empty", AGAIN),
    "page": ("is a web page, not a model", "fetch the file itself, such as its `resolve` address"),
    "pointer": ("is only a Git LFS pointer, not the weights", "run `git lfs pull` in its folder"),
    "other": ("is not a safetensors file", "name a .safetensors file that colorize wrote"),
}
_DTYPES = {  # names of dtypes in the format
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
COPIES = ("ema_", "forward_noise_model")  # words in the prefixes of networks that are kept beside the trained one
WINDOW = 2**28  # bytes of tensors to read before the file is mapped anew
_FILLS = ("normal_", "uniform_", "trunc_normal_", "kaiming_uniform_", "xavier_uniform_")


def sniff(path: Path) -> str:
    """Tell what a file is by its first bytes.

    One of safetensors, zip (what PyTorch writes), pickle, page (HTML), pointer (Git LFS), empty, other. Raises OSError
    if it cannot be opened.
    """
    with path.open("rb") as stream:
        start = stream.read(64)
    if not start:
        return "empty"
    if start[8:9] == b"{":  # after the length of the header, whose bytes may look like anything
        return "safetensors"
    if start[:1] == b"\x80" and start[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        return "pickle"
    signs = {b"PK\3\4": "zip", b"PK\5\6": "zip", b"<": "page", b"version https://git-lfs": "pointer"}
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    return next((kind for sign, kind in signs.items() if text.startswith(sign)), "other")


def read(path: Path) -> tuple[dict[str, str], Mapping[str, Tensor]]:
    """Return the header's metadata and the tensors, which are read when they are asked for, see `Mapped`.

    Raises ColorizeError if it cannot be read, is cut short, or is something else, such as a pickle.
    """
    try:
        if (kind := sniff(path)) != "safetensors":
            raise refused(path.name, *_NOT_WEIGHTS[kind])
        found = Mapped(path)
        return found.metadata, found
    except SafetensorError as error:
        raise refused(path.name, "is cut short or damaged", AGAIN) from error
    except OSError as error:
        raise unreadable(path, error) from error


def write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors and the header's metadata, whole or not at all, even if the power fails.

    One tensor at a time is copied to the CPU. The library's own writer would leave a file that only its owner can read
    and, when it is killed, one under a random name. Raises ColorizeError if the path cannot be written.
    """
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))  # aligned
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    end = 0
    for name in order:
        value, begin = tensors[name], end
        end += value.numel() * value.element_size()
        kind, shape = _DTYPES[value.dtype], list(value.shape)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with atomic(path) as temporary, temporary.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        for name in order:
            flat = tensors[name].detach().cpu().contiguous().reshape(-1)
            stream.write(flat.view(torch.uint8).numpy().data)
    with suppress(OSError):  # bring the new name to the disk, too; some systems cannot open folders
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def fill(
    file: str, module: nn.Module, tensors: Mapping[str, Tensor], *, mapped: bool = False, known: bool = False
) -> None:
    """Give a module on the meta device its weights: these tensors, copied one by one, and exactly these.

    Numbers become those of the module (float32 if nothing else was asked of it), convolutions channels-last. mapped:
    use the tensors of a mapped file as they are, unless they must change, so that memory holds only what is in use;
    filling again frees what was read. known: they were checked before.

    Raises ColorizeError for names, shapes and dtypes that differ, and for weights that are not finite.
    """
    wanted = module.state_dict()
    if not known:
        _check(file, wanted, tensors)
    if mapped and not known:
        for name in wanted:
            check_finite(file, name, tensors[name])
    own = {}
    for name, like in wanted.items():
        own[name] = value = tensors[name]
        if mapped and value.dtype == like.dtype and value.dim() != 4:
            continue
        layout = torch.channels_last if value.dim() == 4 else torch.contiguous_format
        own[name] = value.to(like.dtype, copy=True, memory_format=layout)  # the file could change or vanish
        if not mapped:
            check_finite(file, name, own[name])
    module.load_state_dict(own, assign=True)


def _check(file: str, wanted: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> None:
    """Refuse names, shapes and dtypes other than a module's."""
    way_out = "it was changed, or saved by another version of colorize"
    for name, like in wanted.items():
        if name not in tensors:
            raise refused(file, f"lacks the tensor `{name}`", way_out)
        if (found := _described(tensors[name])) != (needed := _described(like)):
            raise refused(file, f"holds `{name}` as {found}; the recipe needs {needed}", way_out)
    if extra := [name for name in tensors if name not in wanted]:
        raise refused(file, f"holds `{extra[0]}`, which the recipe does not have", way_out)


def _described(value: Tensor) -> str:
    shape = shape_text(value.shape)
    return shape if value.is_floating_point() else f"{shape} ({value.dtype})"


def shape_text(shape: Sequence[int]) -> str:
    """Return a shape for people, such as 3 x 4."""
    return " x ".join(map(str, shape)) or "a single number"


def check_finite(file: str, name: str, value: Tensor) -> None:
    """Raise ColorizeError if a weight is infinite or not a number."""
    if not value.is_floating_point() or not value.numel():
        return
    laid = value.movedim(1, -1) if value.dim() == 4 and not value.is_contiguous() else value
    low, high = laid.aminmax()  # not a number if any is; much faster than to ask each
    if not (low.isfinite() and high.isfinite()):
        why = f"would be useless: not all of its weights `{name}` are finite numbers"
        raise refused(file, why, "training failed (lower its lr), or float16 is too small for them")


def refused(file: str, why: str, hint: str) -> ColorizeError:
    """Return the error "`file` is ..."."""
    return ColorizeError(f"`{shown(file)}` {why}", hint)


def unreadable(path: Path, error: OSError) -> ColorizeError:
    """Return the error of a file that the system cannot read."""
    return refused(str(path), f"cannot be read: {error.strerror or error}", "check the path and its permissions")


@contextmanager
def meta_device() -> Iterator[None]:
    """Build modules whose weights have names and shapes, but take no memory and are not filled with random numbers."""
    with torch.device("meta"), _SkipInit():
        yield


class _SkipInit(TorchFunctionMode):
    """Random normal numbers on the meta device would import much of torch.compile, which takes 1 s."""

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Return the tensor that a function would fill, and call all other functions."""
        named = kwargs or {}
        target = args[0] if args else named.get("tensor")
        if getattr(func, "__name__", "") in _FILLS and isinstance(target, Tensor) and target.is_meta:
            return target
        return func(*args, **named)


class Mapped(Mapping[str, Tensor]):
    """The tensors of a safetensors file by name, mapped into memory.

    What was read counts as memory of this process while the mapping lives; so the file is mapped anew now and then,
    which frees tensors that nobody kept. Raises OSError and SafetensorError like the library, and ColorizeError if the
    file is replaced meanwhile.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._map()
        self._known = self._identity()
        self._names = dict.fromkeys(self._file.keys())
        self.metadata: dict[str, str] = self._file.metadata() or {}

    def __getitem__(self, name: str) -> Tensor:
        """Return a tensor in the mapped file."""
        if name not in self._names:
            raise KeyError(name)
        if self._read > WINDOW:
            self._map()
            if self._identity() != self._known:
                raise ColorizeError(f"`{shown(self._path.name)}` changed while it was read", "try again")
        value: Tensor = self._file.get_tensor(name)
        self._read += value.nbytes
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def _map(self) -> None:
        self._file: Any = safe_open(self._path, framework="pt")
        self._read = 0

    def _identity(self) -> tuple[int, ...]:
        """What distinguishes this file from another of its name."""
        stat = self._path.stat()
        return stat.st_ino, stat.st_size, stat.st_mtime_ns


class Renamed(Mapping[str, Tensor]):
    """Some tensors of a mapping, read only when they are asked for; names: those in the mapping by the new ones."""

    def __init__(self, tensors: Mapping[str, Tensor], names: Mapping[str, str]) -> None:
        self._tensors, self._names = tensors, names

    def __getitem__(self, name: str) -> Tensor:
        """Return a tensor."""
        return self._tensors[self._names[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def strip_prefix(tensors: Mapping[str, Tensor], prefix: str) -> Mapping[str, Tensor]:
    """Return the tensors whose names begin with a prefix, without it."""
    names = {name.removeprefix(prefix): name for name in tensors if name.startswith(prefix)}
    return Renamed(tensors, names)


def prefix(tensors: Mapping[str, Tensor], signs: Sequence[str]) -> str | None:
    """Return what stands before the names of a network, None if it is not there.

    signs: names of tensors that, together, no other network has. Wrappers such as `state_dict.`, `model.` (Lightning)
    and `module.` (DataParallel) are prefixes like any other.
    """
    first = signs[0]
    for name in tensors:
        before = name.removesuffix(first)
        whole = name.endswith(first) and (not before or before.endswith("."))
        if whole and not any(word in before for word in COPIES) and all(before + sign in tensors for sign in signs):
            return before
    return None
