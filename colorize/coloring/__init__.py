"""Color pictures with a loaded model."""
