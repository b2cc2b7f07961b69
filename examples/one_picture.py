"""Color one drawing after a reference, in one call. Run: python examples/one_picture.py SKETCH REFERENCE OUT."""

from __future__ import annotations

import sys

import colorize

if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: python one_picture.py SKETCH REFERENCE RESULT")
    sketch, reference, out = sys.argv[1:]
    colorize.paint(sketch, reference=reference).save(out)
