"""Devices, precisions, folded norms. Bugs guarded: bf16 on processors that only emulate it; wrong names."""

import pytest
import torch
from torch import nn

from colorize.errors import ColorizeError
from colorize.manga.networks import Generator, GeneratorSpec, TaggerSpec
from colorize.networks import devices
from colorize.networks.unet import Cond

CPU = torch.device("cpu")


@pytest.mark.parametrize("instruction", ["avx512_bf16", "amx_bf16"])
def test_processors_with_bf16_instructions_compute_in_bf16(monkeypatch, instruction):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {instruction: True})
    assert devices.precision("auto", CPU) is torch.bfloat16


def test_avx512_alone_is_no_reason_for_bf16(monkeypatch):
    # oneDNN would accept it and be 2.6 times slower
    has = {"avx512_f": True, "avx2": True, "avx512_bf16": False, "amx_bf16": False}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    assert devices.precision("auto", CPU) is None


def test_a_processor_that_says_nothing_computes_in_fp32(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert devices.precision("auto", CPU) is None


def test_bf16_that_was_asked_for_is_given_without_looking(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert devices.precision("bf16", CPU) is torch.bfloat16


def test_cards_that_emulate_bf16_compute_in_fp32(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    assert devices.precision("auto", torch.device("cuda")) is None


def test_fp16_on_a_processor_is_refused():
    with pytest.raises(ColorizeError, match="graphics cards"):
        devices.precision("fp16", CPU)


def test_a_misspelt_precision_names_the_right_one():
    with pytest.raises(ColorizeError, match="did you mean `bf16`"):
        devices.precision("bf61", CPU)


def test_a_misspelt_device_names_the_right_one():
    with pytest.raises(ColorizeError, match="did you mean `cuda`"):
        devices.device("cuad:1")


@pytest.mark.parametrize(("name", "found"), [("gpu", "cuda"), ("gpu:1", "cuda:1")])
def test_gpu_means_cuda(monkeypatch, name, found):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert devices.device(name) == torch.device(found)


def test_a_card_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ColorizeError, match=r"`cuda:1`.*finds 1 "):
        devices.device("cuda:1")


def test_auto_takes_the_card_if_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert devices.device("auto").type == "cuda"


def test_auto_takes_the_processor_if_there_is_nothing_else(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert devices.device("auto") == CPU


@pytest.mark.parametrize(
    "net", [GeneratorSpec((8, 8, 8, 16), groups=0).build(4, 3), TaggerSpec((1, 1, 1, 1), 48).build()]
)
def test_folded_norms_change_no_numbers(net: nn.Module) -> None:
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            for value, low in (
                (part.running_mean, -0.5),
                (part.running_var, 0.5),
                (part.weight, 0.5),
                (part.bias, -0.5),
            ):
                nn.init.uniform_(value, low, low + 1)
    page = torch.rand(1, 1, 48, 64)
    given = (page.new_zeros(1, 3, 48, 64), torch.ones(1), Cond(page)) if isinstance(net, Generator) else (page,)
    net.eval()
    with torch.inference_mode():
        before = net(*given)
        devices.fold_norms(net)
        after = net(*given)
    torch.testing.assert_close(before, after, atol=1e-4, rtol=1e-4)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in net.modules())
