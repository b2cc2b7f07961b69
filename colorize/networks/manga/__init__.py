"""The networks of the manga systems: generators, their critic, frozen helpers. Knows nothing of files."""
