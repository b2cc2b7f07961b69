#!/usr/bin/env bash
# The gate, the same for people and machines: format, lint, types, documentation, tests.
set -euo pipefail
cd "$(dirname "$0")/.."
ruff format --check --quiet .
ruff check --quiet .
mypy
python docs/generate.py --check
python -m pytest -q
