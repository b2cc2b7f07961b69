"""Pixels: files, color, lines, warps, strokes and the finish. Knows nothing of networks or noise."""
