"""Claims about colorize.images.augment."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from colorize.images import augment
from colorize.images.augment import compress


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(batch: int = 2, height: int = 16, width: int = 16) -> torch.Tensor:
    return torch.rand(batch, 3, height, width, generator=rng()) * 2 - 1


def test_strength_zero_returns_the_picture():
    assert torch.equal(augment.warp(noise(), 0, rng()), noise())


def test_no_displacement_samples_every_pixel_at_its_place():
    shift = torch.zeros(2, 2, 33, 33)  # guards against half a pixel of shift
    sampled = augment._sample(noise(2, 17, 30), shift, None)
    torch.testing.assert_close(sampled, noise(2, 17, 30), atol=1e-4, rtol=0)


def test_a_displacement_of_one_pixel_moves_by_one_pixel():
    shift = torch.zeros(2, 2, 33, 33)
    shift[:, 0] = 1 / 16  # x, as a fraction of the side
    moved = augment._sample(noise(), shift, None)
    torch.testing.assert_close(moved[..., :-1], noise()[..., 1:], atol=1e-4, rtol=0)


def test_the_spline_meets_its_control_points():
    start, target = torch.tensor([[[0.45, 0.55]]]), torch.tensor([[[0.5, 0.5]]])
    shift = augment._spline(start.double(), target.double(), smoothing=0)
    expected = torch.tensor((-0.05, 0.05), dtype=torch.float64)
    torch.testing.assert_close(shift[0, :, 16, 16], expected, atol=1e-6, rtol=0)


def test_the_corners_stay():
    shift = augment.displacement(0.05, 4, rng())
    assert shift[..., ::32, ::32].abs().max() < 0.01  # smoothing misses by this much


def test_no_warp_folds():
    shift = augment.displacement(0.3, 32, rng()).double()
    dx, dy = shift.diff(dim=3)[:, :, :-1] * 32, shift.diff(dim=2)[..., :-1] * 32
    jacobian = (1 + dx[:, 0]) * (1 + dy[:, 1]) - dx[:, 1] * dy[:, 0]
    assert jacobian.min() > 0.09  # SMALLEST, less rounding


def test_weak_warps_are_not_weakened():
    start = torch.rand(8, 10, 2, generator=rng(), dtype=torch.float64)
    shift = augment._spline(start, start + 0.001, smoothing=1e-3)
    assert (augment._fold_free(shift) == 1).all()


@pytest.mark.parametrize("make", [lambda p, r: augment.warp(p, 0.2, r), augment.reference])
def test_white_pictures_get_no_dark_border(make):
    assert make(torch.ones(8, 3, 16, 16), rng()).min() > 0.999


def statistics(shift):
    """Mean and largest move, that along an axis and its 95th percentile; black; rows that fold on 1 % of the places."""
    axis, far = shift.abs().flatten(1).amax(1), shift.square().sum(1).sqrt().flatten(1)
    black = (augment._sample(torch.ones(len(shift), 1, 128, 128), shift, None, "zeros") < 0.5).float().mean()
    dx, dy = shift.diff(dim=3)[:, :, :-1] * 32, shift.diff(dim=2)[..., :-1] * 32
    folds = (1 + dx[:, 0]) * (1 + dy[:, 1]) - dx[:, 1] * dy[:, 0] < 0
    folded = (folds.float().flatten(1).mean(1) > 0.01).float().mean()
    return [one.item() for one in (far.mean(), far.amax(1).median(), axis.median(), axis.quantile(0.95), black, folded)]


def test_scattered_bends_have_the_published_statistics():
    mean, largest, _, _, black, folded = statistics(augment.scattered(0.05, 400, rng()))
    assert (mean, largest) == pytest.approx((0.055, 0.137), rel=0.1)
    assert black == pytest.approx(0.051, abs=0.01)
    assert folded == pytest.approx(0.18, abs=0.08)


def test_diagonal_bends_have_the_published_statistics():
    _, _, median, high, black, folded = statistics(augment.diagonal(1000, rng()))
    assert (median, high) == pytest.approx((0.20, 0.34), rel=0.1)
    assert (black, folded) == pytest.approx((0.047, 0.37), rel=0.2)


@pytest.mark.parametrize("kind", ["scattered", "diagonal"])
def test_published_bends_show_black_beside_a_picture(kind):
    bent = augment.warp(torch.ones(8, 3, 64, 64), 0.2, rng(), kind)
    assert bent.amin() == -1
    assert bent.amax() == 1


def test_every_row_is_bent_in_its_own_way():
    same = noise(1).repeat(2, 1, 1, 1)
    first, second = augment.warp(same, 0.1, rng())
    assert (first - second).abs().max() > 0.1


def test_equal_generators_make_equal_references():
    assert torch.equal(augment.reference(noise(), rng(1)), augment.reference(noise(), rng(1)))


def test_references_of_wide_pictures_keep_circles_round():
    """Turning in normalized coordinates would shear pictures that are not square."""
    y, x = torch.meshgrid(torch.arange(40) - 19.5, torch.arange(80) - 39.5, indexing="ij")
    disc = torch.where(torch.hypot(x, y) < 10, 1.0, -1.0).expand(1, 1, 40, 80)
    turn = torch.tensor([[[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]]])
    turned = augment._sample(disc, torch.zeros(1, 2, 33, 33), turn)
    assert (turned - disc)[..., 20:60].abs().mean() < 0.01  # beyond lie mirrored discs


def test_shuffled_pictures_keep_all_their_pixels():
    shuffled = augment.shuffle(noise(), 4, rng())
    assert torch.equal(shuffled.flatten(2).sort(2).values, noise().flatten(2).sort(2).values)


def test_shuffled_patches_stay_whole():
    blocks = torch.arange(16.0).view(1, 1, 4, 4).repeat_interleave(4, 2).repeat_interleave(4, 3)
    shuffled = augment.shuffle(blocks, 4, rng()).view(1, 1, 4, 4, 4, 4)
    assert torch.equal(shuffled, shuffled[:, :, :, :1, :, :1].expand_as(shuffled))


def test_shuffled_patches_change_place():
    assert not torch.equal(augment.shuffle(noise(), 4, rng()), noise())


def test_sides_that_do_not_divide_keep_their_size():
    assert augment.shuffle(noise(1, 15, 13), 4, rng()).shape == (1, 3, 15, 13)


def test_turning_leaves_the_other_rows_alone():
    chosen = torch.tensor([True, False])
    turned = augment.turn(noise(), chosen, rng())
    assert torch.equal(turned[1], noise()[1])
    assert not torch.allclose(turned[0], noise()[0], atol=0.05)


def test_turning_keeps_the_middle_and_invents_no_color():
    spot = -torch.ones(8, 1, 33, 33)
    spot[..., 14:19, 14:19] = 1
    turned = augment.turn(spot, torch.ones(8, dtype=torch.bool), rng())
    assert (turned[..., 16, 16] > 0.9).all()
    assert turned.min() >= -1
    assert turned.max() <= 1
    assert (turned.sum((1, 2, 3)) - spot.sum((1, 2, 3))).abs().max() > 4  # some are zoomed


def drawing(height: int = 48, width: int = 64) -> torch.Tensor:
    """Oblique dark lines on paper, (1, 1, H, W)."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.where((x + 2 * y) % 17 < 3, -0.9, 0.95)[None, None]


@pytest.mark.parametrize("quality", [15, 50, 90])
def test_it_agrees_with_an_encoder(quality: int) -> None:
    line = drawing()
    stored = io.BytesIO()
    levels = ((line[0, 0] + 1) * 127.5).round().byte().numpy()
    Image.fromarray(levels).save(stored, "JPEG", quality=quality)
    stored.seek(0)
    expected = torch.from_numpy(np.asarray(Image.open(stored)).astype(np.float32)) / 127.5 - 1
    stored_and_read = compress(line, torch.tensor([float(quality)]))[0, 0]
    # Levels are rounded before and after, so a wave near a step may fall to its other side.
    assert (stored_and_read - expected).abs().mean() < 0.01
    assert (stored_and_read - expected).abs().quantile(0.99) < 0.06


def test_lower_quality_wears_more() -> None:
    line = drawing().repeat(2, 1, 1, 1)
    low, high = (compress(line, torch.tensor([10.0, 95.0])) - line).abs().mean((1, 2, 3))
    assert low > 3 * high


@pytest.mark.parametrize("size", [(8, 8), (9, 15), (33, 40)])
def test_any_size_keeps_its_size(size: tuple[int, int]) -> None:
    assert compress(drawing(*size), torch.tensor([40.0])).shape == (1, 1, *size)


def test_paper_stays_paper() -> None:
    paper = torch.ones(1, 1, 16, 16)
    torch.testing.assert_close(compress(paper, torch.tensor([30.0])), paper, atol=0.02, rtol=0)
