"""Scores of colored pictures, baselines, and their reports."""
