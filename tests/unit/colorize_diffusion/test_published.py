"""Claims about the published files of ColorizeDiffusion: their layouts, telling them apart, loading them."""

from __future__ import annotations

import hashlib
import json
import math
from functools import cache
from pathlib import Path

import pytest
import torch
from golden import filled
from latents import latent_system, recipe
from safetensors.torch import save_file
from torch import nn

from colorize import recipes
from colorize.checkpoints import weights_io
from colorize.colorize_diffusion import published
from colorize.colorize_diffusion.published import buffers, probed, recognize
from colorize.diffusion.schedules import ScaledLinear
from colorize.errors import ColorizeError

VARIANTS = {"v1": "", "v1.5": ":v1.5", "v2": ":v2"}


@cache
def layout(version: str) -> dict[str, tuple[int, ...]]:
    return published.layout(recipes.find(f"colorize-diffusion{VARIANTS[version]}"))


def load(path: Path, version: str, dtype: torch.dtype | None = None) -> nn.Module:
    """The networks of a small file of a version."""
    model, found = published.hollow(recipe(version)), weights_io.read(path)[1]
    return published.fill_networks(path.name, model, found, dtype)


# Layouts: tensors, numbers, SHA-256 of the sorted lines "name (shape)", and bytes of the published file

FILES = {
    "v1": (988, 1_013_547_547, "edf5aeb0999c33e8cdeda802d79cdf51e359b15218c4a380621e440401803cdf"),
    "v1.5": (1263, 1_125_033_499, "2cbaa487009443941a92a6f48c3b16d98c6d38f19429bb92182604f77040d0e0"),
    "v2": (1884, 1_747_630_363, "1493c11cc9341ef0e1d39e9b4ca788a4569796192f2e49561ad6f6a286676ac6"),
}
BYTES = {"v1": 3_887_014_350, "v1.5": 4_332_998_606, "v2": 6_823_462_918}
GROUPS = {
    "v1": {
        "model.diffusion_model.": (686, 865_910_724),
        "first_stage_model.": (248, 83_653_863),
        "control_encoder.": (42, 63_970_960),
    },
    "v1.5": {"thresh_embedder.": (4, 1_312_768), "transformer.": (79, 75_821_056)},
    "v2": {
        "model.diffusion_model.warp_modules.": (156, 118_060_800),
        "model.diffusion_model.style_modules.": (72, 72_583_680),
        "bg_encoder.": (280, 266_104_960),
        "style_encoder.": (280, 276_970_880),
    },
}
LORA = {"v1": (0, 0), "v1.5": (192, 34_352_128), "v2": (108, 362_496)}


@pytest.mark.parametrize("version", FILES)
def test_the_networks_have_exactly_the_published_tensors(version):
    shapes = layout(version)
    lines = "\n".join(sorted(f"{name} {shape}" for name, shape in shapes.items()))
    total = sum(map(math.prod, shapes.values()))
    assert (len(shapes), total) == FILES[version][:2]
    assert hashlib.sha256(lines.encode()).hexdigest() == FILES[version][2]


@pytest.mark.parametrize("version", FILES)
def test_each_network_has_its_published_number_of_weights(version):
    def counted(found: list[tuple[int, ...]]) -> tuple[int, int]:
        return len(found), sum(map(math.prod, found))

    shapes = layout(version)
    for prefix, want in GROUPS[version].items():
        assert counted([s for n, s in shapes.items() if n.startswith(prefix)]) == want
    assert counted([s for n, s in shapes.items() if ".lora_" in n]) == LORA[version]


@pytest.mark.parametrize("version", BYTES)
def test_a_file_of_them_has_the_published_size(version):
    # safetensors: the length of the header in 8 bytes, the header padded to 8, float32 before float16
    half = lambda name: name.startswith("first_stage_model.")
    shapes, end, header = layout(version), 0, {}
    for name in sorted(shapes, key=lambda name: (half(name), name)):
        start = end
        end += math.prod(shapes[name]) * (2 if half(name) else 4)
        kind = "F16" if half(name) else "F32"
        header[name] = {"dtype": kind, "shape": list(shapes[name]), "data_offsets": [start, end]}
    length = len(json.dumps(header, separators=(",", ":")))
    assert 8 + length + -length % 8 + end == BYTES[version]


# Telling versions apart


@pytest.mark.parametrize("version", VARIANTS)
def test_versions_are_recognized_by_their_names(version):
    assert recognize(layout(version)) == version


XL = ["model.diffusion_model.label_emb.0.0.weight", "proj.attn.to_q.weight", "bg_encoder.x"]


@pytest.mark.parametrize("names", [XL[:1], XL[1:2], XL])
def test_xl_is_recognized_and_refused_in_a_sentence(names):
    found = {**dict.fromkeys(names, (1,)), "model.diffusion_model.out.0.weight": (320,)}
    with pytest.raises(ColorizeError, match="is a model of ColorizeDiffusion XL"):
        recognize(found)


@pytest.mark.parametrize("names", [[], ["model.diffusion_model.out.0.weight"], ["control_encoder"]])
def test_other_files_are_none_of_these(names):
    with pytest.raises(ColorizeError, match="is not a model of ColorizeDiffusion"):
        recognize(names)


# Loading


@pytest.mark.parametrize("version", VARIANTS)
def test_a_file_comes_back_as_it_was_with_its_halves_in_full(version, tmp_path: Path):
    system = filled(latent_system(recipe(version)))
    state = {
        name: value.half() if name.startswith("first_stage_model.") else value
        for name, value in system.state_dict().items()
    }
    save_file(state, tmp_path / "a.safetensors")
    back = load(tmp_path / "a.safetensors", version)
    for name, value in back.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, state[name].float())


@pytest.mark.parametrize("version", VARIANTS)
def test_the_ladder_alone_comes_back_in_other_numbers_if_asked(version, tmp_path: Path):
    state = filled(latent_system(recipe(version))).state_dict()
    save_file(state, tmp_path / "a.safetensors")
    back = load(tmp_path / "a.safetensors", version, torch.bfloat16)
    whole = ("model.diffusion_model.time_embed.", "model.diffusion_model.out.")
    for name, value in back.state_dict().items():
        light = name.startswith("model.") and not name.startswith(whole)
        assert value.dtype == (torch.bfloat16 if light else torch.float32)
        assert torch.equal(value, state[name].to(value.dtype))


def test_a_pickle_is_refused(tmp_path: Path):
    torch.save(latent_system(recipe()).state_dict(), tmp_path / "a.ckpt")
    with pytest.raises(ColorizeError, match="a pickle"):
        load(tmp_path / "a.ckpt", "v1")


def test_the_buffers_tell_the_schedule():
    told = buffers(ScaledLinear())
    assert len(told) == 12
    assert told["alphas_cumprod"][[0, 999]].tolist() == pytest.approx([0.99914998, 0.00466010])
    assert told["betas"][[0, 999]].tolist() == pytest.approx([0.00085, 0.012])
    assert told["posterior_log_variance_clipped"][0].item() == pytest.approx(math.log(1e-20))
    assert told["posterior_mean_coef1"][0] == pytest.approx(1.0)


# What they predict

NOISE = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
OTHER = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))


def test_published_versions_predict_noise_but_the_second():
    found = [recipes.find(f"colorize-diffusion{name}").denoiser.predicts for name in VARIANTS.values()]
    assert found == ["eps", "eps", "v"]


@pytest.mark.parametrize(
    ("answer", "predicts"), [(NOISE + 0.1 * OTHER, "eps"), (OTHER, "v"), (-NOISE, "v"), (0.5 * NOISE + OTHER, "v")]
)
def test_a_probe_tells_what_a_network_predicts(answer, predicts):
    assert probed(lambda x, t, cond: answer, NOISE, torch.zeros(1, 4, 24)) == predicts


def test_a_probe_asks_at_the_last_time():
    asked = []
    probed(lambda x, t, cond: asked.append(t.tolist()) or x, NOISE, torch.zeros(1, 4, 24))
    assert asked == [[1.0]]
