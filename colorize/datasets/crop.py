"""Make one training pair of one source picture: halves, crop, size, line art, check, files.

Knows nothing of folders, splits or other pictures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from colorize.datasets.duplicates import difference_hash
from colorize.datasets.folders import chroma
from colorize.datasets.job import SMALLEST, Job, Unfit, fitted, load
from colorize.errors import ColorizeError
from colorize.images import lines
from colorize.images.color import colorfulness, luminance
from colorize.images.files import shown, write
from colorize.images.hint_files import resize
from colorize.images.image import Picture, from_tensor
from colorize.images.kinds import has_tint

LOOK = 256  # the subject is looked for in a picture shrunk to this longer side
GRAYEST = 3.0  # colorfulness, 0..255, of gray pictures in a lossy format; a red bow gives 5
FLAT = 0.06  # of 2.0; a sheet that varies less is blank
PLAIN = 0.1  # of 2.0; a rim that varies less is a plain background
WHOLE = 0.998  # of what differs from a plain background is the subject; the rest is specks
SHARE = 0.9  # of the contrast of other pictures, along each axis, lies in the subject
ROOM = 1.08  # side of the crop over side of the subject

STYLES: dict[str, Callable[[Tensor], Tensor]] = {  # of line art, besides `mix`
    "xdog": lines.xdog,
    "dog": lines.dog,
    "pencil": lines.pencil,
    "canny": lines.canny,
}
Box = tuple[int, int, int, int]  # top, left, height, width in pixels


@dataclass(frozen=True)
class Made:
    """The result of a job: the picture's difference hash, or a sentence on why it is left out.

    hinted: whether there are color hints.
    """

    hash: str = ""
    skipped: str = ""
    hinted: bool = False


def cut(job: Job) -> Made:
    """Write the color picture, line art and hints of a job, or say why it cannot be used.

    Only what cannot be read or used is skipped; a full disk raises ColorizeError.
    """
    try:
        color, line, given = load(job)
        box = _box(color, job.crop)
        color = _scaled(_cropped(color, box), job.size)
        _check(color, line)
    except ColorizeError as error:
        return Made(skipped=error.message)
    except Unfit as error:
        return Made(skipped=f"`{shown(job.item.color)}` {error}")
    if line is None:
        art = extract(color, job.style, f"{job.seed}/{job.item.color}")
    else:
        art = _scaled(_cropped(luminance(line), box), job.size)
    write(from_tensor(color), job.color)
    write(from_tensor(art), job.line)
    if given is not None:
        height, width = color.shape[-2:]
        write(_transparent(resize(_cropped(given, box), (height, width))), job.hint)
    return Made(hash=difference_hash(color), hinted=given is not None)


def extract(color: Tensor, style: str, key: str) -> Tensor:
    """Line art (1, 1, H, W) of a color picture; `mix` draws its own style from the key's text."""
    if style == "mix":
        return lines.mix(color, torch.Generator().manual_seed(number(key)))
    return STYLES[style](color)


def number(key: str) -> int:
    """A whole number below 2^63 that depends on a text alone, the same on every machine."""
    return int(hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()[:16], 16) >> 1


def _transparent(given: Tensor) -> Picture:
    """A hint map (1, 4, H, W) as a picture that is transparent but for the hints."""
    held = given[:, 3:] > 0
    alpha = held[0, 0].byte().mul(255).numpy()
    return replace(from_tensor(torch.where(held, given[:, :3], -1.0)), alpha=alpha)


def _check(color: Tensor, line: Tensor | None) -> None:
    """Refuse what would teach a network to leave pictures gray, or to copy colors from the line."""
    height, width = color.shape[-2:]
    if min(height, width) < SMALLEST:
        raise Unfit(f"is too long and narrow: it becomes {width} x {height} pixels")
    if float((color.amax((2, 3)) - color.amin((2, 3))).max()) < FLAT:
        raise Unfit("is blank")
    if float(colorfulness(color)) < GRAYEST:
        raise Unfit("has no color")
    if has_tint(color):
        raise Unfit("is gray with a tint, like sepia")
    if line is not None and chroma(line) > chroma(color) / 2:
        raise Unfit("has a drawing in color")


def _cropped(picture: Tensor, box: Box) -> Tensor:
    top, left, height, width = box
    return picture[..., top : top + height, left : left + width]


def _scaled(picture: Tensor, size: int) -> Tensor:
    """Scale a picture to a longer side of `size` pixels, without aliasing."""
    height, width = picture.shape[-2:]
    scale = size / max(height, width)
    return fitted(picture, (max(1, round(height * scale)), max(1, round(width * scale))))


def _box(color: Tensor, crop: str) -> Box:
    """What to keep: all of it ("fit"), the middle square ("square"), or a square on the subject."""
    height, width = color.shape[-2:]
    side = min(height, width)
    if crop == "fit":
        return 0, 0, height, width
    if crop == "square":
        return (height - side) // 2, (width - side) // 2, side, side
    scale = min(1.0, LOOK / max(height, width))
    shape = (max(1, round(height * scale)), max(1, round(width * scale)))
    energy, share = _energy(functional.interpolate(color, shape, mode="area"))
    spans = [_span(energy.sum(1), share), _span(energy.sum(0), share)]
    wanted = ROOM * max(stop - start for start, stop in spans)
    small = min(*shape, max(1, round(wanted)))
    top, left = (_place(energy.sum(1 - axis), span, small) for axis, span in enumerate(spans))
    side = min(side, max(SMALLEST, round(small / scale)))
    top, left = round(top / scale), round(left / scale)
    return min(top, height - side), min(left, width - side), side, side


def _energy(color: Tensor) -> tuple[Tensor, float]:
    """Where the subject is, (H, W), and the share of this that it has.

    That is what differs from a plain background, or strong edges where the background is not plain.
    """
    ends = torch.tensor([0, -1])
    rim = torch.cat([color[:, :, ends].flatten(2), color[..., ends].flatten(2)], dim=2)
    paper = rim.median(dim=2, keepdim=True).values  # (1, 3, 1)
    if float((rim - paper).abs().mean()) < PLAIN:
        return ((color - paper[..., None]).abs().amax(1)[0] > 2 * PLAIN).float(), WHOLE
    gray = luminance(color)[0, 0]
    energy = torch.zeros_like(gray)
    energy[1:] += gray.diff(dim=0).abs()
    energy[:, 1:] += gray.diff(dim=1).abs()
    return energy.square(), SHARE


def _span(profile: Tensor, share: float) -> tuple[int, int]:
    """First row and last row + 1 between which a share of a profile (N,) lies."""
    total = profile.cumsum(0)
    if float(total[-1]) <= 0:
        return 0, len(profile)
    start, stop = torch.searchsorted(total / total[-1], torch.tensor([(1 - share) / 2, (1 + share) / 2])).tolist()
    return start, min(stop + 1, len(profile))


def _place(profile: Tensor, span: tuple[int, int], side: int) -> int:
    """Where a window of `side` rows starts: around the span, or where most of a longer one lies."""
    start, stop = span
    last = len(profile) - side
    if stop - start <= side:
        return max(0, min(last, (start + stop - side) // 2))
    total = torch.cat([profile.new_zeros(1), profile.cumsum(0)])
    return int((total[side:] - total[:-side]).argmax())
