"""The networks of the manga systems: generators, their critic, and frozen helpers. Knows nothing of files or training."""
