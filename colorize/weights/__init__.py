"""The embedded model and its card; data only. Knows nothing."""
