"""Compare the speed of our latent U-Net to that of diffusers.

Run: python benchmarks/latent_vs_diffusers.py [REPEATS [KIND]]. Needs the package diffusers, which nothing else
here does. Both have random weights of the same 865.9 million and are called in turn, in one process, for two rows at
512 pixels, so that whatever else the machine does weighs on both alike.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

import torch
from latent import CELLS, TOKENS, WIDTH, made
from torch import nn

from colorize.checkpoints import weights_io
from colorize.colorize_diffusion.condition import LatentCond
from colorize.colorize_diffusion.unet import LatentUNet, LatentUNetSpec

LAYOUTS = {"channels-last": torch.channels_last, "contiguous": torch.contiguous_format}
KINDS = {"fp32": torch.float32, "bf16": torch.bfloat16}
LEVELS = ("CrossAttn{}Block2D",) * 3
ROWS = 2


def theirs() -> nn.Module:
    """The network of Stable Diffusion 2 with convolutions around its transformers."""
    from diffusers import UNet2DConditionModel

    made: nn.Module = UNet2DConditionModel(
        sample_size=CELLS,
        block_out_channels=(320, 640, 1280, 1280),
        down_block_types=(*(name.format("Down") for name in LEVELS), "DownBlock2D"),
        up_block_types=("UpBlock2D", *(name.format("Up") for name in LEVELS)),
        attention_head_dim=(5, 10, 20, 20),
        cross_attention_dim=WIDTH,
        use_linear_projection=False,
    )
    return made


def filled(build: Callable[[], nn.Module], dtype: torch.dtype) -> nn.Module:
    """Either network with random weights."""
    with weights_io.meta_device():
        module = build()
        module = module.cast(dtype) if isinstance(module, LatentUNet) else module.to(dtype)
    shapes = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    weights_io.fill("random", module, made(shapes))
    return module.eval()


def laid(module: nn.Module, layout: torch.memory_format) -> nn.Module:
    """Lay the weights of convolutions out."""
    for value in module.parameters():
        if value.dim() == 4:
            value.data = value.data.contiguous(memory_format=layout)
    return module


def in_turn(calls: list[Callable[[], object]], repeats: int) -> list[list[float]]:
    """Seconds of every call of several functions, after one call of each that is not counted."""
    spans: list[list[float]] = [[] for _ in calls]
    for turn in range(repeats + 1):
        order = list(enumerate(calls))[:: 1 if turn % 2 else -1]
        for place, call in order:
            begin = time.perf_counter()
            call()
            spans[place].append(time.perf_counter() - begin)
    return [row[1:] for row in spans]


def main(repeats: str = "5", *kinds: str) -> None:
    """Print one JSON object per kind of numbers and layouts."""
    x, tokens = torch.randn(ROWS, 4, CELLS, CELLS), torch.randn(ROWS, TOKENS, WIDTH)
    half, place = torch.full((ROWS,), 0.5), torch.full((ROWS,), 499)
    for kind in kinds or KINDS:
        dtype = KINDS[kind]
        ours, other = filled(LatentUNetSpec().build, dtype), filled(theirs, dtype)
        counts = {sum(value.numel() for value in module.parameters()) for module in (ours, other)}
        assert counts == {865_910_724}, counts
        calls = [
            partial(ours, x, half, LatentCond(tokens=tokens)),
            partial(other, x.to(dtype), place, tokens.to(dtype), return_dict=False),
        ]
        for name, layout in LAYOUTS.items():
            laid(ours, layout), laid(other, layout)
            with torch.inference_mode():
                spans = in_turn(calls, int(repeats))
            ratio = statistics.median(a / b for a, b in zip(*spans, strict=True))
            result = {"kind": kind, "layout": name, "ratio": round(ratio, 3)}  # below 1: we are faster
            for who, row in zip(("ours", "theirs"), spans, strict=True):
                result[who] = [round(value, 2) for value in row]
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
