"""The published manga GAN, by plain formulas: the numbers of its networks, from files laid out as its authors' are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import colorize
from colorize.checkpoints import model_files
from colorize.errors import ColorizeError
from colorize.hints import Hints
from colorize.manga.networks import PatchCritic

WIDTHS = (8, 8, 16, 16, 16, 16, 24, 24)
MEAN, STD = (torch.tensor(row)[:, None, None] for row in ((0.7137, 0.6628, 0.6519), (0.2970, 0.3017, 0.2979)))
State = dict[str, Tensor]


class Maker:
    """Random tensors under published names."""

    def __init__(self) -> None:
        self.rng, self.state = torch.Generator().manual_seed(0), {}

    def conv(self, name: str, *shape: int, bias: bool = True, out: int = 0) -> None:
        fan = shape[1] * (shape[-1] ** 2 if len(shape) == 4 else 1)
        self.state[f"{name}.weight"] = torch.randn(shape, generator=self.rng) * (2 / fan) ** 0.5
        if bias:
            self.state[f"{name}.bias"] = torch.randn(shape[out], generator=self.rng) * 0.1

    def norm(self, name: str, width: int) -> None:
        self.state[f"{name}.weight"] = 1 + 0.2 * torch.randn(width, generator=self.rng)
        self.state[f"{name}.bias"] = 0.2 * torch.randn(width, generator=self.rng)
        self.state[f"{name}.running_mean"] = 0.2 * torch.randn(width, generator=self.rng)
        self.state[f"{name}.running_var"] = 0.5 + torch.rand(width, generator=self.rng)
        self.state[f"{name}.num_batches_tracked"] = torch.tensor(22_230)


def generator_state(attention: bool, extractor: bool) -> State:
    make, before = Maker(), 1
    for level, width in enumerate(WIDTHS, 1):
        make.conv(f"down{level}.conv", width, before, 4, 4)
        make.norm(f"down{level}.bn", width)
        before = width
    if extractor:
        tagger_state(make)
        before += 512
    if attention:
        make.state["attn.gamma"] = torch.tensor([0.7])
        for name, width in (("query_conv", before // 8), ("key_conv", before // 8), ("value_conv", before)):
            make.conv(f"attn.{name}", width, before, 1, 1)
    for level, width in enumerate(reversed(WIDTHS[:-1]), 1):
        make.conv(f"up{level}.deconv", before, width, 4, 4, out=1)
        make.norm(f"up{level}.bn", width)
        before = 2 * width
    make.conv("up8", before, 3, 4, 4, out=1)
    return make.state


def tagger_state(make: Maker) -> None:
    """One block at each level of the ResNet, which has 3, 4, 6 and 3."""
    make.conv("context.body.0", 64, 3, 7, 7, bias=False)
    make.norm("context.body.1", 64)
    before = 64
    for level in range(4):
        block, width = f"context.body.{4 + level}.0", 64 * 2**level
        for place, (a, b, side) in enumerate(((before, width, 1), (width, width, 3), (width, 4 * width, 1)), 1):
            make.conv(f"{block}.conv{place}", b, a, side, side, bias=False)
            make.norm(f"{block}.bn{place}", b)
        make.conv(f"{block}.downsample.0", 4 * width, before, 1, 1, bias=False)
        make.norm(f"{block}.downsample.1", 4 * width)
        before = 4 * width
    make.norm("context.head.2", 2 * before)
    make.conv("context.head.4", 512, 2 * before)


def normed(x: Tensor, state: State, name: str) -> Tensor:
    parts = (state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    mean, var, weight, bias = (part.view(1, -1, *[1] * (x.dim() - 2)) for part in parts)
    return (x - mean) / (var + 1e-5).sqrt() * weight + bias


def conv(x: Tensor, state: State, name: str, stride: int = 1, padding: int = 0) -> Tensor:
    return F.conv2d(x, state[f"{name}.weight"], state.get(f"{name}.bias"), stride, padding)


def tagged(grey: Tensor, state: State) -> Tensor:
    seen = F.interpolate((grey.repeat(1, 3, 1, 1) + 1) / 2, (360, 360), mode="bilinear", align_corners=False)
    h = conv((seen - MEAN) / STD, state, "context.body.0", 2, 3)
    h = F.max_pool2d(normed(h, state, "context.body.1").relu(), 3, 2, 1)
    for level in range(4):
        block, stride = f"context.body.{4 + level}.0", 2 if level else 1
        inner = normed(conv(h, state, f"{block}.conv1"), state, f"{block}.bn1").relu()
        inner = normed(conv(inner, state, f"{block}.conv2", stride, 1), state, f"{block}.bn2").relu()
        inner = normed(conv(inner, state, f"{block}.conv3"), state, f"{block}.bn3")
        short = normed(conv(h, state, f"{block}.downsample.0", stride), state, f"{block}.downsample.1")
        h = (inner + short).relu()
    pooled = torch.cat([h.amax((2, 3)), h.mean((2, 3))], 1)
    return F.linear(
        normed(pooled, state, "context.head.2"), state["context.head.4.weight"], state["context.head.4.bias"]
    )


def painted(grey: Tensor, state: State) -> Tensor:
    h, skips = grey, []
    for level in range(1, 9):
        h = F.leaky_relu(normed(conv(h, state, f"down{level}.conv", 2, 1), state, f"down{level}.bn"), 0.2)
        skips.append(h)
    if "context.body.0.weight" in state:
        h = torch.cat([h, tagged(grey, state)[:, :, None, None]], 1)
    if "attn.gamma" in state:
        q, k, v = (conv(h, state, f"attn.{name}_conv").flatten(2) for name in ("query", "key", "value"))
        share = (q.transpose(1, 2) @ k).softmax(-1)  # places x places
        h = state["attn.gamma"] * (v @ share.transpose(1, 2)).view_as(h) + h
    for level in range(1, 8):
        name = f"up{level}.deconv"
        up = F.conv_transpose2d(h, state[f"{name}.weight"], state[f"{name}.bias"], 2, 1)
        h = torch.cat([normed(up, state, f"up{level}.bn").relu(), skips[7 - level]], 1)
    return F.conv_transpose2d(h, state["up8.weight"], state["up8.bias"], 2, 1).tanh()


@pytest.mark.parametrize("wrap", ["", "module.", "model_state_dict"])
@pytest.mark.parametrize(
    ("variant", "attention", "extractor"),
    [("plain", False, False), ("attention", True, False), ("extractor", False, True), ("full", True, True)],
)
def test_a_generator_gives_the_numbers_of_its_file(variant, attention, extractor, wrap, tmp_path: Path):
    state, path = generator_state(attention, extractor), tmp_path / "model_epoch_49.pth"
    if wrap.endswith("."):
        torch.save({f"{wrap}{name}": value for name, value in state.items()}, path)
    else:
        torch.save({wrap: state, "epoch": 49} if wrap else state, path)
    loaded = model_files.load(path)
    net = loaded.recipe.denoiser.net
    assert (net.widths, net.groups, net.attention, net.dropout) == (WIDTHS, 0, attention, 0.5)
    assert loaded.recipe.condition.extractor == extractor
    grey = torch.rand(2, 1, 256, 256, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.inference_mode():
        made = loaded.colorizer.sample(Hints(gray=grey), loaded.recipe.sampling, [0, 0])
    torch.testing.assert_close(made, painted(grey, state), atol=1e-4, rtol=0)
    assert made.std() > 0.1


def test_a_loaded_generator_is_saved_as_it_was(tmp_path: Path):
    state = generator_state(True, False)
    torch.save(state, tmp_path / "model.pth")
    colorize.load(tmp_path / "model.pth", device="cpu").save_pretrained(tmp_path)
    again = colorize.load(tmp_path, device="cpu").network.state_dict()
    assert again.keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in again.items())


def test_more_places_attend_to_each_other(tmp_path: Path):
    state = generator_state(True, False)
    torch.save(state, tmp_path / "model.pth")
    grey = torch.rand(1, 1, 256, 512, generator=torch.Generator().manual_seed(1)) * 2 - 1
    loaded = model_files.load(tmp_path / "model.pth")
    with torch.inference_mode():
        made = loaded.colorizer.sample(Hints(gray=grey), loaded.recipe.sampling, [0])
    torch.testing.assert_close(made, painted(grey, state), atol=1e-4, rtol=0)


def test_a_file_that_lacks_a_tensor_is_refused_by_its_name(tmp_path: Path):
    state = generator_state(False, False)
    del state["up3.bn.bias"]
    torch.save(state, tmp_path / "model.pth")
    with pytest.raises(ColorizeError, match=r"lacks the tensor `up3\.bn\.bias`"):
        model_files.load(tmp_path / "model.pth")


def test_the_critic_is_the_published_one():
    make, before = Maker(), 4
    critic = PatchCritic(widths=(8, 16, 16, 24), groups=0).train()
    for level, width in enumerate((8, 16, 16, 24)):
        make.conv(f"convs.{level}", width, before, 4, 4)
        if level:
            make.norm(f"norms.{level - 1}", width)
        before = width
    make.conv("out", 1, before, 4, 4)
    critic.load_state_dict(make.state)
    rng = torch.Generator().manual_seed(1)
    page, color = torch.randn(2, 1, 64, 64, generator=rng), torch.randn(2, 3, 64, 64, generator=rng)
    h, state = torch.cat([page, color], 1), make.state
    for level in range(4):
        h = conv(h, state, f"convs.{level}", 2, 1)
        if level:  # the statistics of this batch
            mean, var = h.mean((0, 2, 3), keepdim=True), h.var((0, 2, 3), keepdim=True, correction=0)
            weight, bias = (state[f"norms.{level - 1}.{part}"].view(1, -1, 1, 1) for part in ("weight", "bias"))
            h = (h - mean) / (var + 1e-5).sqrt() * weight + bias
        h = F.leaky_relu(h, 0.2)
    torch.testing.assert_close(critic(page, color), conv(h, state, "out", 1, 1), atol=1e-4, rtol=0)
