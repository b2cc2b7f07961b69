"""FFDNet takes the noise out of pages, under the names of its published file. Knows nothing of files or colors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorize.networks.manga.frozen import Frozen
from colorize.networks.unet import pad
from colorize.pictures.color import luminance

WIDTH, DEPTH = 96, 12  # channels and convolutions of the RGB version
PLANES = 12  # of an RGB picture whose cells of 2 x 2 pixels became channels


class FFDNet(Frozen):
    """The RGB version of FFDNet (Zhang et al. 2018; this file: Tassano et al., IPOL 2019).

    The second name is misspelt in the published file, and so here.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [_conv(3 + PLANES, WIDTH), nn.ReLU()]
        for _ in range(DEPTH - 2):
            layers += [_conv(WIDTH, WIDTH), nn.BatchNorm2d(WIDTH), nn.ReLU()]
        self.intermediate_dncnn = nn.Module()
        self.intermediate_dncnn.itermediate_dncnn = nn.Sequential(*layers, _conv(WIDTH, PLANES))
        self.freeze()

    def forward(self, page: Tensor, sigma: float) -> Tensor:
        """Clean gray pages (B, 1, H, W) in [-1, 1]. sigma: of the noise to take out, in levels of 255."""
        height, width = page.shape[-2:]
        noisy = pad((page.expand(-1, 3, -1, -1) + 1) / 2, 2)
        cells = F.pixel_unshuffle(noisy, 2)
        level = torch.full_like(cells[:, :3], sigma / 255)
        found = self.intermediate_dncnn.itermediate_dncnn(torch.cat([level, cells], dim=1))  # type: ignore[operator]
        clean = (noisy - F.pixel_shuffle(found, 2)).clamp(0, 1)[..., :height, :width]
        return luminance(2 * clean - 1)


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
