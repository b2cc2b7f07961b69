"""Scores, baselines and their report. Knows nothing of the command line."""
