"""Read a safetensors file and fill a module with it. Knows nothing of recipes, or of where files come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from colorize.errors import ColorizeError
from colorize.pictures.files import shown

AGAIN = "fetch or save it again"
_PICKLE = (
    "is a pickle, which can run any code when it is opened, and so is refused",
    "`colorize.checkpoint.foreign.read` takes its tensors out without running it; load them into `Recipe.build()`"
    " and write that with `colorize.checkpoint.save`",
)
_NOT_WEIGHTS = {
    "zip": _PICKLE,
    "pickle": _PICKLE,
    "empty": ("is empty", AGAIN),
    "page": ("is a web page, not a model", "fetch the file itself, such as its `resolve` address"),
    "pointer": ("is only a Git LFS pointer, not the weights", "run `git lfs pull` in its folder"),
    "other": ("is not a safetensors file", "name a .safetensors file that colorize wrote"),
}
_FILLS = ("normal_", "uniform_", "trunc_normal_", "kaiming_uniform_", "xavier_uniform_")


def sniff(path: Path) -> str:
    """Tell by its first bytes what a file is.

    One of safetensors, zip (what PyTorch writes), pickle, page (HTML), pointer (Git LFS), empty, other.
    Raises OSError if it cannot be opened.
    """
    with path.open("rb") as stream:
        start = stream.read(64)
    if not start:
        return "empty"
    if start[8:9] == b"{":  # after the length of the header, whose bytes may look like anything
        return "safetensors"
    if start[:1] == b"\x80" and start[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        return "pickle"
    signs = {
        b"PK\3\4": "zip",
        b"PK\5\6": "zip",
        b"<": "page",
        b"version https://git-lfs": "pointer",
    }
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    return next((kind for sign, kind in signs.items() if text.startswith(sign)), "other")


def read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Return the header's words and the tensors, which still lie in the mapped file.

    Raises ColorizeError if it cannot be read, is cut short, or is something else, such as a pickle.
    """
    try:
        if (kind := sniff(path)) != "safetensors":
            raise refused(path.name, *_NOT_WEIGHTS[kind])
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            return file.metadata() or {}, {name: file.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise refused(path.name, "is cut short or damaged", AGAIN) from error
    except OSError as error:
        raise unreadable(path, error) from error


def fill(file: str, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a module on the meta device its weights: these tensors, copied, and exactly these.

    Numbers become those of the module (float32), convolutions channels-last. Raises ColorizeError for
    names, shapes and kinds of numbers that differ, and for weights that are not finite.
    """
    wanted = module.state_dict()
    way_out = "it was changed, or saved by another version of colorize"
    for name, like in wanted.items():
        if name not in tensors:
            raise refused(file, f"lacks the tensor `{name}`", way_out)
        found, needed = _described(tensors[name]), _described(like)
        if found != needed:
            raise refused(file, f"holds `{name}` as {found}; the recipe needs {needed}", way_out)
    if extra := [name for name in tensors if name not in wanted]:
        raise refused(file, f"holds `{extra[0]}`, which the recipe does not have", way_out)
    own = {name: _own(tensors[name], like) for name, like in wanted.items()}
    for name, value in own.items():
        check_finite(file, name, value)
    module.load_state_dict(own, assign=True)


def check_finite(file: str, name: str, value: Tensor) -> None:
    """Raise ColorizeError if a weight is infinite or not a number."""
    if not value.is_floating_point() or not value.numel():
        return
    low, high = value.aminmax()  # not a number if any is; much faster than to ask each
    if not (low.isfinite() and high.isfinite()):
        why = f"would be useless: not all of its weights `{name}` are finite numbers"
        raise refused(file, why, "training failed (lower its lr), or float16 is too small for them")


def refused(file: str, why: str, hint: str) -> ColorizeError:
    """Return the error "`file` is ..."."""
    return ColorizeError(f"`{shown(file)}` {why}", hint)


def unreadable(path: Path, error: OSError) -> ColorizeError:
    """Return the error of a file that the system does not give."""
    why = f"cannot be read: {error.strerror or error}"
    return refused(str(path), why, "check the path and its permissions")


class Hollow(TorchFunctionMode):
    """While this is on, new weights on the meta device get their shape, but nothing fills them.

    There, random normal numbers and products would import much of torch.compile, which takes 1 s.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Replace what fills meta tensors by what leaves them alone; all else is as ever."""
        name, named = getattr(func, "__name__", ""), kwargs or {}
        if name == "randn":
            name, func = "", _empty_if_meta
        scaled = name == "mul" and isinstance(args[-1], int | float)
        target = args[0] if args else named.get("tensor")
        if (scaled or name in _FILLS) and isinstance(target, Tensor) and target.is_meta:
            return target
        return func(*args, **named)


def _empty_if_meta(*size: Any, **named: Any) -> Tensor:
    empty = torch.empty(*size, **{key: value for key, value in named.items() if key != "generator"})
    return empty if empty.is_meta else torch.randn(*size, **named)


def _described(value: Tensor) -> str:
    """A shape and, if it is unusual, the kind of numbers."""
    shape = " x ".join(map(str, value.shape)) or "a single number"
    return shape if value.is_floating_point() else f"{shape} ({value.dtype})"


def _own(value: Tensor, like: Tensor) -> Tensor:
    """Copy a tensor out of the mapped file, which could change or vanish, in the layout we compute in."""
    layout = torch.channels_last if value.dim() == 4 else torch.contiguous_format
    return value.to(like.dtype, copy=True, memory_format=layout)
