"""Each wrong pixel has the cause that made it wrong."""

from __future__ import annotations

import pytest
import torch

from colorize.evaluation import budget
from colorize.evaluation.budget import CAUSES, causes, table
from colorize.evaluation.samples import Sample

SIDE = 128
RED, DARK_RED = torch.tensor([0.8, -0.7, -0.7]), torch.tensor([0.0, -0.95, -0.95])
BLUE, GREEN = torch.tensor([-0.7, -0.6, 0.8]), torch.tensor([-0.7, 0.4, -0.7])
LEFT, RIGHT = slice(12, 60), slice(68, 116)


def halves(left: torch.Tensor, right: torch.Tensor, ink: bool = False) -> torch.Tensor:
    """Two squares of color on white, (1, 3, SIDE, SIDE), or with `ink` the drawing of them, (1, 1, SIDE, SIDE)."""
    picture = torch.ones(1, 1 if ink else 3, SIDE, SIDE)
    for columns, color in ((LEFT, left), (RIGHT, right)):
        picture[..., 10:118, columns.start - 2 : columns.stop + 2] = -1
        picture[:, :, 12:116, columns] = torch.ones(1, 1, 1, 1) if ink else color.view(1, 3, 1, 1)
    return picture


def sample(truth: torch.Tensor, *given: torch.Tensor, **more) -> Sample:
    colors = torch.stack([*given, torch.ones(3)])
    reference = colors.T.reshape(1, 3, 1, -1).repeat_interleave(SIDE, 2).repeat_interleave(32, 3)
    return Sample("a", "s", "line", truth, halves(RED, RED, ink=True), reference, **{"mode": "palette", **more})


def share(result: torch.Tensor, of: Sample) -> dict[str, float]:
    counts = causes(result, of)["all"]
    return {name: float(part) for name, part in zip(CAUSES, counts / counts.sum(), strict=True) if part > 0.01}


@pytest.mark.parametrize(
    ("painted", "cause"),
    [(RED, "right"), (BLUE, "part"), (DARK_RED, "tone"), (torch.tensor([0.45, -0.75, -0.75]), "shade")],
)
def test_the_wrong_half_has_its_cause(painted: torch.Tensor, cause: str) -> None:
    found = share(halves(painted, BLUE), sample(halves(RED, BLUE), RED, BLUE, DARK_RED))
    assert found == {"right": 1.0} if cause == "right" else found.keys() == {"right", cause}
    assert found[cause] == pytest.approx(1.0 if cause == "right" else 0.5, abs=0.01)


def test_what_no_gift_has_is_absent() -> None:
    found = share(halves(BLUE, BLUE), sample(halves(GREEN, BLUE), BLUE, RED))
    assert found == pytest.approx({"right": 0.5, "absent": 0.5}, abs=0.01)


def test_a_region_of_two_colors_is_a_matter_of_cutting() -> None:
    truth = halves(RED, BLUE)
    truth[0, :, 12:40, LEFT] = GREEN.view(3, 1, 1)
    found = share(halves(RED, BLUE), sample(truth, RED, BLUE, GREEN))
    assert found == pytest.approx({"right": 1 - 28 / 208, "cutting": 28 / 208}, abs=0.02)


def test_classes_of_lines_poses_and_sizes() -> None:
    truth, small = halves(RED, BLUE), torch.ones(1, 3, SIDE, SIDE)
    small[..., 50:80, 50:80] = RED.view(1, 3, 1, 1)
    same = sample(truth, RED, BLUE, mode="cross", drawn=True)
    for reference, pose in ((truth, "same pose"), (small, "other scale"), (truth.roll(40, 3), "other pose")):
        one = Sample("a", "s", "line", truth, same.drawing, reference, None, "cross", True)
        assert {"drawn lines", pose, "set s"} <= causes(truth, one).keys()
    found = causes(truth, same)
    sizes = [name for _, name in budget.SIZES]
    assert sum(float(found[name].sum()) for name in sizes) == float(found["all"].sum())
    assert float(found["regions above 2 %"].sum()) > 0.9 * float(found["all"].sum())


def test_every_picture_counts_the_same_and_the_interval_holds_the_mean() -> None:
    counts = [torch.tensor([10.0, 0, 0, 0, 0, 0]), torch.tensor([0.0, 0, 0, 0, 0, 1000])]
    (line,) = table({"all": one.double()} for one in counts)
    assert (line.name, line.pictures, line.part) == ("all", 2, 1.0)
    assert line.shares["right"].mean == line.shares["part"].mean == 0.5
    assert line.shares["right"].low == 0
    assert line.shares["right"].high == 1


def test_pictures_without_color_do_not_count() -> None:
    none = torch.zeros(6).double()
    assert table([{"all": none}]) == []
