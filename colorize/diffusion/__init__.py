"""The diffusion core: noise schedules, denoisers, solvers and samplers."""
