"""Claims about files that are no model, or no sound one: each is refused with a sentence."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from saved import CONV, TINY, changed, described, refusal

from colorize.checkpoints.model_files import load, save
from colorize.errors import ColorizeError

BAD = {
    "is empty": b"",
    "is a web page": b"\n<!DOCTYPE html><html><body>404</body></html>",
    "is only a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    "is not a safetensors file": b"Entry not found",
    "is a PyTorch file": b"PK\3\4" + bytes(60),
    "is a PyTorch file (a pickle), which can hide a program": b"\x80\2}q\0X\1\0\0\0aK\1s.",
    "is cut short or damaged": struct.pack("<Q", 2**40) + b'{"a":1}',
}


@pytest.mark.parametrize("why", BAD)
def test_what_is_not_weights_is_refused_by_what_it_is(why, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(BAD[why])
    assert f"`model.safetensors` {why}" in refusal(path).message


@pytest.mark.parametrize("suffix", [".ckpt", ".pt", ".pth", ".bin"])
def test_the_refusal_of_a_pickle_tells_a_person_how_to_go_on(tmp_path, system, suffix):
    # Guards against a hint that only programmers can follow.
    path = tmp_path / f"model{suffix}"
    torch.save(system.state_dict(), path)
    hint = refusal(path).hint
    assert "ask its author for a .safetensors file" in hint
    assert "`colorize train`" in hint
    assert "foreign" not in hint


def test_a_header_that_begins_like_a_pickle_is_read(system, tmp_path):
    # The header's length comes first: one file in 32 begins with the sign of a pickle.
    path = tmp_path / "a.safetensors"
    save(system, TINY, path, {"note": ""})
    save(system, TINY, path, {"note": "x" * ((0x80 - path.read_bytes()[0]) % 256)})
    path.write_bytes(b"\x80" + path.read_bytes()[1:])  # fails here if the arithmetic is off
    assert load(path).recipe == TINY


def test_a_file_cut_short_anywhere_is_refused(file):
    data = file.read_bytes()
    for size in [*range(0, len(data) - 1, len(data) // 25), len(data) - 1]:
        file.write_bytes(data[:size])
        refusal(file)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_header_is_a_sentence_or_harmless(file, data):
    whole = bytearray(file.read_bytes())
    length = struct.unpack("<Q", whole[:8])[0]
    place = data.draw(st.integers(0, 8 + length - 1))
    copy = file.with_name("damaged.safetensors")
    whole[place] = data.draw(st.integers(0, 255))
    copy.write_bytes(whole)
    with suppress(ColorizeError):
        load(copy)


WRONG = {
    f"lacks the tensor `{CONV}`": {CONV: None},
    "holds `extra`, which": {"extra": torch.zeros(1)},
    f"holds `{CONV}` as 8 x 16 x 1 x 1; the recipe needs 8 x 16 x 3 x 3": {CONV: torch.zeros(8, 16, 1, 1)},
    f"holds `{CONV}` as 8 x 16 x 3 x 3 (torch.int32)": {CONV: torch.zeros(8, 16, 3, 3, dtype=torch.int32)},
    f"not all of its weights `{CONV}` are finite": {CONV: torch.full((8, 16, 3, 3), torch.nan)},
}


@pytest.mark.parametrize("why", WRONG)
def test_tensors_that_do_not_fit_are_named(why, file):
    assert why in refusal(changed(file, tensors=WRONG[why])).message


HEADERS = {
    "does not say what it is": {"config": None},
    "is the state of a training run": {"kind": "colorize training state 1"},
    "has a damaged description": {"config": "{"},
    "has a damaged description ": {"config": "[" * 100_000},
    " has a damaged description": {"config": '{"name": 3}'},
    "does not understand it: unknown recipe `maxi`": {"config": '{"name": "maxi"}'},
    "was saved by colorize 99.0": {"config": '{"name": "mini", "brush": 1}', "version": "99.0"},
}


@pytest.mark.parametrize("why", HEADERS)
def test_a_description_that_is_not_understood_is_refused(why, file):
    assert why.strip() in refusal(changed(file, HEADERS[why])).message


IMPOSSIBLE = {
    "more blocks than tensors": {"denoiser__net__blocks": [10**9, 1]},
    "a schedule without end": {"schedule__steps": 10**12},
    "widths without end": {"denoiser__net__widths": [10**15, 10**15]},
    "no heads": {"denoiser__net__heads": 0},
    "a negative width": {"condition__parts": [{"is": "ReferenceTokens", "width": -8}]},
    "a patch of nothing": {"space__patch": 0, "condition__parts": [{"is": "Drawing", "patch": 0}]},
}


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_a_hostile_description_costs_nothing(what, file):
    assert "`model.safetensors`" in refusal(described(file, **IMPOSSIBLE[what])).message
