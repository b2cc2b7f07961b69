"""Learn a ring of points in the plane with the diffusion core alone: no pictures, hints or files.

python examples/toy_2d.py     trains a small network for a few seconds on the CPU, draws points with
every sampler, and prints how far from the ring they lie (noise: about 0.5; learned: below 0.1).
"""

import math
from functools import partial

import torch
from torch import Generator, Tensor, nn

from colorize.diffusion.denoiser import Denoiser
from colorize.diffusion.names import SAMPLERS
from colorize.diffusion.samplers import walk
from colorize.diffusion.schedules import Cosine, draw, times

WAVES = math.pi * torch.tensor([0.5, 1.0, 2.0, 4.0])  # how the network sees the time


class Net(nn.Module):
    """Three layers that see the point, and the time as sines and cosines."""

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        layers = [nn.Linear(10, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(width, 2))

    def forward(self, x: Tensor, t: Tensor, _cond: object) -> Tensor:
        """Return v for points x (B, 2) at times t (B,); there is no condition."""
        wave = t[:, None] * WAVES
        out: Tensor = self.layers(torch.cat([x, wave.sin(), wave.cos()], 1))
        return out


def main(batches: int = 1500, points: int = 256) -> dict[str, float]:
    """Train, sample with each sampler, and return the mean distance from the ring of each."""
    torch.manual_seed(0)
    fresh = partial(torch.randn, points, 2)
    rng = Generator().manual_seed(0)
    denoiser = Denoiser(Net(), Cosine(zero_snr=True), predicts="v")
    optimizer = torch.optim.Adam(denoiser.parameters(), lr=1e-2)
    for _ in range(batches):
        angle = 2 * math.pi * torch.rand(points, generator=rng)
        ring, noise = torch.stack([angle.cos(), angle.sin()], 1), fresh()
        optimizer.zero_grad()
        torch.autograd.backward(denoiser.loss(ring, noise, draw(points, rng)).mean())
        optimizer.step()
    distance = {}
    for sampler in SAMPLERS:
        x, stops = fresh(), times(denoiser.schedule, 20)
        with torch.no_grad():
            *_, last = walk(denoiser, x, stops, denoiser.schedule, sampler, noise=lambda _: fresh())
        distance[sampler] = (last.x.norm(dim=1) - 1).abs().mean().item()
        print(f"{sampler:9} {distance[sampler]:.3f} from the ring, spread {last.x.std():.2f}")
    return distance


if __name__ == "__main__":
    main()
