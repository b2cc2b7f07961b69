"""The page of `colorize web`, and its programming interface."""
