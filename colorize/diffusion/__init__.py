"""Noise and time: schedules, denoisers, samplers. Knows nothing of hints or files."""
