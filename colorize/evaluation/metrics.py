"""Score colored pictures against the true ones: one formula and one row of `METRICS` per score.

Formulas take pictures (B, 3, H, W) in [-1, 1] and return (B,), unless they say otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import torch
from skimage.color import deltaE_ciede2000
from torch import Tensor
from torch.nn import functional as F

from colorize.errors import ColorizeError
from colorize.evaluation.regions import leak
from colorize.evaluation.samples import Sample
from colorize.images import color, palettes

PSNR_CAP = 100.0  # dB; identical pictures would be infinitely good and spoil every mean
WINDOW, SIGMA = 11, 1.5  # pixels; the Gaussian window of Wang 2004
K1, K2 = 0.01, 0.03  # stabilizers of Wang 2004 for a data range of 1
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang 2003, finest scale first
DARK_INK = 0.25  # gray value on [0, 1] below which a pixel of the drawing counts as dark ink
INK_SLACK = 2 / 255  # how much lighter a rounded ink pixel may be, on [0, 1]
NO_INK = 0.6  # gray value on [0, 1] above which a pixel of the drawing does not count as ink
WHITE = 0.97  # a pixel whose darkest channel is lighter has no chroma to count, on [0, 1]
PAPER = 0.92  # a pixel of the truth whose darkest channel is lighter is white paper, on [0, 1]
SAME_COLOR = 14.0  # CIE76; colors nearer to each other count as the same
MAIN_COLORS = 6  # of a picture, at most
PRESENT = 0.003  # of the pixels, from which a color is present
INK_LIGHT, PAPER_LIGHT, GRAY = 20.0, 92.0, 6.0  # L* of ink and paper, and chroma of what has no hue
BIN, REACH = 10.0, 110.0  # ab units; bin width and reach of the chroma histogram (sRGB: |ab| < 108)
GRID = 16  # cells a side at which layouts are compared; finer is texture, not layout
FAINT = 1.0  # ab units; a map that varies less (root mean square) has no layout, it is gray
ROUNDING = 1e-6  # a copying score nearer to 0 is 0
Score = Callable[[Tensor, Sample], float | None]


def psnr(result: Tensor, truth: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio in dB, at most 100 dB, scored on [0, 1] where the peak is 1."""
    error = (_unit(result) - _unit(truth)).square().mean(dim=(1, 2, 3))
    return (-10 * error.clamp_min(1e-30).log10()).clamp_max(PSNR_CAP)


def ssim(result: Tensor, truth: Tensor) -> Tensor:
    """Return the structural similarity, 1 for equal pictures: the mean over RGB and all whole windows. Wang 2004.

    Raises ValueError for pictures of fewer than 11 pixels on a side.
    """
    return _similarity(_unit(result), _unit(truth))[0]


def ms_ssim(result: Tensor, truth: Tensor) -> Tensor:
    """Return the multi-scale structural similarity in [0, 1]. Wang 2003.

    Five scales need 176 pixels on the shorter side; smaller pictures use as many as keep 11 pixels,
    with the published weights of those scales divided by their sum. Negative similarities count as 0.
    """
    a, b = _unit(result), _unit(truth)
    count = sum(min(a.shape[-2:]) >> scale >= WINDOW for scale in range(len(SCALE_WEIGHTS)))
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
    """Return the mean CIEDE2000 color difference; about 1 is just visible. Sharma, Wu, Dalal 2005."""
    apart = deltaE_ciede2000(_lab(result).numpy(), _lab(truth).numpy(), channel_axis=1)
    return torch.from_numpy(apart).mean(dim=(1, 2))


def colorfulness_gap(result: Tensor, truth: Tensor) -> Tensor:
    """Return the absolute difference of colorfulness on its 0..255 scale. Hasler and Suesstrunk 2003."""
    return (color.colorfulness(_plain(result)) - color.colorfulness(_plain(truth))).abs()


def ink_kept(result: Tensor, drawing: Tensor) -> Tensor:
    """Return the share of dark ink pixels of a drawing (B, 1, H, W) that are still at least as dark.

    A pixel is kept if no channel became lighter than the ink by more than 2/255. A drawing without dark ink scores 1.
    """
    ink = _unit(drawing)
    dark = (ink < DARK_INK).flatten(1)
    kept = (_unit(result).amax(dim=1, keepdim=True) <= ink + INK_SLACK + 1e-6).flatten(1)
    share = (dark & kept).sum(dim=1) / dark.sum(dim=1).clamp_min(1)
    return torch.where(dark.any(dim=1), share, 1.0)


def area_right(result: Tensor, truth: Tensor, drawing: Tensor | None = None) -> float | None:
    """Return the share of the truth's colored area whose color is right, within CIE76 14; None if all is paper.

    Of single pictures; ink of the line art `drawing`, (1, 1, H, W), does not count.
    """
    near, colored, _ = areas(result, truth, drawing)
    return float((near & colored).sum() / colored.sum()) if bool(colored.any()) else None


def stain(result: Tensor, truth: Tensor, drawing: Tensor | None = None) -> float | None:
    """Return the share of the truth's white paper that has taken color; None if there is none. See `area_right`."""
    near, _, white = areas(result, truth, drawing)
    return float((~near & white).sum() / white.sum()) if bool(white.any()) else None


def areas(result: Tensor, truth: Tensor, drawing: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Return where the result has the right color, and the truth's colored and white area without ink: (H, W) each."""
    near = (_lab(result) - _lab(truth)).square().sum(1)[0].sqrt() < SAME_COLOR
    free = torch.ones_like(near) if drawing is None else _unit(drawing)[0, 0] > NO_INK
    white = _unit(truth)[0].amin(0) >= PAPER
    return near, free & ~white, free & white


def colors_used(result: Tensor, given: Tensor) -> float | None:
    """Return the share of a reference's or palette's main colors that the result has, of single pictures.

    A color is present if 0.3 % of the pixels lie within CIE76 14 of it. None if there are only paper and ink.
    """
    lab = _main_colors(given, MAIN_COLORS)
    lab = lab[(lab[:, 0] > INK_LIGHT) & ~((lab[:, 0] > PAPER_LIGHT) & (lab[:, 1:].norm(dim=1) < GRAY))]
    if not len(lab):
        return None
    near = torch.cdist(lab.float(), _lab(result)[0].flatten(1).T.float()) < SAME_COLOR
    return float((near.float().mean(1) > PRESENT).float().mean())


def hues(result: Tensor, truth: Tensor) -> float:
    """Return the number of main colors of the result over that of the truth, at least CIE76 14 apart; 1 is ideal."""
    counts = []
    for picture in (result, truth):
        kept: list[Tensor] = []
        for lab in _main_colors(picture, 2 * MAIN_COLORS):
            if all(float((lab - one).norm()) > SAME_COLOR for one in kept):
                kept.append(lab)
        counts.append(len(kept))
    return counts[0] / counts[1]


def palette_distance(a: Tensor, b: Tensor) -> Tensor:
    """Return how much the colors of pictures of any sizes differ, wherever they lie; 0 same, 1 disjoint.

    The Hellinger distance of their chroma histograms, blurred so that close colors count as close.
    """
    apart = _chroma_histogram(a).sqrt() - _chroma_histogram(b).sqrt()
    return (apart.square().sum(dim=(1, 2)) / 2).sqrt()


def _chroma_histogram(picture: Tensor) -> Tensor:
    """Return the blurred histogram of Lab chroma, (B, 23, 23), bins of 10 ab units, summing to 1.

    Every pixel is shared by its four nearest bins; white paper is left out unless there is nothing else.
    """
    figure = (_unit(picture).amin(dim=1) < WHITE).flatten(1).float()  # (B, H*W)
    figure = torch.where(figure.any(dim=1, keepdim=True), figure, 1.0)
    place = (_lab(picture)[:, 1:].flatten(2).clamp(-REACH, REACH - 1e-3) + REACH) / BIN  # (B, 2, H*W)
    side = int(2 * REACH / BIN) + 1
    low = place.floor()
    share = place - low
    counts = torch.zeros(len(figure), side * side)
    for da, db in ((0, 0), (0, 1), (1, 0), (1, 1)):
        index = ((low[:, 0] + da) * side + low[:, 1] + db).long()
        weight = (share[:, 0] - 1 + da).abs() * (share[:, 1] - 1 + db).abs()
        counts.scatter_add_(1, index, weight * figure)
    blurred = _blur(F.pad(counts.view(-1, 1, side, side), (4, 4, 4, 4)), 9, 1.5)[:, 0]
    return blurred / blurred.sum(dim=(1, 2), keepdim=True)


def copying(result: Tensor, truth: Tensor, reference: Tensor) -> Tensor:
    """Return how far colors lie where the reference has them, not where the lines want them.

    Returns (B,) in [-1, 1]; below 0 is chance. Let o, t, r be the pictures averaged over 16 x 16 cells, means removed:
    ab of o and r, Lab of t. r' is r less its least-squares fit by t, so a layout that truth and reference share, such
    as a figure on paper, is gone. The score is <o, r'> / (|o| |r|): a semipartial correlation times |r'| / |r|. The
    truth and gray score 0; the reference itself scores 1 - R^2 of that fit.
    """
    o, t, r = (_layout(picture) for picture in (result, truth, reference))  # (B, N, 3)
    o, r = o[..., 1:], r[..., 1:]
    basis, sizes, _ = torch.linalg.svd(t, full_matrices=False)
    basis = basis * (sizes > 1e-3 * FAINT * GRID)[:, None]  # rounding is no layout
    rest = r - basis @ (basis.mT @ r)
    floor = FAINT * GRID  # the norm of a map with a root mean square of FAINT
    size_o, size_r = (part.flatten(1).norm(dim=1).clamp_min(floor) for part in (o, r))
    together: Tensor = (o * rest).sum(dim=(1, 2))
    score = together.div(size_o * size_r).float()
    return torch.where(score.abs() < ROUNDING, 0.0, score)


def _layout(picture: Tensor) -> Tensor:
    """Return the Lab of 16 x 16 cells, their mean removed, in float64: (B, 256, 3)."""
    small = F.adaptive_avg_pool2d(picture.detach().cpu().double().clamp(-1, 1), (GRID, GRID))
    maps = color.rgb_to_lab(small).flatten(2).mT
    return maps - maps.mean(dim=1, keepdim=True)


def _plain(picture: Tensor) -> Tensor:
    """Return the picture on the CPU in float32, clipped to [-1, 1] as a file would clip it."""
    return picture.detach().cpu().float().clamp(-1, 1)


def _unit(picture: Tensor) -> Tensor:
    """Map [-1, 1] to [0, 1], clipped."""
    return (_plain(picture) + 1) / 2


def _lab(picture: Tensor) -> Tensor:
    return color.rgb_to_lab(_plain(picture))


def _main_colors(picture: Tensor, count: int) -> Tensor:
    """Return the Lab of the most frequent colors of a picture (1, 3, H, W), at most so many: (N, 3)."""
    rgb = palettes.dominant(_plain(picture), count)
    return color.rgb_to_lab(rgb.T[None, :, :, None])[0, :, :, 0].T


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


@dataclass(frozen=True)
class Metric:
    """One column of the tables.

    higher: whether more is better. digits: after the point. help: what it measures, for the reader of
    a report. score: of a result (1, 3, S, S) and its sample, None where it does not apply; no function
    for FID, which compares whole folders. terminal: shown there, too; JSON, Markdown and HTML show
    all. perceptual: scored only on demand, by a pretrained network.
    """

    title: str
    higher: bool
    digits: int
    help: str
    score: Score | None
    unit: str = ""
    terminal: bool = True
    perceptual: bool = False

    @property
    def heading(self) -> str:
        """The name, and an arrow to where better is."""
        return f"{self.title} {'↑' if self.higher else '↓'}"

    def shown(self, value: float) -> str:
        """Return a value as tables print it."""
        return f"{value:.{self.digits}f}"


def _pair(formula: Callable[[Tensor, Tensor], Tensor | float]) -> Score:
    """Score by a formula of result and truth."""
    return lambda result, sample: float(formula(result, sample.truth))


def _lines(formula: Callable[[Tensor, Tensor, Tensor | None], float | None]) -> Score:
    """Score by a formula of result, truth and line art, which is None for gray pictures."""
    return lambda result, one: formula(result, one.truth, one.drawing if one.kind == "line" else None)


def _copying(result: Tensor, sample: Sample) -> float | None:
    """Score only where the reference has another layout; the warped truth has the right one."""
    if sample.reference is None or sample.mode not in ("cross", "shuffled"):
        return None
    return float(copying(result, sample.truth, sample.reference))


@cache  # loads AlexNet once
def lpips() -> Callable[[Tensor, Tensor], float]:
    """Return a function from result and truth, (1, 3, H, W) in [-1, 1], to LPIPS; lower is better.

    Zhang 2018 with AlexNet. Pictures have at least 64 x 64 pixels. Raises ColorizeError if
    torchmetrics is not installed or the weights of AlexNet can be had neither here nor online.
    """
    with _explained("LPIPS"):
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

        network = LearnedPerceptualImagePatchSimilarity(net_type="alex")

    def score(result: Tensor, truth: Tensor) -> float:
        with torch.inference_mode():
            value = float(network(result, truth))
        network.reset()  # torchmetrics keeps every score it has seen
        return value

    return score


class FrechetDistance:
    """Gathers results and true pictures, and compares both as distributions: FID, lower is better.

    Heusel 2017 with InceptionV3. Below about 2,000 pictures FID is biased upwards: compare only
    values of equal numbers of pictures. Raises ColorizeError as `lpips` does, for the weights of InceptionV3.
    """

    def __init__(self) -> None:
        with _explained("FID", '"torchmetrics[image]" torch-fidelity'):
            from torchmetrics.image.fid import FrechetInceptionDistance

            self._network = FrechetInceptionDistance(feature=2048)
        self._pictures = 0

    def add(self, result: Tensor, truth: Tensor) -> None:
        """Take in results and their true pictures, (B, 3, H, W) each in [-1, 1]."""
        for pictures, real in ((result, False), (truth, True)):
            self._network.update(((pictures + 1) * 127.5).round().to(torch.uint8), real=real)
        self._pictures += len(result)

    def value(self) -> float | None:
        """Return the FID of all that was added; None for fewer than two pictures, which have no covariance."""
        return float(self._network.compute()) if self._pictures > 1 else None


@contextmanager
def _explained(name: str, packages: str = '"torchmetrics[image]"') -> Iterator[None]:
    """Turn what a library says about missing packages or weights into a sentence for the user."""
    try:
        yield
    except ImportError as error:
        missing = f"; `{error.name}` is missing" if error.name else ""
        hint = f"install them with pip install {packages}"
        raise ColorizeError(f"{name} needs packages that are not installed{missing}", hint) from error
    except (OSError, RuntimeError, EOFError) as error:  # no network, wrong hash, cut off file
        hint = f"connect to the internet once, or evaluate without {name}"
        raise ColorizeError(f"the weights {name} needs could not be fetched: {error}", hint) from error


METRICS: dict[str, Metric] = {
    "psnr": Metric("PSNR", True, 2, "closeness to the truth, pixel by pixel", _pair(psnr), "dB"),
    "ssim": Metric("SSIM", True, 3, "similarity of structure, at most 1", _pair(ssim), terminal=False),
    "ms_ssim": Metric("MS-SSIM", True, 3, "the same at several scales", _pair(ms_ssim), terminal=False),
    "delta_e": Metric(
        "Delta E", False, 2, "visible difference of colors, 1 is just visible", _pair(delta_e), "CIEDE2000"
    ),
    "colorfulness_gap": Metric(
        "Colorfulness gap",
        False,
        1,
        "how far colorfulness is off, dull or gaudy",
        _pair(colorfulness_gap),
        terminal=False,
    ),
    "palette": Metric(
        "Palette", False, 3, "how far the palette is off, wherever it lies", _pair(palette_distance), terminal=False
    ),
    "area_right": Metric(
        "Area right", True, 3, "share of the colored area that is right, within CIE76 14", _lines(area_right)
    ),
    "stain": Metric("Stain", False, 3, "share of the white paper that took color", _lines(stain)),
    "colors_used": Metric(
        "Colors used",
        True,
        2,
        "share of the given main colors that the picture has",
        lambda r, s: None if s.reference is None else colors_used(r, s.reference),
    ),
    "hues": Metric("Hues", True, 2, "number of main colors over the truth's; 1 is ideal", _pair(hues)),
    "ink_kept": Metric(
        "Ink kept",
        True,
        3,
        "share of the dark ink that stayed as dark",
        lambda r, s: float(ink_kept(r, s.drawing)) if s.kind == "line" else None,
    ),
    "leak": Metric("Leak", False, 3, "share of paper next to lines that took color from across the line", _lines(leak)),
    "copying": Metric("Copying", False, 3, "how far colors lie where the reference has them; 0 is ideal", _copying),
    "lpips": Metric(
        "LPIPS", False, 3, "perceptual difference, by a network", lambda r, s: lpips()(r, s.truth), perceptual=True
    ),
    "fid": Metric("FID", False, 2, "distance of all results from all true pictures", None, perceptual=True),
}
