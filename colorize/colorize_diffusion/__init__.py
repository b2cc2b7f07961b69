"""ColorizeDiffusion (Yan et al. 2024, 2025): latent diffusion guided by a reference image."""
