"""Color Diffusion: U-Net and gray encoder as plain formulas, their counts of weights, and its checkpoints."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from plain import Layers, Plain, attention
from skimage.color import rgb2lab
from torch import Tensor

from colorize import recipes
from colorize.checkpoints import model_files
from colorize.hints import Hints
from colorize.images.color import rgb_to_lab
from colorize.recipes.overrides import override


def way_down(made: Layers, name: str, inputs: int, widths: tuple[int, ...], joined: int) -> None:
    """What both networks have."""
    first, time = widths[0], 4 * widths[0]
    made.add(f"{name}.init_conv", first, inputs, 7, 7)
    made.add(f"{name}.time_mlp.1", time, first)
    made.add(f"{name}.time_mlp.3", time, time)
    for level, (width, after) in enumerate(pairwise((first, *widths))):
        block(made, f"{name}.downs.{level}.0", width, width, time)
        block(made, f"{name}.downs.{level}.1", width, width, time)
        heads(made, f"{name}.downs.{level}.2", width)
        if level < len(widths) - 1:
            made.add(f"{name}.downs.{level}.3.2", after, 4 * joined * width, 1, 1)
        else:
            made.add(f"{name}.downs.{level}.3", after, joined * width, 3, 3)


def block(made: Layers, name: str, inputs: int, outputs: int, time: int) -> None:
    made.add(f"{name}.mlp.1", 2 * outputs, time)
    for part, wide in (("block1", inputs), ("block2", outputs)):
        made.add(f"{name}.{part}.proj", outputs, wide, 3, 3)
        made.add(f"{name}.{part}.norm", outputs)
    if inputs != outputs:
        made.add(f"{name}.res_conv", outputs, inputs, 1, 1)


def heads(made: Layers, name: str, width: int, linear: bool = True) -> None:
    made.shapes[f"{name}.fn.norm.g"] = (1, width, 1, 1)
    made.add(f"{name}.fn.fn.to_qkv", 384, width, 1, 1, bias=False)
    made.add(f"{name}.fn.fn.to_out" + (".0" if linear else ""), width, 128, 1, 1)
    if linear:
        made.shapes[f"{name}.fn.fn.to_out.1.g"] = (1, width, 1, 1)


def layers(widths: tuple[int, ...]) -> Layers:
    """Both networks, as the original lays them out."""
    made, deep, time = Layers(), widths[-1], 4 * widths[0]
    way_down(made, "unet", 3, widths, joined=2)
    block(made, "unet.mid_block1", deep, deep, time)
    heads(made, "unet.mid_attn", deep, linear=False)
    block(made, "unet.mid_block2", deep, deep, time)
    for place, (width, after) in enumerate(reversed(list(pairwise((widths[0], *widths))))):
        block(made, f"unet.ups.{place}.0", after + width, after, time)
        block(made, f"unet.ups.{place}.1", after + width, after, time)
        heads(made, f"unet.ups.{place}.2", after)
        made.add(f"unet.ups.{place}.3" + (".2" if place < len(widths) - 1 else ""), width, after, 3, 3)
    block(made, "unet.final_res_block", 2 * widths[0], widths[0], time)
    made.add("unet.final_conv", 2, widths[0], 1, 1)
    way_down(made, "encoder", 1, widths, joined=1)
    return made


class Formulas(Plain):
    """Both networks by their formulas."""

    def channel_norm(self, name: str, h: Tensor) -> Tensor:
        centered = h - h.mean(1, keepdim=True)
        return centered / (centered.square().mean(1, keepdim=True) + 1e-5).sqrt() * self.w[f"{name}.g"]

    def part(self, name: str, h: Tensor) -> Tensor:
        weight = self.w[f"{name}.proj.weight"]
        weight = weight - weight.mean((1, 2, 3), keepdim=True)
        weight = weight / (weight.square().mean((1, 2, 3), keepdim=True) + 1e-5).sqrt()
        return self.norm(f"{name}.norm", F.conv2d(h, weight, self.w[f"{name}.proj.bias"], padding=1))

    def block(self, name: str, h: Tensor, time: Tensor | None) -> Tensor:
        inner = self.part(f"{name}.block1", h)
        if time is not None:
            scale, shift = self.linear(f"{name}.mlp.1", F.silu(time))[:, :, None, None].chunk(2, 1)
            inner = inner * (scale + 1) + shift
        inner = F.silu(self.part(f"{name}.block2", F.silu(inner)))
        return inner + (self.conv(f"{name}.res_conv", h) if self.has(f"{name}.res_conv") else h)

    def heads(self, name: str, h: Tensor) -> Tensor:
        q, k, v = self.conv(f"{name}.fn.fn.to_qkv", self.channel_norm(f"{name}.fn.norm", h)).flatten(2).chunk(3, 1)
        if not self.has(f"{name}.fn.fn.to_out.0"):
            return h + self.conv(f"{name}.fn.fn.to_out", attention(q, k, v, 4).view(-1, 128, *h.shape[2:]))
        q, k, v = (part.unflatten(1, (4, 32)) for part in (q, k, v))
        context = torch.einsum("bhdn,bhen->bhde", k.softmax(-1), v / v.shape[-1])
        out = torch.einsum("bhde,bhdn->bhen", context, q.softmax(2) * 32**-0.5)
        out = self.conv(f"{name}.fn.fn.to_out.0", out.reshape(-1, 128, *h.shape[2:]))
        return h + self.channel_norm(f"{name}.fn.fn.to_out.1", out)

    def encoder(self, light: Tensor, levels: int) -> list[Tensor]:
        h, maps = self.conv("encoder.init_conv", light, 3), []
        for level in range(levels):
            for place in (0, 1):
                h = self.block(f"encoder.downs.{level}.{place}", h, None)
            maps.append(self.heads(f"encoder.downs.{level}.2", h))
            if level < levels - 1:
                h = self.conv(f"encoder.downs.{level}.3.2", fold(maps[-1]))
        return maps

    def unet(self, x: Tensor, index: Tensor, maps: list[Tensor]) -> Tensor:
        half, levels = self.w["unet.time_mlp.1.weight"].shape[1] // 2, len(maps)
        angles = index[:, None] * torch.exp(-math.log(10_000) / (half - 1) * torch.arange(half))
        time = self.linear("unet.time_mlp.1", torch.cat([angles.sin(), angles.cos()], 1))
        time = self.linear("unet.time_mlp.3", F.gelu(time))
        h, skips = self.conv("unet.init_conv", x, 3), []
        first = h
        for level in range(levels):
            skips.append(self.block(f"unet.downs.{level}.0", h, time))
            h = self.block(f"unet.downs.{level}.1", skips[-1], time)
            skips.append(self.heads(f"unet.downs.{level}.2", h))
            h = torch.cat([skips[-1], maps[level]], 1)
            last = level == levels - 1
            h = self.conv(f"unet.downs.{level}.3", h, 1) if last else self.conv(f"unet.downs.{level}.3.2", fold(h))
        h = self.heads("unet.mid_attn", self.block("unet.mid_block1", h, time))
        h = self.block("unet.mid_block2", h, time)
        for level in range(levels):
            for place in (0, 1):
                h = self.block(f"unet.ups.{level}.{place}", torch.cat([h, skips.pop()], 1), time)
            h = self.heads(f"unet.ups.{level}.2", h)
            if level < levels - 1:
                h = self.conv(f"unet.ups.{level}.3.2", h.repeat_interleave(2, 2).repeat_interleave(2, 3), 1)
            else:
                h = self.conv(f"unet.ups.{level}.3", h, 1)
        return self.conv("unet.final_conv", self.block("unet.final_res_block", torch.cat([h, first], 1), time))


def fold(h: Tensor) -> Tensor:
    """Each 2 x 2 places become channels: channel, row, column."""
    rows = h.unflatten(2, (-1, 2)).unflatten(4, (-1, 2))  # b c h p w q
    return rows.permute(0, 1, 3, 5, 2, 4).flatten(1, 3)


def saved(w: dict[str, Tensor], path: Path) -> Path:
    """A file as Lightning wrote it, with the module and the loader that its program keeps in it."""
    beside = {"encoder": torch.nn.Linear(2, 2), "train_dl": torch.utils.data.DataLoader([1, 2]), "T": 350}
    moments = {"state": {0: {"step": torch.tensor(1.0), "exp_avg": w["unet.final_conv.weight"]}}}
    torch.save({"state_dict": w, "hyper_parameters": beside, "optimizer_states": [moments]}, path)
    return path


def test_they_have_the_published_count_of_weights() -> None:
    shapes = layers((128, 256, 384, 384)).shapes
    counts = [
        sum(math.prod(shape) for name, shape in shapes.items() if name.startswith(part)) for part in ("unet", "enc")
    ]
    assert counts == [48_093_058, 13_411_328]
    recipe = recipes.find("lab-diffusion:published")
    both = recipe.system.networks(model_files.build_on_meta(recipe))
    assert {name: tuple(value.shape) for name, value in both.state_dict().items()} == shapes
    idle = [value.numel() for value in both.encoder.parameters() if not value.requires_grad]
    assert sum(idle) == 3_494_784


def test_its_checkpoint_opens_and_gives_the_originals_noise(tmp_path: Path) -> None:
    w = layers((16, 32, 48, 48)).weights()
    loaded = model_files.load(saved(w, tmp_path / "last.ckpt"))
    assert loaded.recipe.denoiser.net.widths == (16, 32, 48, 48)
    model, x, index = loaded.colorizer, torch.randn(2, 2, 16, 16), torch.tensor([0, 349])
    gray = torch.rand(2, 1, 16, 16)
    light = torch.from_numpy(rgb2lab(gray.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy())[..., 0])[:, None] / 50 - 1
    with torch.no_grad():
        found = model.network(x, (index + 1) / 350, model.condition(Hints(gray=2 * gray - 1)))
        p = Formulas(w, 8)
        wanted = p.unet(torch.cat([light.float(), x], 1), index.float(), p.encoder(light.float(), 4))
    assert wanted.std() > 0.1
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_its_walk_is_the_originals(tmp_path: Path) -> None:
    w, gray = layers((16, 16)).weights(), torch.rand(1, 1, 16, 16) * 2 - 1
    loaded = model_files.load(saved(w, tmp_path / "last.ckpt"))
    recipe = override(loaded.recipe, "schedule.steps=12", "sampling.steps=12")
    colorizer = recipe.build().eval()
    colorizer.load_state_dict(loaded.colorizer.state_dict())
    with torch.no_grad():
        *_, last = colorizer.walk(Hints(gray=gray), recipe.sampling, [3])
    p, beta = Formulas(w, 8), torch.linspace(1e-4, 2e-2, 12, dtype=torch.float64)
    abar, rng = torch.cumprod(1 - beta, 0), torch.Generator().manual_seed(3)
    light = rgb_to_lab(gray.expand(-1, 3, -1, -1))[:, :1] / 50 - 1
    x = torch.randn(1, 2, 16, 16, generator=rng).double()
    for t in reversed(range(12)):
        e = p.unet(torch.cat([light, x.float()], 1), torch.tensor([float(t)]), p.encoder(light, 2))
        x = (x - beta[t] / (1 - abar[t]) ** 0.5 * e) / (1 - beta[t]) ** 0.5
        if t:
            spread = beta[t] * (1 - abar[t - 1]) / (1 - abar[t])
            x = x + spread**0.5 * torch.randn(1, 2, 16, 16, generator=rng)
    torch.testing.assert_close(last.x, x.float(), atol=1e-4, rtol=1e-3)
