"""Choose the device and the arithmetic that a network runs on, and leave out what only training needs."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from colorize.errors import ColorizeError, nearest

PRECISIONS = ("auto", "fp32", "bf16", "fp16")
DEVICES = ("auto", "cpu", "cuda", "gpu", "mps")


def device(name: str = "auto") -> torch.device:
    """Find a device by name: `auto` (the fastest present), `cpu`, `cuda`, `cuda:1` or `mps`; `gpu` is `cuda`.

    Raises ColorizeError for an unknown name and for a device this computer does not have.
    """
    if name == "auto":
        mps = torch.backends.mps.is_available()
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if mps else "cpu")
    kind, _, number = name.partition(":")
    kind = "cuda" if kind == "gpu" else kind
    if kind not in DEVICES or (number and not number.isdigit()):
        raise ColorizeError(f"unknown device `{name}`", nearest(kind, DEVICES), code=2)
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        message = f"the device `{name}` was asked for, but PyTorch finds {torch.cuda.device_count()} CUDA devices here"
        raise ColorizeError(message, "use `cpu` or `auto`, or install a CUDA build of PyTorch")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ColorizeError("the device `mps` was asked for, but it exists on Apple chips only", "use `cpu` or `auto`")
    return torch.device(f"{kind}:{number}" if number else kind)


def precision(name: str, on: torch.device) -> torch.dtype | None:
    """Find the dtype to autocast to; None means plain float32.

    `auto` is bf16 where the hardware computes in it, else fp32: without such instructions, bf16 was measured 2.6 to 4.8
    times slower on processors, with them about 2 times faster.

    Raises ColorizeError for an unknown name, and for fp16 on a processor.
    """
    if name not in PRECISIONS:
        raise ColorizeError(f"unknown precision `{name}`", nearest(name, PRECISIONS), code=2)
    if name == "fp16" and on.type == "cpu":
        message = "fp16 is for graphics cards; processors do not compute in it"
        raise ColorizeError(message, "use `auto`, `bf16` or `fp32`", code=2)
    if name == "auto":
        name = "bf16" if _has_bf16(on) else "fp32"
    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[name]


def _has_bf16(on: torch.device) -> bool:
    if on.type == "cuda":  # emulated bf16 (before Ampere) is slower than fp32
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    ask = getattr(torch.cpu, "get_capabilities", dict)  # older versions of PyTorch cannot say
    has: dict[str, bool] = ask() if on.type == "cpu" else {}
    return bool(has.get("avx512_bf16") or has.get("amx_bf16"))


def fold_norms(module: nn.Module) -> None:
    """Let convolutions do what the batch norms registered right behind them do in evaluation mode.

    The module can then be neither trained nor saved.
    """
    before, conv = "", None
    for name, part in list(module.named_children()):
        if isinstance(part, nn.BatchNorm2d) and isinstance(conv, nn.Conv2d | nn.ConvTranspose2d):
            folded = fuse_conv_bn_eval(conv, part, transpose=isinstance(conv, nn.ConvTranspose2d))
            setattr(module, before, folded.requires_grad_(False))
            setattr(module, name, nn.Identity())
        else:
            fold_norms(part)
        before, conv = name, part
