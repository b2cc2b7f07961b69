"""The networks that recipes are made of: conditions, spaces, the U-Net, its layers, and adapters."""
