"""The training loop, losses and metrics."""
