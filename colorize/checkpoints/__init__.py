"""Model files: write, find, download, load."""
