"""What two or more stages share: records, store, batches, metrics, losses, training, predictions.

Imports no stage. Tensor letters used everywhere: B batch, T frames, R rgb, A audio, C classes,
K clusters or top-k (the file says which), W width, N videos.
"""

__version__ = "0.2.0"
