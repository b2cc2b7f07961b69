"""Published numbers of the edits of tokens by text, and claims about them."""

import pytest
import torch
from golden import agree, fill
from torch.nn.functional import normalize

from colorize.colorize_diffusion.text_edits import Prompt, parse
from colorize.colorize_diffusion.token_edits import Edit, edited, encode, likeness, push, regions
from colorize.errors import ColorizeError

TOKENS = fill(3100, (1, 17, 24), 3)
TEXTS = [normalize(fill(3000 + n, (24,), 1), dim=0) for n in range(5)]


def two(first: bool, second: bool) -> list[Edit]:
    return [
        Edit(TEXTS[0], TEXTS[2], TEXTS[1], 8.0, first, (0.5, 0.55, 0.65, 0.95)),
        Edit(TEXTS[3], TEXTS[4], None, 5.0, second, (0.3, 0.4, 0.6, 0.8)),
    ]


LOCAL = {
    (False, False): (0.228996, 3.704281, 0.51518, -1.03637, -1.36210, 0.77804, 0.22664),
    (True, False): (0.324951, 4.270883, 0.51518, -0.86838, -1.63884, 1.44372, 0.44090),
    (True, True): (0.324951, 4.270883, 0.51518, -0.86838, -1.63884, 1.44372, 0.44090),
}


@pytest.mark.parametrize("enhance", LOCAL)
def test_local_edits_give_the_published_numbers(enhance):
    agree(edited(TOKENS, two(*enhance)), (1, 17, 24), *LOCAL[enhance])


def test_the_push_of_the_published_example():
    like = torch.linspace(0, 1, 11, dtype=torch.float64)[None]
    like[0, 5] = 0.5  # meets its threshold exactly
    want = [-8, -8, -8, -8, -8, -8, 1, 2.33333, 3, 3.66667, 4]
    assert push(like, torch.full((1, 1), 4.0))[0].tolist() == pytest.approx(want, abs=1e-5)


def test_words_give_the_numbers_of_the_published_example():
    # the reference says (4, 0), so that 8 is 4 more; its places differ in what the control says
    like = torch.tensor([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1])
    places = torch.stack([torch.zeros(11), like], dim=1)
    tokens = torch.cat([torch.tensor([[4.0, 0.0]]), places])[None]
    say = lambda texts: torch.eye(2)[["there to be", "it"].index(texts[0]) :, None]
    moved = edited(tokens, encode([Prompt("there to be", control="it")], say)) - tokens
    want = [-8, -8, -8, -8, -8, -8, 1, 2.33333, 3, 3.66667, 4]
    assert moved[0, 1:, 0].tolist() == pytest.approx(want, abs=1e-4)
    assert not moved[0, :, 1].any()


SAID = ("a target", "its anchor", "its control", "another target", "another control")


@pytest.mark.parametrize("enhance", LOCAL)
def test_words_in_a_row_give_the_published_numbers(enhance):
    first, second = ("yes" if one else "no" for one in enhance)
    lines = [
        f"target=a target; anchor=its anchor; control=its control; enhance={first}",
        f"[target] another target; [anchor] none; [control] another control; [scale] 5.0;"
        f" [enhanced] {second}; [ts0] 0.3; [ts1] 0.4; [ts2] 0.6; [ts3] 0.8",
    ]
    say = lambda texts: torch.stack([TEXTS[SAID.index(text)] for text in texts])[:, None]
    edits = encode([parse(line) for line in lines], say)
    agree(edited(TOKENS, edits), (1, 17, 24), *LOCAL[enhance])


def test_words_for_everything_push_all_places_alike():
    edits = encode([parse("everything: a target")], lambda texts: TEXTS[0][None, None])
    moved = edited(TOKENS, edits) - TOKENS
    strength = 8 - TOKENS[0, 0] @ TEXTS[0]
    torch.testing.assert_close(moved[0, 1:], (strength * TEXTS[0]).expand(16, -1))


def test_the_push_jumps_at_the_first_threshold_only():
    around = [torch.tensor([[edge - 1e-4, edge + 1e-4]]) for edge in (0.5, 0.55, 0.65, 0.95)]
    jumps = [push(like, torch.ones(1, 1)).diff().item() for like in around]
    assert jumps == pytest.approx([1, 0, 0, 0], abs=5e-3)


def test_equal_thresholds_leave_no_gap():
    pushed = push(torch.tensor([[0.2, 0.5, 0.8]]), torch.ones(1, 1), (0.5,) * 4)
    assert pushed[0].tolist() == [-2, -2, 1]


def test_tokens_that_are_all_alike_are_all_least_related():
    assert likeness(torch.ones(1, 4, 3), torch.ones(3)).tolist() == [[1, 1, 1, 1]]


def test_an_edit_everywhere_pushes_all_alike():
    moved = edited(TOKENS, [Edit(TEXTS[0])]) - TOKENS
    strength = 8 - TOKENS[0, 0] @ TEXTS[0]
    torch.testing.assert_close(moved[0, 1:], (strength * TEXTS[0]).expand(16, -1))


def test_edits_of_scale_0_change_nothing():
    assert torch.equal(edited(TOKENS, [Edit(TEXTS[0], TEXTS[1], scale=0)]), TOKENS)


def test_thresholds_that_do_not_rise_are_refused():
    with pytest.raises(ColorizeError, match=r"0\.6, 0\.55, 0\.65, 0\.95 must rise"):
        Edit(TEXTS[0], thresholds=(0.6, 0.55, 0.65, 0.95))


def test_regions_are_counted_by_the_thresholds_passed():
    # a ramp over the 4 x 4 places, control on its only channel
    ramp = torch.linspace(0, 1, 16)[None, :, None]
    tokens = torch.cat([torch.zeros(1, 1, 1), ramp], dim=1)
    told = regions(tokens, torch.ones(1), (4, 4), (0.25, 0.45, 0.65, 0.85))
    assert told.flatten().tolist() == [0] * 4 + [1] * 3 + [2] * 3 + [3] * 3 + [4] * 3


def test_regions_have_the_size_asked_for():
    assert regions(TOKENS, TEXTS[0], (30, 20)).shape == (1, 30, 20)
