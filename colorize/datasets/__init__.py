"""Prepare pictures for training."""
