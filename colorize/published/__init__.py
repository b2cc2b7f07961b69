"""The networks of published systems, tensor by tensor, so that their checkpoints open."""
