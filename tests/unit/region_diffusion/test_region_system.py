"""The system that chooses: given colors and no others, hints obeyed, memory where nothing is given, any drawing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import tiny
from torch import Tensor

from colorize.api import paint
from colorize.errors import ColorizeError
from colorize.hints import Hints
from colorize.images import palettes
from colorize.images.color import lab_of
from colorize.region_diffusion.choosing import HintCells
from colorize.region_diffusion.network import RegionNet
from colorize.region_diffusion.system import RegionColorizer

RECIPE = tiny("mini")
ONE = replace(RECIPE.sampling, steps=1)


def system(seed: int = 0) -> RegionColorizer:
    """A tiny system with random weights, so that nothing is learnt; what holds for it holds by construction."""
    torch.manual_seed(seed)
    model = RECIPE.build()
    assert isinstance(model, RegionColorizer)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return model.eval()


def drawing(height: int = 64, width: int = 64) -> Tensor:
    """Two closed boxes side by side."""
    line = torch.ones(1, 1, height, width)
    for left, right in ((6, 30), (34, 58)):
        line[..., 8:56, [left, right]] = -1
        line[..., [8, 55], left : right + 1] = -1
    return line


def reference(*colors: tuple[float, float, float]) -> Tensor:
    picture = torch.ones(1, 3, 64, 64)
    for at, color in enumerate(colors):
        picture[:, :, 10:54, 8 + 16 * at : 22 + 16 * at] = torch.tensor(color)[:, None, None]
    return picture


def dots(*marks: tuple[int, int, tuple[float, float, float]]) -> Tensor:
    layer = torch.zeros(1, 4, 64, 64)
    layer[:, 3] = -1
    for y, x, color in marks:
        layer[0, :3, y : y + 4, x : x + 4] = torch.tensor(color)[:, None, None]
        layer[0, 3, y : y + 4, x : x + 4] = 1
    return layer


RED, BLUE = (0.8, -0.8, -0.7), (-0.8, -0.6, 0.8)


def chosen(model: RegionColorizer, seed: int = 0, **given: Tensor) -> Tensor:
    """The flat colors (N, 3) of all cells."""
    with torch.inference_mode():
        *_, last = model.walk(Hints(**given), ONE, [seed])
    return last.x[0, 3:].flatten(1).T


def test_only_given_colors_are_used() -> None:
    found = chosen(system(), line=drawing(), reference=reference(RED, BLUE))
    given = torch.tensor((RED, BLUE, (1.0, 1.0, 1.0)))
    assert torch.cdist(found, given).amin(1).max() < 2e-3


def test_a_palette_keeps_paper_at_hand() -> None:
    palette = palettes.swatches(torch.tensor((RED, BLUE)))
    found = chosen(system(), line=drawing(), reference=palette)
    given = torch.tensor((RED, BLUE, (1.0, 1.0, 1.0)))
    assert torch.cdist(found, given).amin(1).max() < 0.02


@pytest.mark.parametrize("seed", [0, 5])
def test_a_hint_fills_its_closed_region_whatever_the_network_thinks(seed: int) -> None:
    hints = dots((30, 15, RED), (30, 45, BLUE))
    model = system()
    flat = chosen(model, seed, line=drawing(), reference=reference(BLUE), hints=hints).T
    field = flat.reshape(3, 32, 32)
    for x, color in ((9, RED), (23, BLUE)):
        inside = lab_of(field[:, 6:26, x - 4 : x + 4].flatten(1).T)
        assert (inside - lab_of(torch.tensor(color))).norm(dim=1).max() < 1


def test_two_hints_in_one_region_divide_it() -> None:
    flat = chosen(system(), line=drawing(), hints=dots((14, 15, RED), (46, 15, BLUE))).T
    field = flat.reshape(3, 32, 32)
    assert field[0, 8, 9] > 0 > field[0, 24, 9]


def test_a_dot_across_a_line_is_meant_for_one_side_and_a_long_stroke_for_both() -> None:
    cells = torch.tensor([0] * 10 + [1] * 10)
    paper = torch.ones(20)
    paper[10] = 0.02  # a cell of ink that counts as of the second region
    colors = torch.tensor([RED])
    at = torch.tensor([8, 9, 10, 11])
    dot = HintCells(at, torch.zeros(4, dtype=torch.long), torch.ones(4, dtype=torch.long), colors)
    assert dot.meant(cells, paper).tolist() == [True, True, False, False]
    many = torch.arange(20)
    stroke = HintCells(many, torch.zeros(20, dtype=torch.long), torch.ones(20, dtype=torch.long), colors)
    assert stroke.meant(cells, paper).all()


def test_seed_0_is_the_likeliest_picture_and_repeats() -> None:
    model, given = system(), {"line": drawing(), "reference": reference(RED, BLUE, (0.0, 0.5, 0.0))}
    assert torch.equal(chosen(model, **given), chosen(model, **given))
    assert torch.equal(chosen(model, 7, **given), chosen(model, 7, **given))
    others = [chosen(model, seed, **given) for seed in range(1, 9)]
    assert any(not torch.equal(one, others[0]) for one in others)


def test_without_colors_a_remembered_picture_gives_them() -> None:
    model = system()
    offers = [model.offer(reference(color, (0.2, 0.6, -0.3))) for color in (RED, BLUE)]
    with torch.no_grad():
        model.memory.keep([choices for choices, _ in offers], [share for _, share in offers])
    found = [chosen(model, seed, line=drawing()) for seed in (0, 1)]
    given = torch.tensor((RED, BLUE, (0.2, 0.6, -0.3), (1.0, 1.0, 1.0)))
    for colors in found:
        assert torch.cdist(colors, given).amin(1).max() < 0.02  # bytes
    scores = torch.tensor((0.0, 1.0)).view(1, 2, 1, 1)
    told = chosen(model, line=drawing(), recalled=scores)
    assert torch.cdist(told, torch.tensor([RED])).amin() > 0.5  # the second picture has no red


def test_gray_pictures_keep_their_lightness() -> None:
    gray = torch.linspace(-0.8, 0.8, 64).expand(1, 1, 64, 64).contiguous()
    with torch.inference_mode():
        color = system().sample(Hints(gray=gray, reference=reference(RED, BLUE)), ONE, [0])
    light = lab_of(color[0].flatten(1).T)[:, 0].view(32, 32)
    truth = lab_of(gray[0].expand(3, -1, -1)[:, ::2, ::2].flatten(1).T)[:, 0].view(32, 32)
    assert (light - truth).abs().median() < 2


@pytest.mark.parametrize("size", [(64, 64), (33, 65), (130, 34), (48, 200)])
@pytest.mark.parametrize("kind", ["line", "gray"])
def test_any_size_gives_a_field_of_half_of_it(size: tuple[int, int], kind: str) -> None:
    picture = torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        color = system().sample(Hints(**{kind: picture}, reference=reference(RED)), ONE, [0])
    assert color.shape == (1, 3, -(-size[0] // 2), -(-size[1] // 2))
    assert color.isfinite().all()


@pytest.mark.parametrize("value", [-1.0, 1.0])
@pytest.mark.parametrize("count", [1, 32])
def test_blank_sheets_and_short_or_long_palettes_are_no_trouble(value: float, count: int) -> None:
    colors = torch.rand(count, 3, generator=torch.Generator().manual_seed(1)) * 2 - 1
    given = {"reference": palettes.swatches(colors), "line": torch.full((1, 1, 64, 64), value)}
    assert chosen(system(), **given).isfinite().all()


def test_a_kept_drawing_changes_nothing() -> None:
    model, line = system(), drawing()
    chosen(model, line=line, reference=reference(RED, BLUE))
    again = chosen(model, line=line, reference=reference(BLUE))
    assert torch.equal(again, chosen(system(), line=line, reference=reference(BLUE)))


def test_drawings_and_references_that_take_turns_are_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model, calls, real = system(), [], RegionNet.encode
    monkeypatch.setattr(RegionNet, "encode", lambda *given: calls.append(1) or real(*given))
    lines = [drawing(), drawing().roll(5, 2)]
    for _ in range(3):
        for line, colors in zip(lines, ((RED, BLUE), (BLUE,)), strict=True):
            chosen(model, line=line, reference=reference(*colors))
    assert len(calls) == 4


def test_it_leaves_the_processor_only_while_it_is_trained() -> None:
    model = system()
    assert model.to("meta") is model
    assert model.to(torch.device("meta"), memory_format=torch.channels_last).device.type == "cpu"
    assert model.to(torch.float64).network.near.dtype == torch.float64
    assert model.train().device.type == "meta"


def test_what_is_kept_goes_when_weights_may_have_changed() -> None:
    model, line = system(), drawing()
    chosen(model, line=line, reference=reference(RED, BLUE))
    model.train()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.3)
    model.eval()
    assert not model._drawings
    assert not model._references


def test_guidance_and_strength_other_than_1_are_refused() -> None:
    hints = Hints(line=drawing(), reference=reference(RED))
    for weights in ({"guidance": {"reference": 2.0}}, {"strength": {"reference": 0.5}}):
        with pytest.raises(ColorizeError, match="chooses among the colors that are given"):
            list(system().walk(hints, ONE, [0], **weights))


def test_bfloat16_changes_nothing() -> None:
    # Colors in bfloat16 were too coarse for k-means, and choices near a tie differed between machines.
    examples = Path(__file__).parents[3] / "examples"
    fine, coarse = (
        paint(examples / "sketch.png", reference=examples / "reference-1.png", precision=precision)
        for precision in ("fp32", "bf16")
    )
    assert np.array_equal(fine.array, coarse.array)
