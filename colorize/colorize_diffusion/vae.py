"""The autoencoder between pictures and latents (Rombach et al. 2022) under its published names, and its space."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorize.hints import Hints
from colorize.images.resize import crop, multiple_size, pad
from colorize.networks.spaces import Space, pulled_to_hints
from colorize.networks.unet import Up, named
from colorize.system import SpaceSpec


@dataclass(frozen=True)
class VAESpec:
    """The numbers of the autoencoder. widths: channels per level, finest first; each level but the last halves.

    blocks: residual blocks a level of the encoder; one more in the decoder. channels: channels of a latent.
    """

    widths: tuple[int, ...] = (128, 256, 512, 512)
    blocks: int = 2
    channels: int = 4

    def build(self) -> VAE:
        """Make the autoencoder."""
        return VAE(self)


def _norm(width: int) -> nn.GroupNorm:
    return nn.GroupNorm(32, width, eps=1e-6)


class Residual(nn.Module):
    """Two 3x3 convolutions around a skip."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = _norm(inputs), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2, self.conv2 = _norm(outputs), nn.Conv2d(outputs, outputs, 3, padding=1)
        self.nin_shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W)."""
        h = self.conv2(F.silu(self.norm2(self.conv1(F.silu(self.norm1(x))))))
        out: Tensor = h + self.nin_shortcut(x)
        return out


class Attention(nn.Module):
    """Self-attention of one head over all cells of a map."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = _norm(width)
        self.q, self.k, self.v = (nn.Conv2d(width, width, 1) for _ in range(3))
        self.proj_out = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same."""
        h = self.norm(x)
        q, k, v = (layer(h).flatten(2).mT[:, None] for layer in (self.q, self.k, self.v))
        h = F.scaled_dot_product_attention(q, k, v)[:, 0].mT.reshape(x.shape)
        out: Tensor = x + self.proj_out(h)
        return out


def _middle(width: int) -> nn.Sequential:
    return named(block_1=Residual(width, width), attn_1=Attention(width), block_2=Residual(width, width))


def _level(inputs: int, outputs: int, blocks: int, **change: nn.Module) -> nn.Sequential:
    """Residual blocks at one size, and the change to the next size under its published name, if there is one."""
    first = Residual(inputs, outputs)
    return named(block=nn.Sequential(first, *(Residual(outputs, outputs) for _ in range(blocks - 1))), **change)


def encoder(spec: VAESpec) -> nn.Sequential:
    """Pictures (B, 3, H, W) into (B, 2 * channels, h, w): means and log variances."""
    widths, levels = spec.widths, []
    for at, width in enumerate(widths):
        change = {}
        if at < len(widths) - 1:  # one more row below and column at the right
            change["downsample"] = named(pad=nn.ZeroPad2d((0, 1, 0, 1)), conv=nn.Conv2d(width, width, 3, stride=2))
        levels.append(_level(widths[max(at - 1, 0)], width, spec.blocks, **change))
    return named(
        conv_in=nn.Conv2d(3, widths[0], 3, padding=1),
        down=nn.Sequential(*levels),
        mid=_middle(widths[-1]),
        norm_out=_norm(widths[-1]),
        act=nn.SiLU(),
        conv_out=nn.Conv2d(widths[-1], 2 * spec.channels, 3, padding=1),
    )


class FromLast(nn.Sequential):
    """Levels that are numbered from the finest, and run from the coarsest."""

    def forward(self, x: Tensor) -> Tensor:
        """Pass a map."""
        for part in reversed(self):
            x = part(x)
        return x


def decoder(spec: VAESpec) -> nn.Sequential:
    """Latents (B, channels, h, w) into pictures (B, 3, H, W), not clamped."""
    widths, levels = spec.widths, []
    for at, width in enumerate(widths):
        change = {"upsample": Up(width)} if at else {}
        levels.append(_level(widths[min(at + 1, len(widths) - 1)], width, spec.blocks + 1, **change))
    return named(
        conv_in=nn.Conv2d(spec.channels, widths[-1], 3, padding=1),
        mid=_middle(widths[-1]),
        up=FromLast(*levels),
        norm_out=_norm(widths[0]),
        act=nn.SiLU(),
        conv_out=nn.Conv2d(widths[0], 3, 3, padding=1),
    )


class VAE(nn.Module):
    """Pictures to distributions of latents and back; without the factor `scale` of the space."""

    def __init__(self, spec: VAESpec) -> None:
        super().__init__()
        self.spec = spec
        self.encoder, self.decoder = encoder(spec), decoder(spec)
        self.quant_conv = nn.Conv2d(2 * spec.channels, 2 * spec.channels, 1)
        self.post_quant_conv = nn.Conv2d(spec.channels, spec.channels, 1)

    def encode(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of the latent, (B, channels, h, w) each, of (B, 3, H, W) in [-1, 1]."""
        mean, spread = self.quant_conv(self.encoder(picture)).chunk(2, dim=1)
        return mean, spread.clamp(-30, 20)

    def decode(self, latent: Tensor) -> Tensor:
        """Return the picture of a latent, (B, 3, H, W) about [-1, 1]."""
        out: Tensor = self.decoder(self.post_quant_conv(latent))
        return out


@dataclass(frozen=True)
class Latent(SpaceSpec):
    """x is the autoencoder's mean of the finished picture, times `scale`: (B, 4, H/8, W/8).

    vae: the numbers of the autoencoder, which is never trained here.
    scale: factor that makes latents about as wide as noise.
    multiple: what sides must be multiples of, in pixels; pictures of other sides lie on a canvas of paper, and are
      cut out of the answer.
    """

    vae: VAESpec = VAESpec()
    scale: float = 0.18215  # so that latents are about as wide as noise
    multiple: int = 64

    inked = True

    @property
    def channels(self) -> int:
        """The channels of x."""
        return self.vae.channels

    def build(self) -> LatentSpace:
        """Make the space with its autoencoder."""
        return LatentSpace(self)


class LatentSpace(nn.Module, Space):
    """The autoencoder, and the way of pictures to it and back."""

    inked = True

    def __init__(self, spec: Latent) -> None:
        super().__init__()
        self.spec, self.channels = spec, spec.channels
        self.vae = spec.vae.build().requires_grad_(False)

    def shape(self, hints: Hints) -> tuple[int, int, int, int]:
        """The shape of x for these hints."""
        (height, width), _ = multiple_size(hints.size, self.spec.multiple)
        stride = 2 ** (len(self.spec.vae.widths) - 1)  # pixels a side of a cell
        return hints.batch, self.channels, height // stride, width // stride

    def encode(self, color: Tensor, hints: Hints) -> Tensor:
        """A color picture (B, 3, H, W) to x."""
        return self.latent(on_canvas(color, self.spec.multiple))

    def latent(self, picture: Tensor) -> Tensor:
        """A picture (B, 3, H, W) in [-1, 1], of sides the network takes, to x; in full numbers."""
        with torch.autocast(picture.device.type, enabled=False):
            mean, _ = self.vae.encode(picture.float())
        return mean * self.spec.scale

    def decode(self, x: Tensor, hints: Hints, strength: float = 1.0) -> Tensor:
        """From x to color (B, 3, H, W) in [-1, 1], ink included, drawn towards hints by `strength` from 0 to 1."""
        _, box = multiple_size(hints.size, self.spec.multiple)
        with torch.autocast(x.device.type, enabled=False):
            whole = self.vae.decode(x.float() / self.spec.scale).clamp(-1, 1)
        return pulled_to_hints(crop(whole, box), hints, strength, inked=True)


def on_canvas(picture: Tensor, multiple: int, paper: float = 1.0) -> Tensor:
    """Lay a picture (B, C, H, W) into the middle of a canvas of one value whose sides are multiples."""
    size, box = multiple_size((picture.shape[-2], picture.shape[-1]), multiple)
    return pad(picture, box, size, paper)
