"""Architectures: one short file each, with a class `Model(dims, **arguments)`, found by file name.

`Model.level` is "video" or "frame" and says what a Batch holds; `forward(batch)` returns logits
(B, C). Padding never changes a prediction.
"""
