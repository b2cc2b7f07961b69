"""Tell how a picture was made, as JSON can hold it, without folders, which are nobody's business."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from colorize import __version__
from colorize.checkpoints.model_files import Loaded
from colorize.coloring.inputs import Frame
from colorize.coloring.options import Job, Options
from colorize.images import files
from colorize.images.image import Picture
from colorize.model import Sampling
from colorize.recipes import overrides

LICENSE = 200  # characters of a license's name, at most; some write all of it


def told(
    loaded: Loaded,
    options: Options,
    walk: Sampling,
    job: Job,
    frame: Frame,
    guidance: Mapping[str, float],
    variation: int,
) -> dict[str, object]:
    """Return what gives a picture again: the model, the walk, and what was given; pictures by name and fingerprint.

    The license of the weights is told, too, where it is known: it may forbid uses of the picture.
    """
    source = loaded.source
    license_ = loaded.facts.get("license", "")[:LICENSE]
    height, width = frame.hints.size
    return {
        "program": f"colorize {__version__}",
        "model": Path(source).name if Path(source).is_absolute() else source,
        **({"weights_license": license_} if license_ else {}),
        "recipe": loaded.recipe.name,
        "adapters": [asdict(one) for one in loaded.adapters],
        **({"drawing": files.fingerprint(job.drawing)} if isinstance(job.drawing, Path) else {}),
        "kind": frame.kind,
        "size": [width, height],
        "seed": options.seed,
        "variation": variation,
        "sampler": walk.sampler,
        "steps": walk.steps,
        "eta": walk.eta,
        "spacing": walk.spacing,
        **_knobs(options, job),
        "guidance": dict(guidance),
        "strength": dict(options.strength),
        "references": {one.name: _fingerprint(one.picture) for one in job.references},
        "flat": options.flat,
        "hints": "hints" in job.given,
        "dots": [dot.text for dot in job.dots],
        "hint_mode": options.hint_mode,
    }


def _knobs(options: Options, job: Job) -> dict[str, object]:
    """What only some systems take: settings, a background, and whether there were masks."""
    told: dict[str, object] = {}
    if options.settings is not None:
        told["settings"] = overrides.to_dict(options.settings)
    if job.background is not None:
        told["background"] = {job.background.name: _fingerprint(job.background.picture)}
    if job.mask is not None:
        told["mask"] = job.mask if isinstance(job.mask, str) else _fingerprint(job.mask)
    if job.reference_mask is not None:
        told["reference_mask"] = _fingerprint(job.reference_mask)
    return told


def _fingerprint(picture: Picture) -> str:
    """Twelve signs that tell the pixels of a picture from others'."""
    return hashlib.sha256(np.ascontiguousarray(picture.pixels).data).hexdigest()[:12]
