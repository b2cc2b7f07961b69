"""Edits in words. Bugs guarded: "False" that counts as true, lost order, words asked twice, misread grammar."""

import subprocess
import sys
from contextlib import suppress

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from colorize.colorize_diffusion.text_edits import Prompt, made, parse
from colorize.colorize_diffusion.token_edits import Edit, encode
from colorize.errors import ColorizeError

LINE = (
    "[target] the girl's blonde hair; [anchor] the girl's brown hair; [control] the girl's brown hair;"
    " [scale] 8.0; [enhanced] False; [ts0] 0.5; [ts1] 0.55; [ts2] 0.65; [ts3] 0.95"
)
HAIR = "hair"
SHORT = {
    "hair: blonde": Prompt("blonde hair", HAIR, HAIR),
    " Hair :  ash   blonde ": Prompt("ash blonde Hair", "Hair", "Hair"),
    "the girl's hair: blonde": Prompt("the girl's blonde hair", "the girl's hair", "the girl's hair"),
    "the school uniform: red": Prompt("the red school uniform", *["the school uniform"] * 2),
    "school uniform: red": Prompt("red school uniform", *["school uniform"] * 2),
    "hair: a blonde wig of hair": Prompt("a blonde wig of hair", HAIR, HAIR),
    "hair: redhair": Prompt("redhair hair", HAIR, HAIR),
    "brown hair -> blonde hair": Prompt("blonde hair", "brown hair", "brown hair"),
    "hair: brown -> hair: blonde": Prompt("hair: blonde", "hair: brown", "hair: brown"),
    "hair: blonde @ 12": Prompt("blonde hair", HAIR, HAIR, 12),
    "brown hair->blonde hair@0.5": Prompt("blonde hair", "brown hair", "brown hair", 0.5),
    "Everything: night": Prompt("night", control="Everything"),
    "everything -> night @ 3": Prompt("night", control="everything", scale=3),
}


@pytest.mark.parametrize("text", SHORT)
def test_short_forms_mean_what_the_guide_says(text):
    assert parse(text) == SHORT[text]


def test_the_full_form_has_every_key_in_any_order():
    text = "Scale = 4; thresholds=0.1, .2,0.3,1;enhance=YES; control=c = d; anchor=b; target=a;"
    assert parse(text) == Prompt("a", "b", "c = d", 4.0, True, (0.1, 0.2, 0.3, 1.0))
    assert parse("target=a") == Prompt("a")


def test_a_line_of_the_published_program_is_read():
    hair = "the girl's brown hair"
    assert parse(LINE) == Prompt("the girl's blonde hair", hair, hair)
    assert parse(LINE.replace("False", "True")).enhance
    assert parse("[target] a; [anchor] none; [ts3] 0.9") == Prompt("a", thresholds=(0.5, 0.55, 0.65, 0.9))


WHERE = {
    ("t", "", ""): "",
    ("t", "a", ""): "a",
    ("t", "a", "c"): "c",
    ("t", "a", "everything"): "",
    ("t", "None", "none"): "",
}


@pytest.mark.parametrize("texts", WHERE)
def test_an_edit_is_at_its_control_or_else_its_anchor_or_else_everywhere(texts):
    assert Prompt(*texts).where == WHERE[texts]


@settings(max_examples=50)
@given(st.text())
def test_any_text_is_an_edit_or_refused(text):
    for each in (text, f"[target]{text}", f"target={text}", f"{text}:{text}"):
        with suppress(ColorizeError):
            parse(each)


WRONG = {
    "blonde hair": "`blonde hair`: it does not say what to change into what",
    "": "what to change into what",
    "hair:": "what to change into what",
    "-> blonde": "what to change into what",
    "hair: blonde @ strong": "the scale is `strong` .*give a number",
    "hair: blonde @ 15.5": r"the scale is 15\.5 \(choose 0 to 15",
    "hair: blonde @ nan": "the scale is nan",
    "traget=a": "unknown key `traget` .*did you mean `target`",
    "[traget] a": "unknown key `traget` .*did you mean `target`",
    "[target] a; [enhance] yes": "unknown key `enhance` .*did you mean `enhanced`",
    "target=a; target=b": "`target` is given twice",
    "target=a; b": "`b` has no key .*cannot contain `;`",
    "anchor=a": "it has no target",
    "[target] none; [anchor] a": "it has no target",
    "target=a; enhance=maybe": "enhance is `maybe` .*yes or no",
    "target=a; scale=": "the scale is `` ",
    "target=a; thresholds=0.5,0.6": "four rising numbers",
    "target=a; thresholds=0.1,x,1,1": "a threshold is `x`",
    "target=a; thresholds=0.1,0.2,0.3,1.5": r"a threshold is 1\.5 \(choose 0 to 1",
    "target=a; thresholds=0.6,0.5,0.7,1": r"thresholds 0\.6, 0\.5, 0\.7, 1 must rise",
    "target=a\udcff": r"the target is `a\?`",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_mistake_is_named(text):
    with pytest.raises(ColorizeError, match=WRONG[text]) as told:
        parse(text)
    assert told.value.code == 2


def test_prompts_made_in_python_are_checked_as_well():
    for wrong in ({"target": "a; b"}, {"target": " "}, {"target": "a", "thresholds": (0, 1)}):
        with pytest.raises(ColorizeError):
            Prompt(**wrong)
    with pytest.raises(ColorizeError, match="the scale is inf"):
        made("it", {"target": "a", "scale": 10**400})


def test_parsing_does_not_wait_for_torch():
    code = "import sys, colorize.colorize_diffusion.text_edits; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_each_text_is_asked_for_once_and_the_order_stays():
    asked = []

    def say(texts):
        asked.append(texts)
        return torch.eye(5)[: len(texts), None]

    one, two = parse("brown hair -> blonde hair @ 3"), parse("target=red hat; control=brown hair")
    three = parse("target=blonde hair; control=everything; enhance=on; thresholds=0,0,1,1")
    edits = encode([one, two, three], say)
    assert asked == [["blonde hair", "brown hair", "red hat"]]
    blonde, brown, red = torch.eye(5)[:3]
    want = [Edit(blonde, brown, brown, 3.0), Edit(red, brown), Edit(blonde, enhance=True, thresholds=(0, 0, 1, 1))]
    assert [told(edit) for edit in edits] == [told(edit) for edit in want]


def told(edit):
    return [value.tolist() if torch.is_tensor(value) else value for value in vars(edit).values()]


def test_nothing_is_asked_for_no_edits():
    assert encode([], lambda texts: pytest.fail("asked")) == []
