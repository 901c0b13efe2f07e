"""Architectures: one short file each, with a class `Model(dims, **arguments)`, found by file name.

`Model.level` is "video" or "frame": what a Batch holds. `forward(batch)` returns logits (B, C).
"""
