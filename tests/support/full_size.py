"""A file as large as the published one, and a process that loads it and tells what came of that.

Run: python tests/support/full_size.py FILE [KIND OF NUMBERS].
It imports nothing but the package, so that memory is its own.
"""

from __future__ import annotations

import json
import math
import re
import resource
import struct
import sys
import time
import zlib
from pathlib import Path

import torch
from torch import Tensor

from colorize import recipes
from colorize.checkpoints import weights_io
from colorize.colorize_diffusion import published

RECIPE = "colorize-diffusion"
HALF = "first_stage_model."
PERIOD = 65_537  # random numbers, of which every tensor is a piece; a prime, so that no shape repeats itself


def values(name: str, shape: tuple[int, ...]) -> Tensor:
    """The numbers of a tensor, known by its name: small, random, float16 in the autoencoder."""
    noise = 0.02 * torch.randn(PERIOD, generator=torch.Generator().manual_seed(0))
    begin, count = zlib.crc32(name.encode()) % PERIOD, math.prod(shape)
    flat = noise.repeat(-(-(begin + count) // PERIOD))[begin : begin + count]
    return flat.to(torch.float16 if name.startswith(HALF) else torch.float32).reshape(shape)


def write(path: Path) -> None:
    """Write version 1's file as the library does: float32 first, by name, no words, a header of eights."""
    shapes, header, end = published.layout(recipes.find(RECIPE)), {}, 0
    order = sorted(shapes, key=lambda name: (name.startswith(HALF), name))
    for name in order:
        begin, half = end, name.startswith(HALF)
        end += math.prod(shapes[name]) * (2 if half else 4)
        kind = "F16" if half else "F32"
        header[name] = {"dtype": kind, "shape": shapes[name], "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        for name in order:
            stream.write(values(name, shapes[name]).reshape(-1).view(torch.uint8).numpy().data)


def memory(kind: str) -> int:
    """Bytes of this process now: `Rss`, mapped files included, or `Anonymous`, what no file backs."""
    told = Path("/proc/self/smaps_rollup").read_text()
    return sum(1024 * int(kb) for kb in re.findall(rf"^{kind}: +(\d+)", told, re.M))


def main(file: str, kind: str = "") -> None:
    """Load, then compare every tensor with what was written; print one JSON object."""
    before, begin = memory("Rss"), time.perf_counter()
    dtype = getattr(torch, kind) if kind else None
    model, found = published.hollow(recipes.find(RECIPE)), weights_io.read(Path(file))[1]
    system = published.fill_networks(file, model, found, dtype)
    told = {"version": published.recognize(found), "seconds": round(time.perf_counter() - begin, 1)}
    most = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told |= {"before": before, "peak": most, "anonymous": memory("Anonymous")}
    state = system.state_dict()
    told["weights"] = sum(value.nbytes for value in state.values())
    told["tensors"] = len(state)
    told["wrong"] = [
        name
        for name, value in state.items()
        if not torch.equal(value, values(name, tuple(value.shape)).to(value.dtype))
    ]
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
