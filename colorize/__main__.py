"""Run `python -m colorize` like the installed command. Knows nothing of what the commands do."""

from colorize.cli import main

if __name__ == "__main__":
    main()
