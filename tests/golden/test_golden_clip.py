"""Published numbers of CLIP's two towers at tiny size, with weights made by a hash."""

import importlib.util
import sys
from functools import cache

import pytest
import torch
from golden import agree, fill, hashed
from torch import Tensor

from colorize.colorize_diffusion.clip import CLIP, CLIPSpec, TowerSpec, tokenized
from colorize.errors import ColorizeError

TEXT = "the girl's blonde hair"
WORDS = torch.tensor([[49406, 518, 1611, 568, 10711, 2225, 49407, *[0] * 70]])


@cache
def clip() -> CLIP:
    made = CLIPSpec(24, TowerSpec(32, 2, 16), text=TowerSpec(32, 3, 16)).build()
    state = made.state_dict()
    seen = {n.removeprefix("visual."): v for n, v in state.items() if n.startswith("visual.")}
    said = {n: v for n, v in state.items() if not n.startswith("visual.") and n != "logit_scale"}
    assert (len(seen), len(said)) == (32, 41)
    hashed(seen)
    hashed(said)
    return made.eval().requires_grad_(False)


def test_the_picture_tower_gives_the_published_tokens():
    row = (-0.176871, 1.182076, -0.15617, -1.59909, 0.13440, -0.43935, -0.88395)
    agree(clip().visual(fill(3200, (1, 3, 80, 60), 1)), (1, 257, 24), *row)


SAID = {
    1: (-0.049138, 0.198121, 0.03235, -0.05030, 0.14259, -0.01565, 0.07484),
    0: (-0.048096, 0.198377, 0.08349, -0.01403, 0.11114, 0.06253, 0.06179),
}


@pytest.mark.parametrize("skip", SAID)
def test_the_word_tower_gives_the_published_vector(skip):
    said = clip().say(WORDS, skip=skip)
    agree(said, (1, 1, 24), *SAID[skip])
    assert said.norm().item() == pytest.approx(1)


def test_texts_do_not_see_each_other():
    other = WORDS.clone()
    other[0, 1] = 700
    both = clip().say(torch.cat([WORDS, other]))
    torch.testing.assert_close(both[:1], clip().say(WORDS), atol=1e-5, rtol=1e-4)
    assert (both[0] - both[1]).abs().max() > 1e-3


def test_the_published_size_has_the_published_numbers():
    with torch.device("meta"):
        made = CLIPSpec().build()
    assert made.visual.proj.shape == (1280, 1024)
    assert made.visual.positional_embedding.shape == (257, 1280)
    # OpenCLIP's ViT-H-14: 986.11 million in all
    assert sum(value.numel() for value in made.parameters()) == 986_109_441


@pytest.mark.skipif(importlib.util.find_spec("open_clip") is None, reason="the extra `latent` is not installed")
@pytest.mark.filterwarnings("ignore")
def test_words_are_those_of_open_clip() -> None:
    words: Tensor = tokenized([TEXT])
    assert torch.equal(words, WORDS)


@pytest.mark.skipif(importlib.util.find_spec("open_clip") is None, reason="the extra `latent` is not installed")
@pytest.mark.filterwarnings("ignore")
def test_a_text_is_read_to_its_end_or_refused() -> None:
    longest = tokenized(["red " * 75])[0]
    assert (longest[0], longest[-1]) == (49406, 49407)
    with pytest.raises(ColorizeError, match="longer than the 75 word pieces"):
        tokenized([TEXT, "red " * 76])


def test_without_the_extra_a_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(ColorizeError, match="needs the package open_clip") as told:
        tokenized([TEXT])
    assert "pip install open_clip_torch" in told.value.hint
