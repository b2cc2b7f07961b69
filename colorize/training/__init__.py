"""Data, objectives and the training loop."""
