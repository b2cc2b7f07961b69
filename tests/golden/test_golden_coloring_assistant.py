"""The Coloring Assistant: its network as plain formulas, its count of weights, and its checkpoints of both phases."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from plain import Layers, Plain, attention
from torch import Tensor

from colorize import recipes
from colorize.checkpoints import model_files
from colorize.hints import Hints

HINTS = Hints(line=torch.rand(2, 1, 16, 16) * 2 - 1, reference=torch.rand(2, 3, 16, 16) * 2 - 1)


def layers(width: int, time: int) -> Layers:
    """A network, as the original lays it out."""
    made = Layers()

    def double(name: str, inputs: int, outputs: int, between: int = 0) -> None:
        between = between or outputs
        made.add(f"{name}.double_conv.0", between, inputs, 3, 3, bias=False)
        made.add(f"{name}.double_conv.1", between)
        made.add(f"{name}.double_conv.3", outputs, between, 3, 3, bias=False)
        made.add(f"{name}.double_conv.4", outputs)

    double("inc", 7, width)
    for place in (1, 2, 3):
        inputs = width * 2 ** (place - 1)
        double(f"down{place}.maxpool_conv.1", inputs, inputs)
        double(f"down{place}.maxpool_conv.2", inputs, 2 * inputs)
        made.add(f"down{place}.emb_layer.1", 2 * inputs, time)
    deep = 8 * width
    made.shapes |= {"sa1.mha.in_proj_weight": (3 * deep, deep), "sa1.mha.in_proj_bias": (3 * deep,)}
    made.add("sa1.mha.out_proj", deep, deep)
    made.add("sa1.ln", deep)
    made.add("sa1.ff_self.0", deep)
    made.add("sa1.ff_self.1", deep, deep)
    made.add("sa1.ff_self.3", deep, deep)
    for place, inputs, outputs in ((1, 12 * width, deep), (2, 10 * width, 2 * width), (3, 3 * width, width)):
        double(f"up{place}.conv.0", inputs, inputs)
        double(f"up{place}.conv.1", inputs, outputs, inputs // 2)
        made.add(f"up{place}.emb_layer.1", outputs, time)
    made.add("outc", 3, width, 1, 1)
    return made


def double(p: Plain, name: str, h: Tensor) -> Tensor:
    name += ".double_conv"
    inner = F.gelu(p.norm(f"{name}.1", p.conv(f"{name}.0", h, 1)))
    return p.norm(f"{name}.4", p.conv(f"{name}.3", inner, 1))


def pair(p: Plain, name: str, first: int, h: Tensor, bias: Tensor) -> Tensor:
    h = F.gelu(h + double(p, f"{name}.{first}", h))
    return double(p, f"{name}.{first + 1}", h) + bias[:, :, None, None]


def deepest(p: Plain, h: Tensor) -> Tensor:
    def norm(name: str, x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], p.w[f"{name}.weight"], p.w[f"{name}.bias"])

    flat = h.flatten(2).transpose(1, 2)
    qkv = norm("sa1.ln", flat) @ p.w["sa1.mha.in_proj_weight"].T + p.w["sa1.mha.in_proj_bias"]
    read = attention(*qkv.transpose(1, 2).chunk(3, 1), 4).transpose(1, 2)
    flat = flat + p.linear("sa1.mha.out_proj", read)
    flat = flat + p.linear("sa1.ff_self.3", F.gelu(p.linear("sa1.ff_self.1", norm("sa1.ff_self.0", flat))))
    return flat.transpose(1, 2).reshape(h.shape)


def original(p: Plain, x: Tensor, index: Tensor) -> Tensor:
    """The noise that the original finds in [line, reference, noisy], by its formulas."""
    size = p.w["down1.emb_layer.1.weight"].shape[1]
    angles = index[:, None] / 10_000 ** (torch.arange(0, size, 2) / size)
    time = torch.cat([angles.sin(), angles.cos()], 1)
    maps = [double(p, "inc", x)]
    for place in (1, 2, 3):
        bias = p.linear(f"down{place}.emb_layer.1", F.silu(time))
        maps.append(pair(p, f"down{place}.maxpool_conv", 1, F.max_pool2d(maps[-1], 2), bias))
    h = deepest(p, maps.pop())
    for place in (1, 2, 3):
        bias = p.linear(f"up{place}.emb_layer.1", F.silu(time))
        wide = F.interpolate(h, scale_factor=2, mode="bilinear", align_corners=True)
        h = pair(p, f"up{place}.conv", 0, torch.cat([maps.pop(), wide], 1), bias)
    return p.conv("outc", h)


def test_it_has_the_published_count_of_weights() -> None:
    assert sum(math.prod(shape) for shape in layers(64, 128).shapes.values()) == 33_543_555
    assert sum(math.prod(shape) for shape in layers(64, 256).shapes.values()) == 33_748_355
    model = model_files.build_on_meta(recipes.find("anime-diffusion:coloring-assistant"))
    found = {name: tuple(value.shape) for name, value in model.network.state_dict().items()}
    assert found == layers(64, 128).shapes


@pytest.mark.parametrize("finetuned", [False, True])
def test_its_checkpoint_opens_and_gives_the_originals_noise(tmp_path: Path, finetuned: bool) -> None:
    w = layers(8, 32).weights()
    state = dict(w)
    if finetuned:  # the network twice; the trained one counts
        state = {f"forward_noise_model.{name}": torch.zeros_like(value) for name, value in w.items()}
        state |= {f"model.{name}": value for name, value in w.items()}
    words = {"conf": {"img_size": 32}, "c_out": 3}
    moments = {"state": {0: {"exp_avg": w["outc.weight"]}}}
    torch.save(
        {"epoch": 3, "state_dict": state, "hyper_parameters": words, "optimizer_states": [moments]}, tmp_path / "a"
    )
    loaded = model_files.load(tmp_path / "a")
    assert (loaded.recipe.size, loaded.recipe.denoiser.net.width) == (32, 8)
    model, x, index = loaded.colorizer, torch.randn(2, 3, 16, 16), torch.tensor([0, 957])
    with torch.no_grad():
        found = model.network(x, (index + 1) / 1000, model.condition(HINTS))
        wanted = original(Plain(w, 1), torch.cat([HINTS["line"], HINTS["reference"], x], 1), index.float())
    assert wanted.std() > 0.1
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_its_walk_is_the_originals(tmp_path: Path) -> None:
    w = layers(8, 32).weights()
    torch.save({"state_dict": w}, tmp_path / "trial-0.ckpt")
    loaded, hints = model_files.load(tmp_path / "trial-0.ckpt"), HINTS.rows(slice(0, 1))
    with torch.no_grad():
        found = [state.x for state in loaded.colorizer.walk(hints, loaded.recipe.sampling, [3])]
    abar = torch.cumprod(1 - torch.linspace(1e-4, 2e-2, 1000, dtype=torch.float64), 0)
    stops = [int(share * 999) for share in torch.linspace(0, 1, 25, dtype=torch.float64)][::-1]
    assert stops[:3] == [999, 957, 915]
    noise = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    x = abar[999] ** 0.5 * hints["reference"].double() + (1 - abar[999]) ** 0.5 * noise
    for stop, after, ours in zip(stops, [*stops[1:], -1], found, strict=True):
        whole = torch.cat([hints["line"], hints["reference"], x.float()], 1)
        e = original(Plain(w, 1), whole, torch.tensor([float(stop)]))
        now, then = abar[stop], abar[after] if after >= 0 else torch.tensor(1.0)
        x = then**0.5 * (x - (1 - now) ** 0.5 * e) / now**0.5 + (1 - then) ** 0.5 * e
        torch.testing.assert_close(ours / x.std(), (x / x.std()).float(), atol=1e-3, rtol=0)
