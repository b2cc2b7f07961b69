"""The manga GAN and manga-colorization-v2."""
