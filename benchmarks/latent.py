"""Measure the full-size networks of `colorize-diffusion` on this processor. Run: python benchmarks/latent.py [NAME...].

Weights are random, which costs as much as good ones. Every row comes from a process of its own, so that its peak of
memory is its own, PyTorch's 0.2 to 0.6 GB included. Needs 7 GB of disk, for files like the published one and CLIP's.
"""

from __future__ import annotations

import json
import math
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

SIDE, CELLS, TOKENS, WIDTH = 512, 64, 256, 1024  # pixels, of a latent, of a reference, of a token
KINDS = ("fp32", "bf16")
REPEATS = 3
GIGABYTE = 10**9


def memory(kind: str) -> float:
    """Gigabytes of this process now: `Rss`, or `Anonymous`, what no file backs; Linux only."""
    told = Path("/proc/self/smaps_rollup").read_text()
    return sum(1024 * int(kb) for kb in re.findall(rf"^{kind}: +(\d+)", told, re.M)) / GIGABYTE


def timed(call: Callable[[], object], repeats: int = REPEATS) -> dict[str, object]:
    """Seconds of a call, by the clock and of all processors together; the first of several warms up."""
    walls, works = [], []
    for _ in range(repeats + (repeats > 1)):
        begin, work = time.perf_counter(), time.process_time()
        call()
        walls.append(time.perf_counter() - begin)
        works.append(time.process_time() - work)
    middle = [statistics.median(spans[repeats > 1 :]) for spans in (walls, works)]
    return {"seconds": round(middle[0], 2), "processor_seconds": round(middle[1], 2)}


def made(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Random weights that keep signals in range; every row is the one before, shifted, in hardly any memory."""
    import torch

    rng, found = torch.Generator().manual_seed(0), {}
    for name, shape in shapes.items():
        kind = torch.float16 if name.startswith("first_stage_model.") else torch.float32
        if len(shape) > 1:
            fan = math.prod(shape[1:])
            line = torch.randn(shape[0] + fan - 1, generator=rng) / math.sqrt(fan)
            found[name] = line.to(kind).unfold(0, fan, 1).unflatten(1, shape[1:])
        else:
            plus = 1.0 if name.endswith("weight") else 0.0
            found[name] = (0.02 * torch.randn(shape, generator=rng) + plus).to(kind)
    return found


def filled(build: Callable[[], nn.Module], kind: str = "fp32") -> nn.Module:
    """A network with random weights and as little else in memory as when it is loaded."""
    import torch

    from colorize.checkpoints import weights_io
    from colorize.colorize_diffusion.unet import LatentUNet

    with weights_io.meta_device():
        module = build()
    if kind == "bf16" and isinstance(module, LatentUNet):
        module.cast(torch.bfloat16)
    weights_io.fill("random", module, made({n: tuple(v.shape) for n, v in module.state_dict().items()}))
    return module.eval()


def make(folder: Path) -> dict[str, object]:
    """Write the files, the model's with a description that names CLIP's."""
    from colorize import recipes
    from colorize.checkpoints import weights_io
    from colorize.colorize_diffusion import published
    from colorize.colorize_diffusion.clip import CLIPSpec, Vision
    from colorize.recipes import overrides

    recipe, clip = recipes.find("colorize-diffusion"), folder / "clip.safetensors"
    weights_io.write(folder / "model.safetensors", made(published.layout(recipe)), {})

    with weights_io.meta_device():
        shapes = {f"visual.{n}": tuple(v.shape) for n, v in Vision(CLIPSpec()).state_dict().items()}
    weights_io.write(clip, made(shapes), {})
    own = replace(recipe, condition=replace(recipe.condition, encoder=str(clip)))
    (folder / "config.json").write_text(json.dumps(overrides.to_dict(own)), "utf-8")
    return {}


def load(folder: Path, kind: str) -> dict[str, object]:
    """The published file, without CLIP."""
    import torch

    from colorize import recipes
    from colorize.checkpoints import weights_io
    from colorize.colorize_diffusion import published

    dtype, kept = (torch.bfloat16 if kind == "bf16" else None), []
    path = folder / "model.safetensors"

    def loaded() -> nn.Module:
        model, found = published.hollow(recipes.find("colorize-diffusion")), weights_io.read(path)[1]
        return published.fill_networks(path.name, model, found, dtype)

    told = timed(lambda: kept.append(loaded()), 1)
    return {**told, "anonymous_GB": round(memory("Anonymous"), 2)}


def net(rows: int, kind: str) -> dict[str, object]:
    """One call of the U-Net for a picture of 512 pixels and a reference."""
    import torch

    from colorize.colorize_diffusion.condition import LatentCond
    from colorize.colorize_diffusion.unet import LatentUNetSpec

    module, x = filled(LatentUNetSpec().build, kind), torch.randn(rows, 4, CELLS, CELLS)
    cond = LatentCond(tokens=torch.randn(rows, TOKENS, WIDTH))
    return timed(lambda: module(x, torch.full((rows,), 0.5), cond))


def part(name: str) -> dict[str, object]:
    """One call of a network around the U-Net."""
    import torch

    from colorize.colorize_diffusion.clip import CLIPSpec, Vision
    from colorize.colorize_diffusion.encoders import SketchSpec
    from colorize.colorize_diffusion.vae import VAESpec

    picture = torch.rand(1, 3, SIDE, SIDE) * 2 - 1
    if name == "sketch":
        module = filled(SketchSpec().build)
        return timed(lambda: module(picture))
    if name == "clip":
        module = filled(lambda: Vision(CLIPSpec()))
        return timed(lambda: module(picture))
    vae = filled(VAESpec().build)
    if name == "encode":
        return timed(lambda: vae.encode(picture))
    return timed(lambda: vae.decode(torch.randn(1, 4, CELLS, CELLS)))


def picture(folder: Path, kind: str) -> dict[str, object]:
    """A picture of 512 pixels after a reference in two guided steps, and before it the loading of everything."""
    import torch

    from colorize.checkpoints import model_files
    from colorize.hints import Hints
    from colorize.system import LoadOptions

    options = LoadOptions(predicts="eps", dtype=torch.bfloat16 if kind == "bf16" else None)
    begin = time.perf_counter()
    loaded = model_files.load(folder, options=options)
    told: dict[str, object] = {"load_seconds": round(time.perf_counter() - begin, 1)}
    hints = Hints(line=torch.ones(1, 1, SIDE, SIDE), reference=torch.zeros(1, 3, SIDE, SIDE))
    sampling, on = replace(loaded.recipe.sampling, steps=2), kind == "bf16"
    with torch.autocast("cpu", torch.bfloat16, enabled=on):  # as `colorize sample` does
        walk = loaded.colorizer.walk(hints, sampling, [0], dict(sampling.guidance))
        told |= timed(lambda: told.update(x=[state.x for state in walk][-1]), 1)
    x = told.pop("x")
    return {**told, "decode": timed(lambda: loaded.colorizer.decode(x, hints), 1)}


ROWS: dict[str, Callable[[Path, str], dict[str, object]]] = {
    "load": load,
    "unet-1": lambda _, kind: net(1, kind),
    "unet-2": lambda _, kind: net(2, kind),
    "sketch": lambda *_: part("sketch"),
    "clip": lambda *_: part("clip"),
    "encode": lambda *_: part("encode"),
    "decode": lambda *_: part("decode"),
    "picture": picture,
}
ONE_KIND = ("sketch", "clip", "encode", "decode")  # which stay in float32


def one(name: str, kind: str, folder: Path) -> None:
    """Measure one row in this process and print it."""
    import torch

    with torch.inference_mode():
        told = {"what": name, "kind": kind, **ROWS[name](folder, kind)}
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / GIGABYTE
    print(json.dumps({**told, "peak_GB": round(peak, 2), "threads": torch.get_num_threads()}))


def main(names: list[str]) -> None:
    """Print one JSON object per row."""
    with tempfile.TemporaryDirectory() as folder:
        own = [sys.executable, __file__]
        if {"load", "picture"} & set(names):
            subprocess.run([*own, "--make", folder], check=True)
        for name in names:
            for kind in KINDS[:1] if name in ONE_KIND else KINDS:
                subprocess.run([*own, "--one", name, kind, folder], check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--make"]:
        make(Path(sys.argv[2]))
    elif sys.argv[1:2] == ["--one"]:
        one(sys.argv[2], sys.argv[3], Path(sys.argv[4]))
    else:
        main(sys.argv[1:] or list(ROWS))
