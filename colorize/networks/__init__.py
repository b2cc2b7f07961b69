"""Everything with weights. Knows nothing of files, recipes or training loops."""
