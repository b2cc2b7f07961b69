"""Measure and change the colors of pictures: Lab, luminance, color difference, colorfulness, hue."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

LUMA = (0.2126, 0.7152, 0.0722)  # Rec. 709 weights of R, G, B
# sRGB to CIE XYZ for D65, IEC 61966-2-1. The white point is this matrix times (1, 1, 1), so that
# grays have a = b = 0 exactly; scikit-image's rounded white leaves up to 0.01 there.
XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
GRAY = 8.0  # chroma; duller colors have no hue
EPSILON, KAPPA = 216 / 24389, 24389 / 27  # CIE 15: where the cube root of Lab turns linear
# RGB to luma and two chroma axes (BT.709 color differences), and the five other orders of channels.
CHROMA = (LUMA, (-0.1146, -0.3854, 0.5), (0.5, -0.4542, -0.0458))
ORDERS = ((0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))


def _times(matrix: Tensor, picture: Tensor) -> Tensor:
    """Multiply every pixel by a matrix: (3, 3) or (B, 3, 3) by (B, 3, H, W)."""
    with torch.autocast(picture.device.type, enabled=False):  # bfloat16 is too coarse for colors
        return (matrix @ picture.flatten(2)).view_as(picture)


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """CIE L*a*b* (D65, 2 degrees) of sRGB pictures.

    rgb: (B, 3, H, W) in [-1, 1]. Returns (B, 3, H, W): L in [0, 100], a and b about [-110, 110]. Differs from
    scikit-image by at most 0.02 (its white point is rounded).
    """
    share = (rgb + 1) / 2
    linear = torch.where(share > 0.04045, ((share.clamp(min=0) + 0.055) / 1.055).pow(2.4), share / 12.92)
    matrix = torch.tensor(XYZ, dtype=torch.float64)
    matrix = (matrix / matrix.sum(1, keepdim=True)).to(rgb)
    xyz = _times(matrix, linear)
    root = torch.where(xyz > EPSILON, xyz.clamp(min=EPSILON).pow(1 / 3), (KAPPA * xyz + 16) / 116)
    x, y, z = root.unbind(1)
    return torch.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), 1)


def lab_of(rgb: Tensor) -> Tensor:
    """CIE L*a*b* of colors (..., 3) in [-1, 1]: (..., 3)."""
    rows = rgb.reshape(1, -1, 1, 3).permute(0, 3, 1, 2).float()
    return rgb_to_lab(rows).permute(0, 2, 3, 1).reshape(rgb.shape)


def one_hue(first: Tensor, second: Tensor, within: float) -> Tensor:
    """Whether colors (..., 3) of L*a*b* that broadcast are tones of one hue, `within` radians, or all gray: (...)."""
    turned = torch.atan2(first[..., 2], first[..., 1]) - torch.atan2(second[..., 2], second[..., 1])
    near = torch.atan2(turned.sin(), turned.cos()).abs() < within
    one, other = first[..., 1:].norm(dim=-1) < GRAY, second[..., 1:].norm(dim=-1) < GRAY
    return torch.where(one | other, one & other, near)


def lab_to_rgb(lab: Tensor, clip: bool = True) -> Tensor:
    """Return the sRGB pictures of CIE L*a*b* values, the inverse of `rgb_to_lab`.

    lab: (B, 3, H, W). Returns (B, 3, H, W); in [-1, 1] if `clip`, otherwise colors outside sRGB reach beyond it.
    """
    light, a, b = lab.unbind(1)
    y = (light + 16) / 116
    root = torch.stack((y + a / 500, y, y - b / 200), 1)
    xyz = torch.where(root > EPSILON ** (1 / 3), root.pow(3), (116 * root - 16) / KAPPA)
    matrix = torch.tensor(XYZ, dtype=torch.float64)
    inverse = torch.linalg.inv(matrix / matrix.sum(1, keepdim=True)).to(lab)
    linear = _times(inverse, xyz)
    rgb = torch.where(linear > 0.0031308, 1.055 * linear.clamp(min=1e-9).pow(1 / 2.4) - 0.055, linear * 12.92)
    rgb = rgb * 2 - 1
    return rgb.clamp(-1, 1) if clip else rgb


def luminance(rgb: Tensor) -> Tensor:
    """Brightness as video defines it: Rec. 709 luma of the sRGB-encoded values, not linearized.

    rgb: (B, 3, H, W) in [-1, 1], or (B, 1, H, W), returned as it is. Returns (B, 1, H, W) in [-1, 1].
    """
    if rgb.shape[1] == 1:
        return rgb
    red, green, blue = rgb.unbind(1)
    return (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue)[:, None]


def lightness(rgb: Tensor) -> Tensor:
    """Return the gray of the same CIE L*: (B, 3, H, W) in [-1, 1] to (B, 1, H, W)."""
    lab = rgb_to_lab(rgb)
    return lab_to_rgb(torch.cat([lab[:, :1], torch.zeros_like(lab[:, 1:])], dim=1))[:, :1]


def colorfulness(rgb: Tensor) -> Tensor:
    """How colorful pictures are: 0 gray, 15 slightly, 59 quite, 109 extremely colorful.

    rgb: (B, 3, H, W) in [-1, 1]. Returns (B,). Hasler and Suesstrunk 2003, M3, on a 0..255 scale.
    """
    red, green, blue = ((rgb + 1) * 127.5).flatten(2).unbind(1)
    first, second = red - green, (red + green) / 2 - blue
    spread = (first.var(1, correction=0) + second.var(1, correction=0)).sqrt()
    return spread + 0.3 * (first.mean(1).square() + second.mean(1).square()).sqrt()


def delta_e(first: Tensor, second: Tensor) -> Tensor:
    """Visible difference of colors, CIEDE2000; 1 is just noticeable, 100 is black against white.

    first, second: Lab (B, 3, H, W). Returns (B, 1, H, W). Sharma, Wu, Dalal 2005.
    """
    light1, a1, b1 = first.unbind(1)
    light2, a2, b2 = second.unbind(1)
    gray = _seventh((torch.hypot(a1, b1) + torch.hypot(a2, b2)) / 2)
    a1, a2 = a1 * (1.5 - 0.5 * gray), a2 * (1.5 - 0.5 * gray)
    chroma1, chroma2 = torch.hypot(a1, b1), torch.hypot(a2, b2)
    hue1, hue2 = (torch.atan2(b, a) % (2 * math.pi) for a, b in ((a1, b1), (a2, b2)))  # 0 for grays
    turn, total = hue2 - hue1, hue1 + hue2  # the turn by the shorter way, and the hue in the middle of it
    wide, colorless = turn.abs() > math.pi, (chroma1 * chroma2) == 0
    turn = torch.where(wide, turn - 2 * math.pi * turn.sign(), turn)
    turn = torch.where(colorless, 0.0, turn)
    middle = torch.where(wide, total + torch.where(total < 2 * math.pi, 2 * math.pi, -2 * math.pi), total)
    hue = torch.where(colorless, total, middle / 2)
    light, chroma = (light1 + light2) / 2, (chroma1 + chroma2) / 2
    bend = (light - 50).square()
    in_light = (light2 - light1) / (1 + 0.015 * bend / (20 + bend).sqrt())
    in_chroma = (chroma2 - chroma1) / (1 + 0.045 * chroma)
    in_hue = 2 * (chroma1 * chroma2).sqrt() * torch.sin(turn / 2)
    terms = ((-0.17, 1, -30), (0.24, 2, 0), (0.32, 3, 6), (-0.20, 4, -63))  # how sensitive the eye is at a hue
    cosines = (share * torch.cos(times * hue + math.radians(by)) for share, times, by in terms)
    weight = sum(cosines, torch.ones_like(hue))
    in_hue = in_hue / (1 + 0.015 * chroma * weight)
    degrees = torch.rad2deg(hue)
    swing = math.radians(60) * torch.exp(-(((degrees - 275) / 25).square()))
    mixed = -torch.sin(swing) * 2 * _seventh(chroma) * in_chroma * in_hue
    total = in_light.square() + in_chroma.square() + in_hue.square() + mixed
    return total.clamp(min=0).sqrt()[:, None]


def _seventh(chroma: Tensor) -> Tensor:
    """CIEDE2000's sqrt(C^7 / (C^7 + 25^7)), written so that float32 does not overflow."""
    power = (chroma / 25).pow(7)
    return (power / (power + 1)).sqrt()


def permute_hues(pictures: Sequence[Tensor], rng: Generator, share: Tensor | None = None) -> list[Tensor]:
    """Give every row a random new assignment of hues, the same in all pictures of the list.

    A network that sees a drawing with such colors cannot know them by heart; it must take them from its reference.
    Channels change places, and in half of the rows chroma is turned by a random angle at constant luma and then drawn
    towards gray until it fits sRGB. White, black and grays stay as they are.

    pictures: each (B, 3, H, W) in [-1, 1], of any sizes but one B. share: (B,) bool, rows where it is False are
    returned unchanged; None changes all.
    """
    batch = len(pictures[0])
    order = torch.tensor(ORDERS)[torch.randint(len(ORDERS), (batch,), generator=rng)]
    angle = 2 * math.pi * torch.rand(batch, generator=rng)
    angle = angle * (torch.rand(batch, generator=rng) < 0.5)  # half of the rows only change channels
    turn = torch.eye(3, dtype=torch.float64).repeat(batch, 1, 1)
    turn[:, 1, 1] = turn[:, 2, 2] = torch.cos(angle).double()
    turn[:, 2, 1] = torch.sin(angle).double()
    turn[:, 1, 2] = -turn[:, 2, 1]
    chroma = torch.tensor(CHROMA, dtype=torch.float64)
    chroma[1:] -= chroma[1:].mean(1, keepdim=True)  # grays have no chroma to the last digit
    back: Tensor = torch.linalg.inv(chroma)
    matrix = back @ turn @ chroma @ torch.eye(3, dtype=torch.float64)[order]
    changed = [_into_gamut(_times(matrix.to(p), p)) for p in pictures]
    if share is None:
        return changed
    pairs = zip(changed, pictures, strict=True)
    return [torch.where(share.to(p.device).view(-1, 1, 1, 1), c, p) for c, p in pairs]


def _into_gamut(rgb: Tensor) -> Tensor:
    """Draw pixels towards the gray of their luma until they lie in [-1, 1], hue and luma kept."""
    gray = luminance(rgb).clamp(-1, 1)
    chroma = rgb - gray
    room_up = (1 - gray) / chroma.amax(1, keepdim=True).clamp(min=1e-6)
    room_down = (1 + gray) / (-chroma.amin(1, keepdim=True)).clamp(min=1e-6)
    keep = torch.minimum(room_up, room_down).clamp(max=1)
    return (gray + chroma * keep).clamp(-1, 1)
