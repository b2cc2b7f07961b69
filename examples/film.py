"""Show the colors appear, as an animation. Run: python examples/film.py SKETCH REFERENCE OUT.gif."""

from __future__ import annotations

import sys
from pathlib import Path

from colorize.checkpoints import model_files
from colorize.coloring import album, paint
from colorize.coloring.options import Job, Named, SampleOptions
from colorize.images import files


def main(sketch: Path, reference: Path, out: Path, steps: int = 20) -> None:
    """Color one drawing and write what the model expected after every step."""
    named = Named(reference.name, files.read(reference))
    job = Job(sketch.name, sketch, references=(named,))
    options = SampleOptions(steps=steps, film=out)
    for outcome in paint.paint_all(model_files.load("mini"), [job], options):
        if outcome.error:
            raise outcome.error
        album.write_film(outcome.painted[0].frames, out)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: python film.py SKETCH REFERENCE FILM.gif")
    main(*(Path(argument) for argument in sys.argv[1:]))
