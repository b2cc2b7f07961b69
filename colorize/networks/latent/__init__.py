"""The networks of latent diffusion that ColorizeDiffusion is made of, under the names of its published tensors."""
