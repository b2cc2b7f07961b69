"""Absorbing-state diffusion over the regions of a drawing: the embedded model."""
