"""Files of edits in words. Bugs guarded: tracebacks for odd files, messages without file and number."""

import json
import re
from pathlib import Path

import pytest

from colorize.cli import records
from colorize.coloring.options import SampleOptions
from colorize.colorize_diffusion.text_edits import Prompt, parse, read
from colorize.errors import ColorizeError

EDITS = (
    Prompt("blonde hair", "brown hair", "hair", 12, True, (0, 0.25, 0.5, 1)),
    Prompt("night", control="everything"),
)
TOML = """
[[edit]]  # the first
target = "blonde hair"
anchor = "brown hair"
control = "hair"
scale = 12
enhance = true
thresholds = [0, 0.25, 0.5, 1]

[[edit]]
target = "night"
control = "everything"
"""
JSON = json.dumps(
    [
        {
            "target": "blonde hair",
            "anchor": "brown hair",
            "control": "hair",
            "scale": 12,
            "enhance": True,
            "thresholds": [0, 0.25, 0.5, 1],
        },
        {"target": "night", "anchor": None, "control": "everything"},
    ]
)
LINES = """# what to change

[target] blonde hair; [anchor] brown hair; [control] hair; [scale] 12; [enhanced] True; [ts0] 0; [ts1] 0.25; \
[ts2] 0.5; [ts3] 1
  everything: night
"""
FORMS = {"edits.toml": TOML, "edits.JSON": JSON, "edits.txt": LINES, "edits": LINES}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig"])
def test_every_form_gives_the_same_edits_in_their_order(tmp_path, name, coding):
    (tmp_path / name).write_text(FORMS[name], coding)
    assert read(tmp_path / name) == EDITS


def test_lines_may_end_as_in_windows(tmp_path):
    (tmp_path / "edits.txt").write_bytes(LINES.replace("\n", "\r\n").encode())
    assert read(tmp_path / "edits.txt") == EDITS


GROUPS = {
    "edits.txt": "# first\nhair: red\n# still\nhat: blue\n\n\n# second\neyes: green\n\n",
    "edits.json": json.dumps(
        [
            {"target": "red hair", "anchor": "hair", "control": "hair"},
            {"target": "green eyes", "anchor": "eyes", "control": "eyes", "group": 2},
            {"target": "blue hat", "anchor": "hat", "control": "hat", "group": 1},
        ]
    ),
}


@pytest.mark.parametrize("name", GROUPS)
def test_a_group_is_recalled_by_its_number(tmp_path, name):
    (tmp_path / name).write_text(GROUPS[name])
    first, second = (parse("hair: red"), parse("hat: blue")), (parse("eyes: green"),)
    assert read(tmp_path / f"{name}#1") == first
    assert read(tmp_path / f"{name}#2") == second
    assert set(read(tmp_path / name)) == {*first, *second}
    with pytest.raises(ColorizeError, match=f"`{tmp_path}/{name}` has no group 3 of edits") as told:
        read(tmp_path / f"{name}#3")
    assert told.value.hint == "there are 1, 2"


def test_a_file_whose_name_ends_in_a_number_is_whole(tmp_path):
    (tmp_path / "edits#2").write_text("hair: red")
    assert read(tmp_path / "edits#2") == (parse("hair: red"),)


def test_a_result_is_made_again_when_the_file_of_its_group_changes(tmp_path):
    (tmp_path / "edits.txt").write_text("hair: red\n\nhair: blue")
    one, two = (records.options_of(SampleOptions(edits=tmp_path / f"edits.txt#{n}")) for n in (1, 2))
    assert records.differences(one, two) == "edits edits.txt#1, now edits.txt#2"
    (tmp_path / "edits.txt").write_text("hair: red\n\nhair: green")
    assert records.differences(two, records.options_of(SampleOptions(edits=tmp_path / "edits.txt#2")))


GOOD = '[[edit]]\ntarget = "a"\n'
WRONG = {
    ("e.toml", GOOD + '[[edit]]\ntraget = "b"'): "edit 2 of .*unknown key `traget` .*mean `target`",
    ("e.toml", GOOD + "scale = '8'"): "edit 1 of .*the scale is `8` .*give a number",
    ("e.toml", GOOD + "scale = true"): "edit 1 of .*the scale is `True`",
    ("e.toml", GOOD + "enhance = 'False'"): "enhance is `False` .*true or false",
    ("e.toml", GOOD + "anchor = 3"): "the anchor is `3` .*words in quotes",
    ("e.toml", GOOD + "anchor = 0x" + 9000 * "f"): "the anchor is `beyond words`",
    ("e.toml", GOOD + "scale = 0x" + 9000 * "f"): "the scale is inf",
    ("e.toml", GOOD + "thresholds = 0.5"): "the thresholds are `0.5` .*four rising",
    ("e.toml", GOOD + "thresholds = [0, 1, 1, '1']"): "a threshold is `1` .*a number",
    ("e.toml", "[edit]\ntarget = 'a'"): r"no list of edits .*every edit with \[\[edit\]\]",
    ("e.toml", "[[edits]]\ntarget = 'a'"): "`edits` outside of edits .*did you mean `edit`",
    ("e.toml", "target = 'a'"): r"`target` outside of edits .*\[\[edit\]\]",
    ("e.toml", "edit = 'a'"): "has no list of edits",
    ("e.toml", "edit = ['a']"): "edit 1 of .* is `a`",
    ("e.toml", "[[edit]"): "not valid TOML: .*line 1",
    ("e.toml", ""): "holds no edit ",
    ("e.json", "[]"): "holds no edit ",
    ("e.json", '{"target": "a"}'): "no list of edits .*write a list",
    ("e.json", '["a"]'): "edit 1 of .* is `a`",
    ("e.json", '[{"target": "a", "scale": 1e999}]'): "the scale is inf",
    ("e.json", '[{"target": "a", "scale": NaN}]'): "the scale is nan",
    ("e.json", '[{"target": "a", "group": 0}]'): "its group is `0`",
    ("e.json", '[{"target": "a", "group": true}]'): "its group is `True`",
    ("e.json", '[{"target": null}]'): "it has no target",
    ("e.json", "[{'target': 'a'}]"): "not valid JSON: .*line 1 column 3",
    ("e.json", "[" * 100_000): "not valid JSON",
    ("e.json", "[" + "9" * 5000 + "]"): "not valid JSON",
    ("e.txt", "\n# hair: blonde\n"): "holds no edit ",
    ("e.txt", "hair: blonde\n\nhat red"): "line 3 of .*does not say",
}


@pytest.mark.parametrize(("name", "text"), WRONG)
def test_a_mistake_is_named_with_its_file_and_place(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(ColorizeError, match=WRONG[name, text]) as told:
        read(tmp_path / name)
    assert name in told.value.message
    assert told.value.code == 2
    assert len(str(told.value).replace(str(tmp_path), "")) < 300


def test_files_that_hold_no_text_are_refused(tmp_path):
    (tmp_path / "latin.txt").write_bytes("h\xe5r: blonde".encode("latin-1"))
    (tmp_path / "long.txt").write_bytes(b"#" * (2**20 + 1))
    wrong = {
        "latin.txt": "not UTF-8 text, from byte 1 on",
        "long.txt": "larger than 1 MiB",
        ".": "cannot be read: ",
        "missing.toml": "missing.toml` cannot be read: No such file",
        "nul\0.txt": r"nul\?.txt` cannot be read: ",
    }
    for name, message in wrong.items():
        with pytest.raises(ColorizeError, match=message):
            read(tmp_path / name)


def test_the_examples_of_the_guide_are_read(tmp_path):
    guide = (Path(__file__).parents[3] / "docs/guides/change-colors-by-words.md").read_text("utf-8")
    found = re.findall(r"^```(toml|json|text)\n(.*?)^```", guide, re.S | re.M)
    assert [kind for kind, _ in found] == ["text", "toml", "json", "text"]
    for kind, text in found:
        (tmp_path / f"edits.{kind}").write_text(text)
        assert read(tmp_path / f"edits.{kind}")
    rows = re.findall(r"^\| `(.*?)` \| (.*?) \| (.*?) \| (.*?) \|$", guide, re.M)
    assert len(rows) == 7
    for text, target, anchor, where in rows:
        prompt = parse(text)
        told = (prompt.target, prompt.anchor or "none", prompt.where or "everywhere alike")
        assert told == (target, anchor, where)
