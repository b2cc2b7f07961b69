"""Foresee whether a drawing will be colored, by looking at it alone. Knows nothing of noise, steps or devices."""

from __future__ import annotations

from colorize.coloring import inputs, pages
from colorize.coloring.inputs import Colored
from colorize.coloring.options import Job, Named, Options, check_job, check_kind
from colorize.errors import ColorizeError
from colorize.images import files
from colorize.images.image import Picture
from colorize.recipes.recipe import Recipe

USAGE = 2  # the exit code of what no drawing can have


def refusal(job: Job, recipe: Recipe, options: Options) -> ColorizeError | None:
    """Return why a drawing would not be colored, None if it would be, and `Colored` if it may stay as it is.

    It is decoded and a small copy of it looked at, as when it is colored; panels are only looked for where
    that copy is in color, since some of them may be gray. Color hints are not looked at. Raises ColorizeError
    (wrong usage) for what no drawing can have with this model.
    """
    try:
        check_job(recipe, options, job)
        _look(job, recipe, options)
    except MemoryError:
        return ColorizeError(f"`{job.name}` does not fit into the memory", "scale it down")
    except ColorizeError as error:
        if error.code == USAGE:
            raise
        return error
    return None


def _look(job: Job, recipe: Recipe, options: Options) -> None:
    drawing = job.drawing() if callable(job.drawing) else job.drawing
    picture = drawing if isinstance(drawing, Picture) else files.read(drawing, job.name)
    named = Named(job.name, picture)
    inputs.check_drawing(named, options)
    _, seen = inputs.viewed(picture, recipe, options)
    found = inputs.looked(picture, seen, recipe, options)
    try:
        kind, *_ = inputs.settled(job.name, found, recipe, options)
    except Colored:
        if pages.divide(named, job, None, recipe, options) is None:
            raise
    else:
        if not options.flat or pages.divide(named, job, None, recipe, options) is None:
            check_kind(job.name, kind, options)
