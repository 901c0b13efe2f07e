"""Blocks and networks that several architectures and students use."""
