"""The colors that the embedded model is given where a user names none. Knows nothing of networks.

Left alone, the model answers with the mean of all that it has seen, which is olive. Of six palettes that of drawings
came closest to the truth on training pictures; that of pages was chosen by eye, as it leaves skin and paper light.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from colorize.checkpoint import Loaded
from colorize.painter.options import Job, Named, Options
from colorize.pictures import files, palettes

NONE = "none"  # the palette that leaves the colors to the model
DRAWING = "#ffffff,#e8c4a0,#9a6b4a,#5d8bc0,#c76b62,#83a86f,#f0d27a,#3a3a44"
PAGE = "#fbe3d0,#7a5238,#8fb8de,#e8a0a0,#ffffff,#f5e6a8"
NOTE = "no colors were given, so these are the usual ones; choose with --ref or --palette (none: the model's own)"


def led(job: Job, loaded: Loaded, options: Options, page: bool) -> tuple[Job, tuple[str, ...]]:
    """Return a job with the usual palette, of pages or of drawings, and a note, if it is to have one.

    It is, unless colors are given, `options.usual` is off, or the model is not the embedded one. Hints on a page
    are for some of its panels only.
    """
    given = "reference" in job.given or (job.given and not page)
    if given or not options.usual or not loaded.embedded or loaded.adapters:
        return job, ()
    return replace(job, references=palette(PAGE if page else DRAWING)), (NOTE,)


def weighed(job: Job, weights: dict[str, float]) -> dict[str, float]:
    """Return the weights of guidance without any by usual colors: it costs a call, and brings 0.03 in CIEDE2000."""
    if any(job.references is palette(colors) for colors in (PAGE, DRAWING)):
        return {**weights, "reference": 1.0}
    return weights


@cache
def palette(colors: str) -> tuple[Named, ...]:
    """Return usual colors as references; the same tuple every time, by which they are told from a user's."""
    picture = files.from_tensor(palettes.swatches(palettes.parse(colors)))
    return (Named("usual colors", picture, palette=True),)
