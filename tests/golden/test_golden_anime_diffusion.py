"""The official AnimeDiffusion: its network as plain formulas, its count of weights, and its checkpoints."""

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
from colorize.errors import ColorizeError
from colorize.hints import Hints

HINTS = Hints(line=torch.rand(2, 1, 16, 16) * 2 - 1, reference=torch.rand(2, 3, 16, 16) * 2 - 1)


def layers(widths: tuple[int, ...]) -> Layers:
    """A network of two blocks a level, as the original lays it out."""
    made, first, deepest, time = Layers(), widths[0], widths[-1], 4 * widths[0]

    def block(name: str, inputs: int, outputs: int) -> None:
        made.add(f"{name}.time_emb.1", outputs, time)
        made.add(f"{name}.conv1.0", inputs)
        made.add(f"{name}.conv1.2", outputs, inputs, 3, 3)
        made.add(f"{name}.conv2.0", outputs)
        made.add(f"{name}.conv2.3", outputs, outputs, 3, 3)
        if inputs != outputs:
            made.add(f"{name}.skip_connection", outputs, inputs, 1, 1)

    made.add("time_embedding.0", time, first)
    made.add("time_embedding.2", time, time)
    made.add("input.0", first, 7, 1, 1)
    skips, width = [], first
    for level, wide in enumerate(widths):
        for place in (3 * level, 3 * level + 1):
            block(f"encoder_block.{place}", width, wide)
            width = wide
            skips.append(wide)
        skips.append(wide)  # of the pool
    skips.pop()
    block("bottom_block.0", deepest, deepest)
    made.add("bottom_block.1.attention.0", deepest)
    made.add("bottom_block.1.attention.1", 3 * deepest, deepest, 1)
    block("bottom_block.2", deepest, deepest)
    for place in range(3 * len(widths) - 1):
        wide = widths[-1 - place // 3]
        block(f"decoder_block.{place}" + (".0" if place % 3 == 2 else ""), width + skips.pop(), wide)
        width = wide
    made.add("output.0", first)
    made.add("output.2", 3, first, 1, 1)
    return made


def block(p: Plain, name: str, h: Tensor, time: Tensor) -> Tensor:
    inner = p.conv(f"{name}.conv1.2", F.silu(p.norm(f"{name}.conv1.0", h)), 1)
    inner = inner + p.linear(f"{name}.time_emb.1", F.silu(time))[:, :, None, None]
    inner = p.conv(f"{name}.conv2.3", F.silu(p.norm(f"{name}.conv2.0", inner)), 1)
    return inner + (p.conv(f"{name}.skip_connection", h) if p.has(f"{name}.skip_connection") else h)


def middle(p: Plain, h: Tensor, time: Tensor) -> Tensor:
    h = block(p, "bottom_block.0", h, time)
    name, flat = "bottom_block.1.attention", h.flatten(2)
    weight, bias = p.w[f"{name}.1.weight"][..., 0], p.w[f"{name}.1.bias"][:, None]
    q, k, v = (weight @ p.norm(f"{name}.0", flat) + bias).chunk(3, 1)
    return block(p, "bottom_block.2", (flat + attention(q, k, v, 4)).view_as(h), time)


def original(p: Plain, levels: int, x: Tensor, index: Tensor) -> Tensor:
    """The noise that the original finds in [noisy, line, reference], by its formulas."""
    half = p.w["time_embedding.0.weight"].shape[1] // 2
    wave = index[:, None] * torch.exp(-math.log(1000) * torch.arange(half) / half)
    time = p.linear("time_embedding.0", torch.cat([wave.cos(), wave.sin()], 1))
    time = p.linear("time_embedding.2", F.silu(time))
    h, skips = p.conv("input.0", x), []
    for place in range(3 * levels - 1):
        if place % 3 < 2:
            h = block(p, f"encoder_block.{place}", h, time)
        else:
            h = (h[..., ::2, ::2] + h[..., 1::2, ::2] + h[..., ::2, 1::2] + h[..., 1::2, 1::2]) / 4
        skips.append(h)
    h = middle(p, h, time)
    for place in range(3 * levels - 1):
        wide = place % 3 == 2
        h = block(p, f"decoder_block.{place}" + (".0" if wide else ""), torch.cat([h, skips.pop()], 1), time)
        if wide:
            h = h.repeat_interleave(2, 2).repeat_interleave(2, 3)
    return p.conv("output.2", F.silu(p.norm("output.0", h)))


def saved(
    w: dict[str, Tensor], path: Path, wrap: str = "", start: float = 1e-6, end: float = 1e-2, steps: int = 1000
) -> Path:
    """A file of the original: a bare state dict with the buffers of its schedule."""
    gammas = torch.cumprod(1 - torch.linspace(start, end, steps, dtype=torch.float64), 0).float()
    state = {f"{wrap}gammas": gammas, f"{wrap}posterior_variance": gammas, f"{wrap}sqrt_reciprocal_gammas": gammas}
    torch.save(state | {f"{wrap}denoise_fn.{name}": value for name, value in w.items()}, path)
    return path


def test_it_has_the_published_count_of_weights() -> None:
    assert sum(math.prod(shape) for shape in layers((64, 128, 256, 512)).shapes.values()) == 52_301_251
    model = model_files.build_on_meta(recipes.find("anime-diffusion:official"))
    found = {name: tuple(value.shape) for name, value in model.network.state_dict().items()}
    assert found == layers((64, 128, 256, 512)).shapes


@pytest.mark.parametrize("wrap", ["", "module."])
def test_its_checkpoint_opens_and_gives_the_originals_noise(tmp_path: Path, wrap: str) -> None:
    w = layers((32, 64, 64)).weights()
    loaded = model_files.load(saved(w, tmp_path / "ep_300.model.pth", wrap))
    assert loaded.recipe.denoiser.net.widths == (32, 64, 64)
    assert loaded.recipe.schedule == recipes.find("anime-diffusion:official").schedule
    model, x, index = loaded.colorizer, torch.randn(2, 3, 16, 16), torch.tensor([0, 901])
    with torch.no_grad():
        found = model.network(x, (index + 1) / 1000, model.condition(HINTS))
        wanted = original(Plain(w), 3, torch.cat([x, HINTS["line"], HINTS["reference"]], 1), index.float())
    assert wanted.std() > 0.1
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_its_schedule_is_read_from_its_file(tmp_path: Path) -> None:
    file = saved(layers((32, 32)).weights(), tmp_path / "any.name", start=1e-4, end=2e-2, steps=500)
    found = model_files.load(file).recipe.schedule
    assert (found.start, found.end, found.steps) == (1e-4, 2e-2, 500)


def test_what_was_trained_with_attention_over_channels_is_refused(tmp_path: Path) -> None:
    extra = "decoder_block.0.attention.0.channel_attention.fc.0.weight"
    with pytest.raises(ColorizeError, match="CBAM"):
        model_files.load(saved(layers((32, 32)).weights() | {extra: torch.zeros(2, 32, 1, 1)}, tmp_path / "a.pth"))
