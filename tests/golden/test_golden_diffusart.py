"""Diffusart, official and of the community: networks as plain formulas, counts of weights, and checkpoints."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from plain import Layers, Plain
from safetensors.torch import save_file
from torch import Tensor

from colorize import recipes
from colorize.checkpoints import model_files
from colorize.errors import ColorizeError
from colorize.hints import Hints
from colorize.recipes.overrides import override

WIDTHS = (32, 32, 64, 64)
RNG = torch.Generator().manual_seed(0)
LINE, COLOR = torch.rand(2, 1, 32, 48, generator=RNG) * 2 - 1, torch.rand(2, 3, 32, 48, generator=RNG) * 2 - 1
MASK = (torch.rand(2, 1, 32, 48, generator=RNG) < 0.1).float()
HINTS = Hints(line=LINE, hints=torch.cat([COLOR, 2 * MASK - 1], 1))
X = torch.randn(2, 3, 32, 48, generator=RNG)


class Net(Layers):
    """Tensors that both have."""

    def block(self, name: str, inputs: int, outputs: int, time: int = 0) -> None:
        if time:
            self.add(f"{name}.mlp.1", outputs, time)
        for place, before in ((1, inputs), (2, outputs)):
            self.add(f"{name}.block{place}.proj", outputs, before, 3, 3)
            self.add(f"{name}.block{place}.norm", outputs)
        if inputs != outputs:
            self.add(f"{name}.res_conv", outputs, inputs, 1, 1)

    def linear(self, name: str, width: int, dead: bool) -> None:
        self.add(f"{name}.fn.norm", width)
        self.add(f"{name}.fn.fn.to_qkv", 384, width, 1, 1, bias=False)
        for part in "qkv" * dead:
            self.add(f"{name}.fn.fn.to_{part}", 128, width, 1, 1, bias=False)
        self.add(f"{name}.fn.fn.to_out.0", width, 128, 1, 1)
        self.add(f"{name}.fn.fn.to_out.1", width)

    def up(self, name: str, width: int) -> None:
        self.add(name, width, width, 4, 4)

    def common(self, inputs: int, first: int, side: int, widths: tuple[int, ...], waves: int, dead: bool) -> None:
        time = 4 * waves
        self.add("init_conv", first, inputs, side, side)
        self.add("time_mlp.1", time, waves)
        self.add("time_mlp.3", time, time)
        before = first
        for level, width in enumerate(widths):
            self.block(f"downs.{level}.0", before, width, time)
            self.block(f"downs.{level}.1", width, width, time)
            if dead:
                self.linear(f"downs.{level}.2", width, True)
            if level < len(widths) - 1:
                self.add(f"downs.{level}.{3 if dead else 2}", width, width, 4, 4)
            before = width
        for level, (width, before) in enumerate(zip(widths[-2::-1], widths[:0:-1], strict=True)):
            self.block(f"ups.{level}.0", 2 * before, width, time)
            self.block(f"ups.{level}.1", width, width, time)
            if dead:
                self.linear(f"ups.{level}.2", width, True)
            self.add(f"ups.{level}.{3 if dead else 2}", width, width, 4, 4)


def official(widths: tuple[int, ...], first: int, waves: int) -> dict[str, tuple[int, ...]]:
    net, deep, before = Net(), widths[-1], first
    net.common(4, first, 3, widths, waves, False)
    for place in (1, 2, 3):
        net.block(f"mid_block{place}", deep, deep, 4 * waves)
    for place in (1, 2):
        net.add(f"mid_cross_attn_{place}.norm", deep)
        net.shapes[f"mid_cross_attn_{place}.fn.gamma"] = (1,)
        for part in "qkv":
            net.add(f"mid_cross_attn_{place}.fn.to_{part}", 384, deep, 1, 1, bias=False)
        net.add(f"mid_cross_attn_{place}.fn.to_out", deep, 384, 1, 1)
        net.linear(f"mid_attn_{place}", deep, False)
    net.add("encod_sketch.init_conv_encd", first, 5, 3, 3)
    for level, width in enumerate(widths):
        net.block(f"encod_sketch.downs_encd.{level}.0", before, width)
        if level < len(widths) - 1:
            net.add(f"encod_sketch.downs_encd.{level}.1", width, width, 4, 4)
        before = width
    net.block("encod_sketch.mid_block1_encd", deep, deep)
    net.block("final_conv.0", widths[0], widths[0])
    net.add("final_conv.1", widths[0])
    net.add("final_conv.2", 3, widths[0], 3, 3)
    return net.shapes


def community(widths: tuple[int, ...], first: int, waves: int) -> dict[str, tuple[int, ...]]:
    net, deep, before = Net(), widths[-1], first
    net.common(6, first, 7, widths, waves, True)
    for place in (1, 2):
        net.block(f"mid_block{place}", deep, deep, 4 * waves)
    for place in (1, 2, 3):
        net.add(f"cross_attention_{place}.fn.norm", deep)
        net.add(f"cross_attention_{place}.fn.fn.to_q", 128, deep, 1, 1, bias=False)
        net.add(f"cross_attention_{place}.fn.fn.to_kv", 256, deep, 1, 1, bias=False)
        net.add(f"cross_attention_{place}.fn.fn.out", deep, 128, 1, 1)
    net.add("conditioning_init", first, 3, 7, 7)
    for level, width in enumerate(widths):
        net.block(f"conditioning_encoder.{level}.0", before, width)
        net.linear(f"conditioning_encoder.{level}.1", width, True)
        if level < len(widths) - 1:
            net.add(f"conditioning_encoder.{level}.2", width, width, 4, 4)
        before = width
    net.block("final_conv.0", widths[0], widths[0])
    net.add("final_conv.1", 3, widths[0], 1, 1)
    return net.shapes


class Formulas(Plain):
    def one_norm(self, name: str, h: Tensor) -> Tensor:
        return F.group_norm(h, 1, self.w[f"{name}.weight"], self.w[f"{name}.bias"])

    def block(self, name: str, h: Tensor, time: Tensor | None = None) -> Tensor:
        inner = F.silu(self.norm(f"{name}.block1.norm", self.conv(f"{name}.block1.proj", h, 1)))
        if time is not None:
            inner = inner + self.linear(f"{name}.mlp.1", F.silu(time))[:, :, None, None]
        inner = F.silu(self.norm(f"{name}.block2.norm", self.conv(f"{name}.block2.proj", inner, 1)))
        return inner + (self.conv(f"{name}.res_conv", h) if self.has(f"{name}.res_conv") else h)

    def linear_attention(self, name: str, h: Tensor) -> Tensor:
        parts = self.conv(f"{name}.fn.fn.to_qkv", self.one_norm(f"{name}.fn.norm", h)).flatten(2).chunk(3, 1)
        q, k, v = (part.unflatten(1, (4, 32)) for part in parts)
        context = torch.einsum("bhdn,bhen->bhde", k.softmax(-1), v)
        out = torch.einsum("bhde,bhdn->bhen", context, q.softmax(2) * 32**-0.5).reshape(-1, 128, *h.shape[2:])
        return h + self.one_norm(f"{name}.fn.fn.to_out.1", self.conv(f"{name}.fn.fn.to_out.0", out))

    def whole(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Softmax attention by four heads, all scaled as if a head had 32 channels."""
        out = []
        for a, b, c in zip(*(part.flatten(2).chunk(4, 1) for part in (q, k, v)), strict=True):
            scores = torch.einsum("bcn,bcm->bnm", a, b) * 32**-0.5
            out.append(torch.einsum("bnm,bcm->bcn", scores.softmax(-1), c))
        return torch.cat(out, 1).view_as(q)

    def halved(self, name: str, h: Tensor) -> Tensor:
        return F.conv2d(h, self.w[f"{name}.weight"], self.w[f"{name}.bias"], 2, 1) if self.has(name) else h

    def time(self, index: Tensor) -> Tensor:
        half = self.w["time_mlp.1.weight"].shape[1] // 2
        angles = index[:, None] * torch.exp(-math.log(10_000) / (half - 1) * torch.arange(half))
        time = self.linear("time_mlp.1", torch.cat([angles.sin(), angles.cos()], 1))
        return self.linear("time_mlp.3", F.gelu(time))

    def unet(self, h: Tensor, index: Tensor, middle: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        time, skips, attends = self.time(index), [], self.has("downs.0.2.fn.norm")
        h = self.conv("init_conv", h, self.w["init_conv.weight"].shape[-1] // 2)
        for level in range(4):
            h = self.block(f"downs.{level}.1", self.block(f"downs.{level}.0", h, time), time)
            h = self.linear_attention(f"downs.{level}.2", h) if attends else h
            skips.append(h)
            h = self.halved(f"downs.{level}.{3 if attends else 2}", h)
        h = middle(h, time)
        for level in range(3):
            h = self.block(f"ups.{level}.0", torch.cat([h, skips.pop()], 1), time)
            h = self.block(f"ups.{level}.1", h, time)
            h = self.linear_attention(f"ups.{level}.2", h) if attends else h
            name = f"ups.{level}.{3 if attends else 2}"
            h = F.conv_transpose2d(h, self.w[f"{name}.weight"], self.w[f"{name}.bias"], 2, 1)
        return self.block("final_conv.0", h)

    def official(self, x: Tensor, index: Tensor) -> Tensor:
        h = self.conv("encod_sketch.init_conv_encd", torch.cat([LINE, COLOR * MASK, MASK], 1), 1)
        for level in range(4):
            h = self.block(f"encod_sketch.downs_encd.{level}.0", h)
            h = self.halved(f"encod_sketch.downs_encd.{level}.1", h)
        first, second = h, self.block("encod_sketch.mid_block1_encd", h)

        def cross(name: str, h: Tensor, context: Tensor) -> Tensor:
            h, context = self.one_norm(f"{name}.norm", h), self.one_norm(f"{name}.norm", context)
            parts = self.conv(f"{name}.fn.to_q", h), *(self.conv(f"{name}.fn.to_{kind}", context) for kind in "kv")
            return self.w[f"{name}.fn.gamma"] * self.conv(f"{name}.fn.to_out", self.whole(*parts)) + h

        def middle(h: Tensor, time: Tensor) -> Tensor:
            h = self.block("mid_block1", cross("mid_cross_attn_1", h, first), time)
            h = self.block("mid_block2", self.linear_attention("mid_attn_1", h), time)
            h = self.linear_attention("mid_attn_2", cross("mid_cross_attn_2", h, second))
            return self.block("mid_block3", h, time)

        h = self.unet(torch.cat([LINE, x], 1), index, middle)
        h = F.group_norm(h, 32, self.w["final_conv.1.weight"], self.w["final_conv.1.bias"])
        return self.conv("final_conv.2", h, 1)

    def community(self, x: Tensor, index: Tensor) -> Tensor:
        sketch = LINE.expand(-1, 3, -1, -1)
        h = self.conv("conditioning_init", torch.where(MASK > 0, COLOR, sketch), 3)
        for level in range(4):
            h = self.linear_attention(
                f"conditioning_encoder.{level}.1", self.block(f"conditioning_encoder.{level}.0", h)
            )
            h = self.halved(f"conditioning_encoder.{level}.2", h)
        context = h

        def cross(name: str, h: Tensor) -> Tensor:
            q = self.conv(f"{name}.fn.fn.to_q", self.one_norm(f"{name}.fn.norm", h))
            k, v = self.conv(f"{name}.fn.fn.to_kv", context).chunk(2, 1)
            return h + self.conv(f"{name}.fn.fn.out", self.whole(q, k, v))

        def middle(h: Tensor, time: Tensor) -> Tensor:
            h = self.block("mid_block1", cross("cross_attention_1", h), time)
            return cross("cross_attention_3", self.block("mid_block2", cross("cross_attention_2", h), time))

        return self.conv("final_conv.1", self.unet(torch.cat([x, sketch], 1), index, middle))


def weights(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    return Layers(shapes).weights()


@pytest.mark.parametrize(
    ("variant", "shapes", "count"),
    [
        ("official", official((128, 256, 512, 512), 64, 256), 93_255_749),
        ("community", community((128, 256, 512, 1024), 84, 128), 151_944_799),
    ],
)
def test_they_have_the_published_count_of_weights(variant, shapes, count):
    assert sum(math.prod(shape) for shape in shapes.values()) == count
    recipe = recipes.find(f"diffusart:{variant}")
    ours = recipe.system.networks(model_files.build_on_meta(recipe)).state_dict()
    dead = {name for name in shapes if ".2.fn.fn.to_" in name or ("encoder" in name and ".1.fn.fn.to_" in name)}
    dead = {name for name in dead if name.split(".")[-2] in ("to_q", "to_k", "to_v")}
    assert (variant == "community") == (len(dead) == 33)
    wanted = {name: shape for name, shape in shapes.items() if name not in dead}
    if variant == "community":  # of three equal planes one is left
        wanted["init_conv.weight"] = (84, 4, 7, 7)
    assert {name: tuple(value.shape) for name, value in ours.items()} == wanted


def test_the_official_checkpoint_opens_and_gives_the_originals_noise(tmp_path: Path):
    w, path = weights(official(WIDTHS, 16, 24)), tmp_path / "diffusart_v1.pth"
    w["mid_cross_attn_1.fn.gamma"] += 0.7
    torch.save({f"module.{name}": value for name, value in w.items()}, path)
    loaded = model_files.load(path)
    net = loaded.recipe.denoiser.net
    assert (net.widths, net.first, net.waves, loaded.recipe.name) == (WIDTHS, 16, 24, "diffusart")
    index = torch.tensor([0, 999])
    with torch.no_grad():
        found = loaded.colorizer.network(X, (index + 1) / 1000, loaded.colorizer.condition(HINTS))
        wanted = Formulas(w, 8).official(X, index.float())
    assert wanted.std() > 0.1
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["pt", "safetensors"])
def test_the_communitys_checkpoint_opens_and_gives_the_originals_noise(tmp_path: Path, kind: str):
    w, path = weights(community(WIDTHS, 20, 32)), tmp_path / f"model-epoch_95.{kind}"
    if kind == "pt":
        state = {"state": {0: {"exp_avg": w["final_conv.1.weight"]}}, "param_groups": [{"lr": 2e-4}]}
        whole = {"epoch": 95, "step": 1, "model_state_dict": w, "optimizer_state_dict": state, "scheduler": {}}
        torch.save(whole, path)
    else:
        save_file(w, path)
    loaded = model_files.load(path)
    net = loaded.recipe.denoiser.net
    assert (net.widths, net.first, net.waves, loaded.recipe.size) == (WIDTHS, 20, 32, 32)
    index = torch.tensor([0, 3999])
    with torch.no_grad():
        found = loaded.colorizer.network(X, (index + 1) / 4000, loaded.colorizer.condition(HINTS))
        wanted = Formulas(w, 8).community(X, index.float())
    assert wanted.std() > 0.1
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def noise(rngs: list[torch.Generator]) -> Tensor:
    return torch.stack([torch.randn(3, 32, 48, generator=rng) for rng in rngs]).double()


def linear(steps: int) -> Tensor:
    return torch.linspace(1e-4, 2e-2, steps, dtype=torch.float64)


def cosine(steps: int) -> Tensor:
    share = torch.arange(steps + 1, dtype=torch.float64) / steps
    wave = torch.cos((share + 0.008) / 1.008 * math.pi / 2) ** 2
    return (1 - wave[1:] / wave[:-1]).clamp(max=0.999)


@pytest.mark.parametrize("variant", ["official", "community"])
def test_their_walks_are_the_originals(tmp_path: Path, variant: str):
    steps = 6
    w = weights(official(WIDTHS, 16, 24) if variant == "official" else community(WIDTHS, 20, 32))
    torch.save(w, tmp_path / "model.pt")
    loaded = model_files.load(tmp_path / "model.pt")
    recipe = override(loaded.recipe, f"schedule.steps={steps}", f"sampling.steps={steps}")
    colorizer = recipe.build().eval()
    colorizer.load_state_dict(loaded.colorizer.state_dict())
    with torch.no_grad():
        *_, last = colorizer.walk(HINTS, recipe.sampling, [3, 4])
    beta = linear(steps) if variant == "official" else cosine(steps)
    abar, formulas = torch.cumprod(1 - beta, 0), Formulas(w, 8)
    rngs = [torch.Generator().manual_seed(seed) for seed in (3, 4)]
    x = noise(rngs)
    for t in reversed(range(steps)):
        e = getattr(formulas, variant)(x.float(), torch.full((2,), float(t))).double()
        x0 = (x - (1 - abar[t]) ** 0.5 * e) / abar[t] ** 0.5
        x0 = x0 if variant == "official" else x0.clamp(-1, 1)
        before = abar[t - 1] if t else torch.tensor(1.0)
        x = (before**0.5 * beta[t] * x0 + (1 - beta[t]) ** 0.5 * (1 - before) * x) / (1 - abar[t])
        if t:
            x = x + (beta[t] * (1 - before) / (1 - abar[t])) ** 0.5 * noise(rngs)
    torch.testing.assert_close(last.x, x.float(), atol=1e-4, rtol=1e-3)


def test_a_damaged_checkpoint_is_refused_by_what_is_wrong(tmp_path: Path):
    w, path = weights(official(WIDTHS, 16, 24)), tmp_path / "diffusart_v1.pth"
    del w["ups.1.0.mlp.1.bias"]
    torch.save(w, path)
    with pytest.raises(ColorizeError, match=r"lacks the tensor `ups\.1\.0\.mlp\.1\.bias`"):
        model_files.load(path)
    torch.save(weights(official((24, 24), 16, 24)), path)
    with pytest.raises(ColorizeError, match=r"cannot be read as diffusart:official: net\.widths is \[24, 24\]"):
        model_files.load(path)
