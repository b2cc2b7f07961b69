"""Color one drawing after a reference, in one call. Run: python examples/one_picture.py SKETCH REFERENCE OUT."""

from __future__ import annotations

import sys
from pathlib import Path

import colorize
from colorize.images import files

if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: python one_picture.py SKETCH REFERENCE RESULT")
    sketch, reference, out = sys.argv[1:]
    files.write(colorize.paint(sketch, reference=reference), Path(out))
