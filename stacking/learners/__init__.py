"""What learns from rows: LightGBM's trees, and a network over the same columns."""
