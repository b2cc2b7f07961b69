"""Data, objectives and the training loop. Knows nothing of the command line."""
