"""Score a colored picture against the true one: error, structure, color, ink.

Knows nothing of models, data sets or tables; every function is a formula on tensors.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from colorize.images import color, palettes

PSNR_CAP = 100.0  # dB; identical pictures would be infinitely good and spoil every mean
WINDOW, SIGMA = 11, 1.5  # pixels; the Gaussian window of Wang 2004
K1, K2 = 0.01, 0.03  # stabilizers of Wang 2004 for a data range of 1
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang 2003, finest scale first
DARK = 0.25  # gray value on [0, 1] below which a pixel of the drawing counts as dark ink
INK_SLACK = 2 / 255  # how much lighter a rounded ink pixel may be, on [0, 1]
WHITE = 0.97  # a pixel whose darkest channel is lighter than this is paper, on [0, 1]
ALIKE = 14.0  # CIE76; colors nearer to each other count as the same
FREE = 0.6  # share of paper of a pixel that does not count as ink
PAPER = 0.92  # a pixel of the truth whose darkest channel is lighter is white paper, on [0, 1]
MAIN = 6  # main colors of a picture, at most
THERE = 0.003  # of the pixels, from which a color is there
INK_LIGHT, PAPER_LIGHT, GRAY = 20.0, 92.0, 6.0  # L* of ink and paper, and chroma of what has no hue
BIN, REACH = 10.0, 110.0  # ab units; bin width and reach of the chroma histogram (sRGB: |ab| < 108)


def psnr(result: Tensor, truth: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio in dB, at most 100 dB; higher is better.

    result, truth: (B, 3, H, W) in [-1, 1], scored on [0, 1] where the peak is 1. Returns (B,).
    """
    error = (_unit(result) - _unit(truth)).square().mean(dim=(1, 2, 3))
    return (-10 * error.clamp_min(1e-30).log10()).clamp_max(PSNR_CAP)


def ssim(result: Tensor, truth: Tensor) -> Tensor:
    """Return the structural similarity, the mean over RGB and all whole windows; higher is better.

    result, truth: (B, C, H, W) in [-1, 1], at least 11 x 11. Returns (B,), 1 for equal pictures.
    Wang 2004 with an 11-pixel Gaussian window of sigma 1.5; windows over the edge do not count.
    """
    return _similarity(_unit(result), _unit(truth))[0]


def ms_ssim(result: Tensor, truth: Tensor) -> Tensor:
    """Return the multi-scale structural similarity in [0, 1]; higher is better. Wang 2003.

    result, truth: (B, C, H, W) in [-1, 1], at least 11 x 11. Returns (B,). Five scales need 176
    pixels on the shorter side; smaller pictures use as many as keep 11 pixels, with the published
    weights of those scales divided by their sum. Negative similarities count as 0.
    """
    a, b = _unit(result), _unit(truth)
    side = min(a.shape[-2:])
    count = sum(side >> scale >= WINDOW for scale in range(len(SCALE_WEIGHTS)))
    weights = torch.tensor(SCALE_WEIGHTS[: max(count, 1)])
    weights = weights / weights.sum()
    product = torch.ones(len(a))
    for scale, weight in enumerate(weights.tolist()):
        whole, contrast = _similarity(a, b)
        part = whole if scale == len(weights) - 1 else contrast  # light only at the coarsest scale
        product = product * part.clamp_min(0) ** weight
        a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
    return product


def delta_e(result: Tensor, truth: Tensor) -> Tensor:
    """Return the mean CIEDE2000 color difference; lower is better, about 1 is just visible.

    result, truth: (B, 3, H, W) in [-1, 1]. Returns (B,).
    """
    first, second = color.rgb_to_lab(_plain(result)), color.rgb_to_lab(_plain(truth))
    return color.delta_e(first, second).mean(dim=(1, 2, 3))


def colorfulness_gap(result: Tensor, truth: Tensor) -> Tensor:
    """Return how far the colorfulness is off, dull or gaudy; lower is better.

    result, truth: (B, 3, H, W) in [-1, 1]. Returns (B,), the absolute difference of the
    Hasler-Suesstrunk 2003 measure on its 0..255 scale.
    """
    return (color.colorfulness(_plain(result)) - color.colorfulness(_plain(truth))).abs()


def ink_kept(result: Tensor, drawing: Tensor) -> Tensor:
    """Return the share of dark ink pixels that are still at least as dark; 1 is best.

    result: (B, 3, H, W), drawing: (B, 1, H, W), both in [-1, 1]. Returns (B,). A pixel is kept
    if no channel became lighter than the ink by more than 2/255; ink may take a color only by
    getting darker. A drawing without dark ink scores 1, since nothing could be lost.
    """
    ink = _unit(drawing)
    dark = (ink < DARK).flatten(1)
    kept = (_unit(result).amax(dim=1, keepdim=True) <= ink + INK_SLACK + 1e-6).flatten(1)
    share = (dark & kept).sum(dim=1) / dark.sum(dim=1).clamp_min(1)
    return torch.where(dark.any(dim=1), share, 1.0)


def area_right(result: Tensor, truth: Tensor, drawing: Tensor | None = None) -> float | None:
    """Return the share of the truth's colored area whose color is right, within CIE76 14; higher is better.

    result, truth: (1, 3, H, W), drawing: (1, 1, H, W), the line art whose ink does not count; all in [-1, 1].
    None for a truth that is all paper.
    """
    near, colored, _ = _areas(result, truth, drawing)
    return float((near & colored).sum() / colored.sum()) if bool(colored.any()) else None


def stain(result: Tensor, truth: Tensor, drawing: Tensor | None = None) -> float | None:
    """Return the share of the truth's white paper that has taken color; lower is better. As `area_right` takes it."""
    near, _, white = _areas(result, truth, drawing)
    return float((~near & white).sum() / white.sum()) if bool(white.any()) else None


def colors_used(result: Tensor, given: Tensor) -> float | None:
    """Return the share of a reference's or palette's main colors that the result has; higher is better.

    result, given: (1, 3, H, W) in [-1, 1]. A color is there if 0.3 % of the pixels lie within CIE76 14 of it.
    Paper and ink do not count. None where nothing else is given.
    """
    found = palettes.dominant(_plain(given), MAIN)
    lab = color.rgb_to_lab(found.T[None, :, :, None])[0, :, :, 0].T
    lab = lab[(lab[:, 0] > INK_LIGHT) & ~((lab[:, 0] > PAPER_LIGHT) & (lab[:, 1:].norm(dim=1) < GRAY))]
    if not len(lab):
        return None
    pixels = color.rgb_to_lab(_plain(result))[0].flatten(1).T
    near = torch.cdist(lab.float(), pixels.float()) < ALIKE
    return float((near.float().mean(1) > THERE).float().mean())


def hues(result: Tensor, truth: Tensor) -> float:
    """Return the number of main colors of the result over that of the truth; 1 is ideal, less is one hue over all.

    result, truth: (1, 3, H, W) in [-1, 1]. Colors nearer to each other than CIE76 14 are one.
    """
    made, true = (_different(palettes.dominant(_plain(one), 2 * MAIN)) for one in (result, truth))
    return made / true


def _different(rgb: Tensor) -> int:
    """How many of these colors (N, 3) differ clearly."""
    kept: list[Tensor] = []
    for lab in color.rgb_to_lab(rgb.T[None, :, :, None])[0, :, :, 0].T:
        if all(float((lab - one).norm()) > ALIKE for one in kept):
            kept.append(lab)
    return len(kept)


def _areas(result: Tensor, truth: Tensor, drawing: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Where the result has the right color, and the truth's colored and white area without ink: (H, W) each."""
    apart = color.rgb_to_lab(_plain(result)) - color.rgb_to_lab(_plain(truth))
    near = apart.square().sum(1)[0].sqrt() < ALIKE
    free = torch.ones_like(near) if drawing is None else _unit(drawing)[0, 0] > FREE
    white = _unit(truth)[0].amin(0) >= PAPER
    return near, free & ~white, free & white


def palette_distance(a: Tensor, b: Tensor) -> Tensor:
    """Return how much the colors of two pictures differ, wherever they lie; 0 same, 1 disjoint.

    a, b: (B, 3, H, W) in [-1, 1], sizes may differ. Returns (B,): the Hellinger distance of their
    chroma histograms, blurred by one and a half bins so that close colors count as close. Paper
    does not count: two figures of different sizes on white may have the same palette.
    """
    apart = chroma_histogram(a).sqrt() - chroma_histogram(b).sqrt()
    return (apart.square().sum(dim=(1, 2)) / 2).sqrt()


def chroma_histogram(picture: Tensor) -> Tensor:
    """Return the blurred histogram of Lab chroma, (B, 23, 23), bins of 10 ab units, summing to 1.

    picture: (B, 3, H, W) in [-1, 1]. Every pixel is shared by its four nearest bins; white paper
    is left out unless there is nothing else.
    """
    unit = _unit(picture)
    figure = (unit.amin(dim=1) < WHITE).flatten(1).float()  # (B, H*W)
    figure = torch.where(figure.any(dim=1, keepdim=True), figure, 1.0)
    lab = color.rgb_to_lab(_plain(picture))
    place = (lab[:, 1:].flatten(2).clamp(-REACH, REACH - 1e-3) + REACH) / BIN  # (B, 2, H*W)
    side = int(2 * REACH / BIN) + 1
    low = place.floor()
    share = place - low
    counts = torch.zeros(len(unit), side * side)
    for da, db in ((0, 0), (0, 1), (1, 0), (1, 1)):
        index = ((low[:, 0] + da) * side + low[:, 1] + db).long()
        weight = (share[:, 0] - 1 + da).abs() * (share[:, 1] - 1 + db).abs()
        counts.scatter_add_(1, index, weight * figure)
    blurred = _blur(F.pad(counts.view(-1, 1, side, side), (4, 4, 4, 4)), 9, 1.5)[:, 0]
    return blurred / blurred.sum(dim=(1, 2), keepdim=True)


def _plain(picture: Tensor) -> Tensor:
    """Return the picture on the CPU in float32, clipped to [-1, 1] as a file would clip it."""
    return picture.detach().cpu().float().clamp(-1, 1)


def _unit(picture: Tensor) -> Tensor:
    """Map [-1, 1] to [0, 1], clipped."""
    return (_plain(picture) + 1) / 2


def _similarity(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return SSIM and its contrast-structure part, each (B,), of pictures in [0, 1]."""
    if min(a.shape[-2:]) < WINDOW:
        raise ValueError(f"SSIM needs {WINDOW} pixels on each side; got {tuple(a.shape[-2:])}")
    mean_a, mean_b = _blur(a, WINDOW, SIGMA), _blur(b, WINDOW, SIGMA)
    var_a = _blur(a * a, WINDOW, SIGMA) - mean_a**2
    var_b = _blur(b * b, WINDOW, SIGMA) - mean_b**2
    both = _blur(a * b, WINDOW, SIGMA) - mean_a * mean_b
    contrast = (2 * both + K2**2) / (var_a + var_b + K2**2)
    light = (2 * mean_a * mean_b + K1**2) / (mean_a**2 + mean_b**2 + K1**2)
    return (light * contrast).mean(dim=(1, 2, 3)), contrast.mean(dim=(1, 2, 3))


def _blur(picture: Tensor, size: int, sigma: float) -> Tensor:
    """Blur each channel by a Gaussian of `size` taps; only whole windows remain. (B, C, h, w)."""
    place = torch.arange(size, dtype=picture.dtype) - size // 2
    taps = torch.exp(-(place**2) / (2 * sigma**2))
    taps = (taps / taps.sum()).expand(picture.shape[1], 1, size)
    picture = F.conv2d(picture, taps[..., None], groups=picture.shape[1])
    return F.conv2d(picture, taps[:, :, None], groups=picture.shape[1])
