"""Make one training pair of one source picture (crop, size, line art, checks, files), and find repeated ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from colorize.datasets.journal import Entry
from colorize.datasets.sources import Item, chroma
from colorize.errors import ColorizeError
from colorize.images import hint_files, lines
from colorize.images.color import colorfulness, luminance
from colorize.images.files import read, shown, write
from colorize.images.image import from_tensor
from colorize.images.kinds import has_tint

FOLDERS = ("color", "line", "hints")  # folders of a split
SMALLEST = 32  # pixels of the shorter side, before and after scaling
SHAPE = 0.02  # a drawing may differ from its picture by so much in width over height
SEARCHED = 256  # the subject is searched in a picture shrunk to this longer side
GRAYEST = 3.0  # colorfulness, 0..255, of gray pictures in a lossy format; a red bow gives 5
FLAT = 0.06  # of 2.0; a picture that varies less is blank
PLAIN = 0.1  # of 2.0; a border that varies less is a plain background
WHOLE = 0.998  # of what differs from a plain background is the subject; the rest is specks
SHARE = 0.9  # of the contrast of other pictures, along each axis, lies in the subject
MARGIN = 1.08  # side of the crop over side of the subject

SIDE = 12  # rows of a hash, and differences in each
BITS = SIDE * SIDE
FLAT_ROW = 0.02  # of 2.0; a smaller step is noise of a lossy format on flat paper, not a difference
DETAIL = 8  # hashes of pictures with little in them are all alike: an 8th of their steps may differ
ORDER = ("test", "validation", "train")  # what occurs in an earlier split leaves the later ones
ROWS = 4096  # hashes compared at once, so that a million pictures need no matrix of a million rows

STYLES: dict[str, Callable[[Tensor], Tensor]] = {
    "xdog": lines.xdog,
    "dog": lines.dog,
    "pencil": lines.pencil,
    "canny": lines.canny,
}
Box = tuple[int, int, int, int]  # top, left, height, width in pixels


class Unfit(Exception):
    """Why a picture that could be read is of no use."""


def make_pair(
    item: Item, pictures: Mapping[str, Path | bytes], folder: Path, size: int, crop: str, style: str, seed: int
) -> Entry:
    """Write the color picture, line art and hints of an item, or say why it cannot be used.

    pictures: files or bytes by path, see `Source.read`. folder: of the split. size: pixels of the longer side. crop:
    "fit", "square" or "subject". style: of extracted line art; seed draws that of `mix`. Raises ColorizeError for a
    full disk.
    """
    try:
        color, line, hints = load_pair(item, pictures)
        top, left, height, width = box = _box(color, crop)
        color = _scaled(color, box, size)
        _check(color, line)
    except ColorizeError as error:
        return Entry(skipped=error.message)
    except Unfit as error:
        return Entry(skipped=f"`{shown(item.color)}` {error}")
    if line is not None:
        art = _scaled(luminance(line), box, size)
    else:
        art = lines.mix(color, torch.Generator().manual_seed(seed)) if style == "mix" else STYLES[style](color)
    results = [from_tensor(color), from_tensor(art)]
    if hints is not None:
        tall, wide = color.shape[-2:]
        hints = hint_files.resize(hints[..., top : top + height, left : left + width], (tall, wide))
        held = hints[:, 3:] > 0
        alpha = held[0, 0].byte().mul(255).numpy()
        results.append(replace(from_tensor(torch.where(held, hints[:, :3], -1.0)), alpha=alpha))
    files = [f"{folder.name}/{side}/{item.name}.png" for side in FOLDERS[: len(results)]]
    for picture, file in zip(results, files, strict=True):
        write(picture, folder.parent / file)
    return Entry(tuple(files), difference_hash(color))


def load_pair(item: Item, pictures: Mapping[str, Path | bytes]) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Return color (1, 3, H, W), its drawing or None if it must be extracted, its hint map or None.

    All have the same size. Raises ColorizeError for a picture that cannot be read, and Unfit for
    pictures that are tiny or do not belong together.
    """
    color = _read(item.color, pictures)
    height, width = color.shape[-2:]
    if min(height, width) < SMALLEST:
        raise Unfit(f"is {width} x {height} pixels; at least {SMALLEST} x {SMALLEST} are needed")
    if item.half:
        middle, odd = divmod(width, 2)
        if odd or middle < SMALLEST:
            raise Unfit(f"is {width} pixels wide, which does not give two halves")
        left, right = color[..., :middle], color[..., middle:]
        return (left, right, None) if item.half == "left" else (right, left, None)
    if not item.line:
        return color, None, None
    line = _read(item.line, pictures, color)
    if not item.merged:
        return color, _resized(line, (height, width)), None
    merged = _resized(_read(item.merged, pictures, color), tuple(line.shape[-2:]))
    hints = hint_files.from_painted(merged, line)  # before scaling blurs the lines
    found = bool((hints[:, 3] > 0).any())
    return color, _resized(line, (height, width)), hint_files.resize(hints, (height, width)) if found else None


def _read(path: str, pictures: Mapping[str, Path | bytes], color: Tensor | None = None) -> Tensor:
    """A picture (1, 3, H, W), of the proportions of `color`."""
    if path not in pictures:
        raise Unfit(f"cannot be read: `{shown(path)}` holds no picture")
    picture = read(pictures[path], shown(path)).tensor()
    ratios = [one.shape[-1] / one.shape[-2] for one in (picture if color is None else color, picture)]
    if abs(ratios[0] / ratios[1] - 1) > SHAPE:
        raise Unfit(f"has a different shape from its drawing `{shown(path)}`")
    return picture


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


def _scaled(picture: Tensor, box: Box, size: int) -> Tensor:
    """Crop a picture and scale it to a longer side of `size` pixels."""
    top, left, height, width = box
    scale = size / max(height, width)
    shape = max(1, round(height * scale)), max(1, round(width * scale))
    return _resized(picture[..., top : top + height, left : left + width], shape)


def _resized(picture: Tensor, size: tuple[int, ...]) -> Tensor:
    """Scale a picture to a height and width, without aliasing."""
    if tuple(picture.shape[-2:]) == size:
        return picture
    return functional.interpolate(picture, size, mode="bicubic", antialias=True).clamp(-1, 1)


def _box(color: Tensor, crop: str) -> Box:
    """What to keep: all of it ("fit"), the middle square ("square"), or a square on the subject."""
    height, width = color.shape[-2:]
    side = min(height, width)
    if crop == "fit":
        return 0, 0, height, width
    if crop == "square":
        return (height - side) // 2, (width - side) // 2, side, side
    scale = min(1.0, SEARCHED / max(height, width))
    shape = (max(1, round(height * scale)), max(1, round(width * scale)))
    small_color = functional.interpolate(color, shape, mode="area")
    ends = torch.tensor([0, -1])
    border = torch.cat([small_color[:, :, ends].flatten(2), small_color[..., ends].flatten(2)], dim=2)
    paper = border.median(dim=2, keepdim=True).values  # (1, 3, 1)
    if float((border - paper).abs().mean()) < PLAIN:  # the subject differs from a plain background
        energy, share = ((small_color - paper[..., None]).abs().amax(1)[0] > 2 * PLAIN).float(), WHOLE
    else:  # or has the strong edges
        gray, share = luminance(small_color)[0, 0], SHARE
        energy = torch.zeros_like(gray)
        energy[1:] += gray.diff(dim=0).abs()
        energy[:, 1:] += gray.diff(dim=1).abs()
        energy = energy.square()
    profiles = [energy.sum(1), energy.sum(0)]
    spans = [_span(profile, share) for profile in profiles]
    small = min(*shape, max(1, round(MARGIN * max(stop - start for start, stop in spans))))
    starts = [_start(profile, *span, small) for profile, span in zip(profiles, spans, strict=True)]
    side = min(side, max(SMALLEST, round(small / scale)))
    top, left = (round(start / scale) for start in starts)
    return min(top, height - side), min(left, width - side), side, side


def _span(profile: Tensor, share: float) -> tuple[int, int]:
    """First row and last row + 1 between which a share of a profile (N,) lies."""
    total = profile.cumsum(0)
    if float(total[-1]) <= 0:
        return 0, len(profile)
    start, stop = torch.searchsorted(total / total[-1], torch.tensor([(1 - share) / 2, (1 + share) / 2])).tolist()
    return start, min(stop + 1, len(profile))


def _start(profile: Tensor, start: int, stop: int, side: int) -> int:
    """Where a window of `side` rows starts: around the span, or where most of a longer one lies."""
    if stop - start <= side:
        return max(0, min(len(profile) - side, (start + stop - side) // 2))
    total = torch.cat([profile.new_zeros(1), profile.cumsum(0)])
    return int((total[side:] - total[:-side]).argmax())


def difference_hash(color: Tensor) -> str:
    """Return 144 bits in hexadecimal: where the picture, shrunk to 12 x 13, darkens to the right.

    color: (1, 3, H, W) in [-1, 1]. Changes of size, format, brightness and contrast leave most bits
    as they are. Krawetz 2013, "Kind of like that".
    """
    small = functional.adaptive_avg_pool2d(luminance(color), (SIDE, SIDE + 1))  # (1, 1, 12, 13)
    bits = (small[..., :-1] - small[..., 1:] > FLAT_ROW).flatten().int().tolist()
    return f"{int(''.join(map(str, bits)), 2):0{BITS // 4}x}"


def duplicates(splits: Sequence[str], hashes: Sequence[str], near: int) -> dict[int, int]:
    """Return {picture to drop: the picture it repeats}, so that no two splits share a picture.

    splits, hashes: one per picture. near: most bits in which two hashes of one picture may differ,
    below 144; negative finds nothing. Test keeps all its pictures, validation loses those that
    occur in test, train those that occur in either. Repeats within a split stay.
    """
    dropped: dict[int, int] = {}
    if near < 0 or not hashes:
        return dropped
    packed = torch.frombuffer(bytearray.fromhex("".join(hashes)), dtype=torch.uint8)
    bits = (packed[:, None] & torch.tensor([128, 64, 32, 16, 8, 4, 2, 1], dtype=torch.uint8)) > 0
    signs = bits.view(len(hashes), BITS).float() * 2 - 1  # products count equal minus unequal bits
    steps = (signs > 0).sum(1)  # (N,)
    kept: list[int] = []  # pictures of the splits already settled
    for split in ORDER:
        here = [index for index, name in enumerate(splits) if name == split]
        known = signs[kept].T  # (144, M)
        for start in range(0, len(here) if kept else 0, ROWS):
            part = here[start : start + ROWS]
            unequal = (BITS - signs[part] @ known) / 2  # exact: sums of 144 signs in float32
            sparse = DETAIL * unequal > steps[part][:, None] + steps[kept]
            least, index = unequal.masked_fill(sparse, BITS).min(dim=1)
            dropped |= {part[row]: kept[int(index[row])] for row in (least <= near).nonzero()[:, 0].tolist()}
        kept += [index for index in here if index not in dropped]
    return dropped
