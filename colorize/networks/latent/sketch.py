"""The sketch encoder of ColorizeDiffusion: white lines on black into five maps for the U-Net."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from colorize.networks.blocks import zero

STEM = ((3, 16, 1), (16, 16, 1), (16, 32, 2), (32, 32, 1), (32, 96, 2), (96, 96, 1), (96, 256, 2))


@dataclass(frozen=True)
class SketchSpec:
    """The numbers of the sketch encoder. widths: channels of the U-Net's levels, finest first."""

    widths: tuple[int, ...] = (320, 640, 1280, 1280)

    def build(self) -> SketchEncoder:
        """Make the encoder."""
        return SketchEncoder(self)


class SketchEncoder(nn.Module):
    """Sketches (B, 3, H, W) in [-1, 1], lines 1 on paper -1, into maps at 1/8, 1/16, 1/32, 1/64 and 1/64."""

    def __init__(self, spec: SketchSpec) -> None:
        super().__init__()
        first = spec.widths[0]
        layers: list[nn.Module] = []
        for inputs, outputs, stride in STEM:
            layers += [nn.Conv2d(inputs, outputs, 3, stride, 1), nn.SiLU()]
        self.model = nn.Sequential(*layers, nn.Conv2d(STEM[-1][1], first, 3, padding=1))
        self.zero_layer = nn.Sequential(zero(nn.Conv2d(first, first, 1)))
        self.output_blocks, self.zero_blocks = nn.ModuleList(), nn.ModuleList()
        before = (first, *spec.widths[:-1])
        for level, (inputs, outputs) in enumerate(zip(before, spec.widths, strict=True)):
            stride = 2 if level < len(spec.widths) - 1 else 1
            halve = nn.Conv2d(inputs, outputs, 3, stride, 1)
            keep = nn.Conv2d(outputs, outputs, 3, padding=1)
            self.output_blocks.append(nn.Sequential(nn.SiLU(), halve, nn.SiLU(), keep))
            self.zero_blocks.append(nn.Sequential(zero(nn.Conv2d(outputs, outputs, 1))))

    def forward(self, sketch: Tensor) -> tuple[Tensor, ...]:
        """Return the five maps, the finest first."""
        h = self.model(sketch)
        maps = [self.zero_layer(h)]
        for block, out in zip(self.output_blocks, self.zero_blocks, strict=True):
            h = block(h)
            maps.append(out(h))
        return tuple(maps)
