"""The program, as `colorize` and as `python -m colorize`. Knows nothing of what the commands do."""

from __future__ import annotations

from colorize import interrupts


def main() -> None:
    """Run the program; Ctrl-C is taken over before anything that takes time is imported."""
    interrupts.watch()
    from colorize.cli.app import main as run

    run()


if __name__ == "__main__":
    main()
