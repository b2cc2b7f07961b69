"""Tell the published files of ColorizeDiffusion from each other, and load them strictly. Knows no recipe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from colorize.checkpoint import tensors
from colorize.checkpoint.tensors import refused
from colorize.networks.latent.system import VERSIONS, System, SystemSpec, Version

Kind = Literal["v1", "v1.5", "v2", "xl"]
Shapes = Mapping[str, tuple[int, ...]]
SIGNS: tuple[tuple[Kind, tuple[str, ...]], ...] = (  # the first that is found decides
    ("xl", ("model.diffusion_model.label_emb.", "proj.attn.")),
    ("v2", ("style_encoder.", "bg_encoder.", "model.diffusion_model.warp_modules.")),
    ("v1.5", ("thresh_embedder.", "transformer.embedding")),
    ("v1", ("control_encoder.",)),
)
SHOWN = 3  # names in a sentence


def recognize(names: Iterable[str], file: str = "this file") -> Kind:
    """Return which version has tensors of these names.

    file: what messages call it. Raises ColorizeError if none has.
    """
    known = list(names)
    if any(name.startswith("model.diffusion_model.") for name in known):
        for kind, signs in SIGNS:
            if any(name.startswith(signs) for name in known):
                return kind
    raise refused(
        file,
        "is no model of ColorizeDiffusion: it lacks its U-Net or its sketch encoder",
        "name one of its files, such as mult-eps-ft.safetensors",
    )


@lru_cache(maxsize=8)
def _layout(spec: SystemSpec) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in hollow(spec).state_dict().items()}


def layout(version: Version) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor in a file of a version, by name."""
    return dict(_layout(VERSIONS[version]))


def hollow(spec: SystemSpec) -> System:
    """Build the networks on the meta device: names and shapes, no memory."""
    with torch.device("meta"), tensors.Hollow():
        return spec.build()


def check(file: str, found: Shapes, specs: Mapping[Version, SystemSpec] = VERSIONS) -> Version:
    """Return the version of a file whose tensors have these names and shapes, exactly those of its version.

    specs: the numbers of every version. Raises ColorizeError for XL, for what is no such file, and for
    tensors that are missing, superfluous or of another shape, which it names.
    """
    kind = recognize(found, file)
    if kind == "xl":
        raise refused(
            file,
            "is a model of ColorizeDiffusion XL, which colorize cannot run",
            "name a file of version 1, 1.5 or 2, such as mult-eps-ft.safetensors",
        )
    wanted = _layout(specs[kind])
    missing = [name for name in wanted if name not in found]
    extra = [name for name in found if name not in wanted]
    bent = [
        f"`{name}` as {_told(found[name])} and not {_told(shape)}"
        for name, shape in wanted.items()
        if name in found and tuple(found[name]) != shape
    ]
    faults = []
    if missing:
        faults.append(f"lacks {_some([f'`{name}`' for name in missing])}")
    if extra:
        faults.append(f"has {_some([f'`{name}`' for name in extra])}, which does not belong there")
    if bent:
        faults.append(f"holds {_some(bent)}")
    if faults:
        why = f"is not a whole file of ColorizeDiffusion {kind}: it {'; it '.join(faults)}"
        raise refused(file, why, "fetch it again, or name another file")
    return kind


def load(
    path: Path,
    specs: Mapping[Version, SystemSpec] = VERSIONS,
    dtype: torch.dtype | None = None,
) -> tuple[Version, System]:
    """Return the version of a file and its networks, in evaluation mode, float32, channels-last.

    dtype: numbers for the U-Net's ladder, see `LatentUNet.lighten`; bfloat16 halves its memory. The file is
    mapped and every tensor copied once. Raises ColorizeError like `check`, and if the file cannot be read,
    is a pickle, or holds weights that are not finite.
    """
    return filled(path.name, tensors.read(path)[1], specs, dtype)


def filled(
    file: str,
    found: Mapping[str, Tensor],
    specs: Mapping[Version, SystemSpec] = VERSIONS,
    dtype: torch.dtype | None = None,
) -> tuple[Version, System]:
    """Do what `load` does for the tensors of an opened file."""
    version = check(file, {name: tuple(value.shape) for name, value in found.items()}, specs)
    system = hollow(specs[version])
    if dtype is not None:
        system.net.lighten(dtype)
    tensors.fill(file, system, found)
    return version, system.eval()


def _some(names: list[str]) -> str:
    """List the first few names, and how many more there are."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _told(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a single number"
