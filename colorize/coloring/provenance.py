"""Record how a picture was made, as JSON can hold it, without folders, which are private."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from colorize import __version__
from colorize.checkpoints.model_files import Loaded
from colorize.coloring.inputs import ModelInput
from colorize.coloring.options import Job, SampleOptions
from colorize.images import files
from colorize.images.image import Picture
from colorize.model import Sampling
from colorize.recipes import overrides

LICENSE = 200  # characters of a license's name, at most; some write all of it


def provenance(
    loaded: Loaded,
    options: SampleOptions,
    sampling: Sampling,
    job: Job,
    given: ModelInput,
    guidance: Mapping[str, float],
    variation: int,
) -> dict[str, object]:
    """Return what gives a picture again: the model, the sampling, and the inputs; pictures by name and fingerprint.

    The license of the weights is in it, where it is known: it may forbid uses of the picture.
    """
    source, back = loaded.source, job.background
    license_ = loaded.facts.get("license", "")[:LICENSE]
    known: dict[str, object] = {
        "program": f"colorize {__version__}",
        "model": Path(source).name if Path(source).is_absolute() else source,
        "weights_license": license_ or None,
        "recipe": loaded.recipe.name,
        "adapters": [asdict(one) for one in loaded.adapters],
        "drawing": files.fingerprint(job.drawing) if isinstance(job.drawing, Path) else None,
        "kind": given.kind,
        "size": [*given.hints.size[::-1]],
        "seed": options.seed,
        "variation": variation,
        "sampler": sampling.sampler,
        "steps": sampling.steps,
        "eta": sampling.eta,
        "spacing": sampling.spacing,
        "settings": None if options.settings is None else overrides.to_dict(options.settings),
        "background": None if back is None else {back.name: _fingerprint(back.picture)},
        "mask": _fingerprint(job.mask) if isinstance(job.mask, Picture) else job.mask,
        "reference_mask": None if job.reference_mask is None else _fingerprint(job.reference_mask),
        "guidance": dict(guidance),
        "strength": dict(options.strength),
        "references": {one.name: _fingerprint(one.picture) for one in job.references},
        "flat": options.flat,
        "hints": "hints" in job.given,
        "dots": [dot.text for dot in job.dots],
        "hint_mode": options.hint_mode,
    }
    return {name: value for name, value in known.items() if value is not None}


def _fingerprint(picture: Picture) -> str:
    """The first twelve digits of a hash of the pixels."""
    return hashlib.sha256(np.ascontiguousarray(picture.pixels).data).hexdigest()[:12]
