"""Claims about colorize.images.color."""

import math

import numpy as np
import pytest
import torch
from skimage.color import deltaE_ciede2000, rgb2lab

from colorize.images import color

# Sharma, Wu, Dalal 2005, table 1: L a b, L a b, Delta E.
SHARMA = """
50 2.6772 -79.7751  50 0 -82.7485  2.0425
50 3.1571 -77.2803  50 0 -82.7485  2.8615
50 2.8361 -74.0200  50 0 -82.7485  3.4412
50 -1.3802 -84.2814  50 0 -82.7485  1.0000
50 -1.1848 -84.8006  50 0 -82.7485  1.0000
50 -0.9009 -85.5211  50 0 -82.7485  1.0000
50 0 0  50 -1 2  2.3669
50 -1 2  50 0 0  2.3669
50 2.4900 -0.0010  50 -2.4900 0.0009  7.1792
50 2.4900 -0.0010  50 -2.4900 0.0010  7.1792
50 2.4900 -0.0010  50 -2.4900 0.0011  7.2195
50 2.4900 -0.0010  50 -2.4900 0.0012  7.2195
50 -0.0010 2.4900  50 0.0009 -2.4900  4.8045
50 -0.0010 2.4900  50 0.0010 -2.4900  4.8045
50 -0.0010 2.4900  50 0.0011 -2.4900  4.7461
50 2.5 0  50 0 -2.5  4.3065
50 2.5 0  73 25 -18  27.1492
50 2.5 0  61 -5 29  22.8977
50 2.5 0  56 -27 -3  31.9030
50 2.5 0  58 24 15  19.4535
50 2.5 0  50 3.1736 0.5854  1.0000
50 2.5 0  50 3.2972 0  1.0000
50 2.5 0  50 1.8634 0.5757  1.0000
50 2.5 0  50 3.2592 0.3350  1.0000
60.2574 -34.0099 36.2677  60.4626 -34.1751 39.4387  1.2644
63.0109 -31.0961 -5.8663  62.8187 -29.7946 -4.0864  1.2630
61.2901 3.7196 -5.3901  61.4292 2.2480 -4.9620  1.8731
35.0831 -44.1164 3.7933  35.0232 -40.0716 1.5901  1.8645
22.7233 20.0904 -46.6940  23.0331 14.9730 -42.5619  2.0373
36.4612 47.8580 18.3852  36.2715 50.5065 21.2231  1.4146
90.8027 -2.0831 1.4410  91.1528 -1.6435 0.0447  1.4441
90.9257 -0.5406 -0.9208  88.6381 -0.8985 -0.7239  1.5381
6.7747 -0.2908 -2.4247  5.8714 -0.0985 -2.2286  0.6377
2.0776 0.0795 -1.1350  0.9033 -0.0636 -0.5514  0.9082
"""


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(batch: int = 2, size: int = 8) -> torch.Tensor:
    return torch.rand(batch, 3, size, size, generator=rng()) * 2 - 1


def grays() -> torch.Tensor:
    return torch.linspace(-1, 1, 64).view(1, 1, 8, 8).repeat(4, 3, 1, 1)


def test_lab_agrees_with_scikit_image():
    rgb = noise(1, 32)
    theirs = rgb2lab(((rgb[0] + 1) / 2).permute(1, 2, 0).double().numpy())
    ours = color.rgb_to_lab(rgb)[0].permute(1, 2, 0).numpy()
    assert np.abs(ours - theirs).max() < 0.02  # its white point is rounded to five digits


def test_grays_have_no_color_in_lab():
    assert color.rgb_to_lab(grays())[:, 1:].abs().max() < 1e-3  # float32


def test_lab_and_back_is_the_same_picture():
    rgb = noise(1, 32)
    assert (color.lab_to_rgb(color.rgb_to_lab(rgb)) - rgb).abs().max() < 1e-4  # a 80th of 8 bits


def test_lab_beyond_srgb_is_clipped_only_on_request():
    lab = torch.tensor((60.0, 120.0, 0.0)).view(1, 3, 1, 1)
    assert color.lab_to_rgb(lab, clip=False).max() > 1
    assert color.lab_to_rgb(lab).max() == 1


def test_luminance_weighs_green_most():
    primaries = torch.eye(3).view(3, 3, 1, 1) * 2 - 1
    expected = torch.tensor((0.2126, 0.7152, 0.0722)) * 2 - 1
    torch.testing.assert_close(color.luminance(primaries).flatten(), expected)


def test_luminance_of_gray_pictures_is_the_picture():
    gray = torch.rand(1, 1, 4, 4)
    assert color.luminance(gray) is gray


def test_delta_e_finds_the_published_numbers():
    rows = [[float(number) for number in row.split()] for row in SHARMA.strip().split("\n")]
    table = torch.tensor(rows, dtype=torch.float64)[:, :, None, None]
    ours = color.delta_e(table[:, :3], table[:, 3:6])
    assert (ours - table[:, 6:]).abs().max() < 1e-4  # as many digits as are published


def test_delta_e_agrees_with_scikit_image_for_any_color():
    first, second = (color.rgb_to_lab(noise(2, 32))[i : i + 1] for i in (0, 1))
    theirs = deltaE_ciede2000(*(p[0].permute(1, 2, 0).numpy() for p in (first, second)))
    assert np.abs(color.delta_e(first, second)[0, 0].numpy() - theirs).max() < 1e-3  # float32


def test_gray_pictures_are_not_colorful():
    assert color.colorfulness(grays()).max() < 1e-4


def test_colorfulness_follows_its_formula():
    rgb = -torch.ones(1, 3, 1, 2)
    rgb[0, 0, 0, 0] = 1  # red beside black: both differences have their spread as their mean
    expected = 1.3 * math.hypot(127.5, 63.75)
    assert color.colorfulness(rgb).item() == pytest.approx(expected, rel=1e-5)


def test_permuted_hues_leave_grays_alone():
    assert (color.permute_hues([grays()], rng())[0] - grays()).abs().max() < 1e-6


def test_permuted_hues_change_colors_of_every_row():
    change = color.permute_hues([noise(16)], rng())[0] - noise(16)
    assert change.abs().amax((1, 2, 3)).min() > 0.1


def test_permuted_hues_are_the_same_in_all_pictures():
    first, second = color.permute_hues([noise(8), noise(8)], rng())
    assert torch.equal(first, second)


def test_permuted_hues_differ_between_rows():
    red = torch.tensor((1.0, -1.0, -1.0)).view(1, 3, 1, 1).repeat(16, 1, 1, 1)
    assert len(color.permute_hues([red], rng())[0].flatten(1).round(decimals=3).unique(dim=0)) > 4


def test_permuted_hues_spare_rows_outside_the_share():
    share = torch.tensor((True, False))
    assert torch.equal(color.permute_hues([noise()], rng(), share)[0][1], noise()[1])


def test_permuted_hues_stay_in_range():
    assert color.permute_hues([noise(32)], rng())[0].abs().max() <= 1


def test_autocast_does_not_coarsen_colors() -> None:
    picture = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.autocast("cpu", torch.bfloat16):
        under_autocast = color.rgb_to_lab(picture)
    assert torch.equal(under_autocast, color.rgb_to_lab(picture))


@pytest.mark.parametrize(
    ("first", "second", "one"),
    [
        ([50.0, 30.0, 0.0], [80.0, 60.0, 5.0], True),
        ([50.0, 30.0, 2.0], [50.0, 30.0, -2.0], True),  # on both sides of red
        ([50.0, -30.0, 2.0], [50.0, -30.0, -2.0], True),  # on both sides of where angles begin again
        ([50.0, 30.0, 0.0], [50.0, 0.0, 30.0], False),
        ([50.0, 3.0, 0.0], [90.0, 0.0, 3.0], True),  # two grays
        ([50.0, 3.0, 0.0], [50.0, 30.0, 0.0], False),  # a gray and a red
    ],
)
def test_tones_of_one_hue(first: list[float], second: list[float], one: bool) -> None:
    assert bool(color.one_hue(torch.tensor(first), torch.tensor(second), 0.5)) == one
