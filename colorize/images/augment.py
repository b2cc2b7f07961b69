"""Bend, turn, cut up and compress pictures for training."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

CELLS = 32  # the spline is evaluated on 33 x 33 knots; between them the bend is bilinear
SMALLEST = 0.1  # smallest Jacobian left: no area shrinks below a tenth
POINTS = 10  # control points of a bend
SMOOTHING = 1e-3  # how far the spline may miss them; two points close together need not tear the picture apart
CORNERS = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0))


def warp(picture: Tensor, strength: float, rng: Generator, kind: str = "gentle") -> Tensor:
    """Bend each picture by a thin-plate spline of its own; gentle: without folds and without black borders.

    picture: (B, C, H, W) in [-1, 1]. strength: standard deviation of the steps of ten control points, as a fraction of
    the side; 0 returns the picture itself. Uncovered pixels mirror the picture. Bends that would fold are weakened,
    picture by picture, until every area keeps a tenth of its size. Bookstein 1989.

    kind: `scattered` bends as the Coloring Assistant does, with folds, and black beside the picture; `diagonal` as
    AnimeDiffusion does, by two points that are moved along the diagonal, whatever the strength.
    """
    assert strength >= 0, f"a warp of strength {strength}: strength counts from 0"
    if kind != "gentle":
        bend = diagonal(len(picture), rng) if kind == "diagonal" else scattered(strength, len(picture), rng)
        return _sample(picture + 1, bend.to(picture), None, "zeros") - 1
    return _sample(picture, displacement(strength, len(picture), rng).to(picture), None) if strength else picture


def reference(picture: Tensor, rng: Generator, strength: float = 0.05) -> Tensor:
    """Make a reference out of the picture itself: bent, turned, mirrored, zoomed, row by row.

    picture: (B, 3, H, W) in [-1, 1]. Turned by up to 15 degrees, shown 0.7 to 1.2 times as large and moved by up to a
    tenth of the side; half of the rows are mirrored.
    """
    batch = picture.shape[0]
    shift = displacement(strength, batch, rng).to(picture)
    angle, zoom, flip, right, down = torch.rand(5, batch, generator=rng)
    angle = math.radians(15) * (2 * angle - 1)
    zoom = 1 / (0.7 + 0.5 * zoom)
    mirror = torch.where(flip < 0.5, 1.0, -1.0)
    return _sample(picture, shift, _affine(angle, zoom, mirror, 0.4 * right - 0.2, 0.4 * down - 0.2).to(picture))


def turn(picture: Tensor, chosen: Tensor, rng: Generator) -> Tensor:
    """Turn the chosen rows by up to 20 degrees and show them 0.8 to 1.25 times as large.

    picture: (B, C, H, W) in [-1, 1]. chosen: (B,) bool. Uncovered pixels mirror the picture.
    """
    angle, zoom = torch.rand(2, picture.shape[0], generator=rng)
    if not bool(chosen.any()):
        return picture
    angle, zoom = math.radians(20) * (2 * angle - 1), 1.25 ** (1 - 2 * zoom)
    affine = _affine(angle, zoom, torch.ones_like(angle), torch.zeros_like(angle), torch.zeros_like(angle))
    rows = picture[chosen.to(picture.device)]
    result = picture.clone()
    result[chosen.to(picture.device)] = _sample(rows, rows.new_zeros(len(rows), 2, 2, 2), affine[chosen].to(picture))
    return result


def _affine(angle: Tensor, zoom: Tensor, mirror: Tensor, right: Tensor, down: Tensor) -> Tensor:
    """Matrices (B, 2, 3) of a turn by an angle, 1 / zoom times as large, mirrored by -1, and a move."""
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    return torch.stack((cos * mirror, -sin * mirror, right, sin, cos, down), 1).view(-1, 2, 3)


def shuffle(picture: Tensor, patches: int, rng: Generator) -> Tensor:
    """Cut each picture into patches x patches pieces and lay them in random order (MangaNinja).

    picture: (B, C, H, W); sides that `patches` does not divide are extended by their last row first and cut back
    afterwards.
    """
    batch, channels, height, width = picture.shape
    tall, wide = -(-height // patches), -(-width // patches)
    grown = F.pad(picture, (0, wide * patches - width, 0, tall * patches - height), "replicate")
    pieces = grown.view(batch, channels, patches, tall, patches, wide)
    pieces = pieces.permute(0, 2, 4, 1, 3, 5).reshape(batch, patches**2, channels, tall, wide)
    order = torch.rand(batch, patches**2, generator=rng).argsort(1).to(picture.device)
    pieces = pieces[torch.arange(batch, device=picture.device)[:, None], order]
    pieces = pieces.view(batch, patches, patches, channels, tall, wide).permute(0, 3, 1, 4, 2, 5)
    return pieces.reshape(batch, channels, tall * patches, wide * patches)[..., :height, :width]


def displacement(strength: float, batch: int, rng: Generator) -> Tensor:
    """Random fold-free displacements: (B, 2, 33, 33), x and y as fractions of the side; the corners stay.

    strength: standard deviation of the control points' steps, as a fraction of the side.
    """
    start = torch.rand(batch, POINTS, 2, generator=rng, dtype=torch.float64)
    step = torch.randn(batch, POINTS, 2, generator=rng, dtype=torch.float64)
    shift = _spline(start, start + strength * step, SMOOTHING)
    return (shift * _fold_free(shift)).float()


def scattered(strength: float, batch: int, rng: Generator) -> Tensor:
    """Displacements of the Coloring Assistant: (B, 2, 33, 33), as fractions of the side; the corners stay."""
    start = torch.rand(batch, POINTS, 2, generator=rng, dtype=torch.float64)
    step = torch.randn(batch, POINTS, 2, generator=rng, dtype=torch.float64)
    return _spline(start, start + strength * step, 0.5 / 128**2).float()  # 0.5 in its pixels


def diagonal(batch: int, rng: Generator) -> Tensor:
    """Displacements of AnimeDiffusion: (B, 2, 33, 33), as fractions of the side; the corners stay.

    Two points at 0.3 to 0.7 of the diagonal are moved along it by up to 0.25.
    """
    start, target = torch.zeros(2, batch, 2, dtype=torch.float64)
    while bool((again := target[:, 0] == target[:, 1]).any()):  # one place cannot come from two
        place, step = torch.rand(2, batch, 2, generator=rng, dtype=torch.float64)
        drawn = (0.3 + 0.4 * place).round(decimals=2)
        start[again] = drawn[again]
        target[again] = (drawn + 0.5 * step - 0.25)[again].round(decimals=2)
    return _spline(start[..., None].expand(-1, -1, 2), target[..., None].expand(-1, -1, 2), 0.0).float()


def _spline(start: Tensor, target: Tensor, smoothing: float) -> Tensor:
    """Thin-plate spline (B, 2, 33, 33) that takes each target back to its start, corners pinned.

    Bookstein 1989, kernel r^2 ln r; solved in float64, since near points make the system stiff.
    """
    batch = start.shape[0]
    corners = torch.tensor(CORNERS, dtype=torch.float64).expand(batch, 4, 2)
    knots = torch.cat((corners, target), 1)  # (B, N, 2)
    values = torch.cat((torch.zeros_like(corners), start - target), 1)
    count = knots.shape[1]
    system = torch.zeros(batch, count + 3, count + 3, dtype=torch.float64)
    system[:, :count, :count] = _kernel(knots, knots) + smoothing * torch.eye(count)
    system[:, :count, count:] = torch.cat((torch.ones_like(knots[..., :1]), knots), 2)
    system[:, count:, :count] = system[:, :count, count:].mT
    answer: Tensor = torch.linalg.solve(system, F.pad(values, (0, 0, 0, 3)))  # (B, N + 3, 2)
    side = torch.linspace(0, 1, CELLS + 1, dtype=torch.float64)
    grid = torch.cartesian_prod(side, side).flip(1).expand(batch, -1, 2)  # x, y of each knot
    shift = _kernel(grid, knots) @ answer[:, :count] + grid @ answer[:, -2:] + answer[:, -3:-2]
    return shift.mT.reshape(batch, 2, CELLS + 1, CELLS + 1)


def _kernel(first: Tensor, second: Tensor) -> Tensor:
    """Bookstein's r^2 ln r between all pairs of points, 0 at r = 0."""
    x, y = (first[:, :, None, i] - second[:, None, :, i] for i in (0, 1))
    square = x * x + y * y
    return 0.5 * square * square.clamp(min=1e-30).log()


def _fold_free(shift: Tensor) -> Tensor:
    """How much of a displacement (B, 2, G, G) may be applied without folds: (B, 1, 1, 1) up to 1.

    A bilinear cell folds if the Jacobian at one of its corners is negative. With the share s of the displacement it is
    1 + s trace + s^2 det; the first s at which it falls to SMALLEST is a root.
    """
    cells = shift.shape[-1] - 1
    along_x, along_y = shift.diff(dim=3) * cells, shift.diff(dim=2) * cells
    smallest = torch.ones(shift.shape[0], dtype=shift.dtype)
    for top in (slice(None, -1), slice(1, None)):
        for left in (slice(None, -1), slice(1, None)):
            dx, dy = along_x[:, :, top], along_y[:, :, :, left]  # (B, 2, cells, cells)
            trace = dx[:, 0] + dy[:, 1]
            det = dx[:, 0] * dy[:, 1] - dx[:, 1] * dy[:, 0]
            inner = trace.square() - 4 * det * (1 - SMALLEST)
            below = inner.clamp(min=0).sqrt() - trace
            folds = (inner >= 0) & (below > 0)
            root = torch.where(folds, 2 * (1 - SMALLEST) / below.clamp(min=1e-12), 1.0)
            smallest = torch.minimum(smallest, root.flatten(1).amin(1))
    return smallest.view(-1, 1, 1, 1)


def _sample(picture: Tensor, shift: Tensor, affine: Tensor | None, beyond: str = "reflection") -> Tensor:
    """Look every pixel up at its displaced place, turned by `affine` (B, 2, 3) around the center.

    Knots lie on the outer edges of the picture, as grid_sample counts without aligned corners.
    """
    height, width = picture.shape[-2:]
    across, down = _hats(width, shift), _hats(height, shift)
    home = torch.stack(torch.meshgrid(_centers(width), _centers(height), indexing="xy")).to(picture)
    grid = (home + 2 * (down @ shift @ across.mT)).permute(0, 2, 3, 1)  # (B, H, W, 2)
    if affine is not None:
        aspect = torch.tensor((width, height)).to(picture) / min(height, width)
        turned = (grid * aspect).flatten(1, 2) @ affine[:, :, :2].mT + affine[:, None, :, 2]
        grid = turned.view_as(grid) / aspect
    return F.grid_sample(picture, grid, padding_mode=beyond, align_corners=False)


def _centers(pixels: int) -> Tensor:
    """Middle of each pixel, where -1 and 1 are the outer edges."""
    return (2 * torch.arange(pixels) + 1) / pixels - 1


def _hats(pixels: int, shift: Tensor) -> Tensor:
    """Weights (pixels, G) that interpolate G knots linearly at the middle of each pixel."""
    knots = torch.arange(shift.shape[-1])
    place = (_centers(pixels) + 1) / 2 * (shift.shape[-1] - 1)
    return (1 - (place[:, None] - knots).abs()).clamp(min=0).to(shift)


SIDE = 8  # pixels of a JPEG block
# Luminance steps of ITU-T T.81 (1992), table K.1, at quality 50, for values of 0..255.
STEPS = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)


def compress(picture: Tensor, quality: Tensor) -> Tensor:
    """Store each picture as a gray JPEG of its own quality, and read it back.

    picture: (B, 1, H, W) in [-1, 1]. quality: (B,), 1 to 100, as JPEG encoders count it.
    """
    height, width = picture.shape[-2:]
    grown = F.pad(picture, (0, -width % SIDE, 0, -height % SIDE), "replicate")
    tall, wide = grown.shape[-2] // SIDE, grown.shape[-1] // SIDE
    blocks = grown.view(-1, tall, SIDE, wide, SIDE).transpose(2, 3) * 127.5
    place = torch.arange(SIDE, dtype=torch.float64)
    waves = torch.cos(math.pi / SIDE * (place + 0.5) * place[:, None]) * math.sqrt(2 / SIDE)
    waves[0] /= math.sqrt(2)  # the orthonormal cosine transform of 8 values, a wave each row
    waves = waves.to(picture)
    scale = torch.where(quality < 50, 50 / quality, 2 - quality / 50)
    steps = (torch.tensor(STEPS) * scale.view(-1, 1, 1).cpu()).round().clamp(1, 255)
    steps = steps.to(picture)[:, None, None]
    kept = (waves @ blocks @ waves.mT / steps).round() * steps
    back = (waves.mT @ kept @ waves / 127.5).transpose(2, 3).reshape(grown.shape)
    return back[..., :height, :width].clamp(-1, 1)
