"""How fast the pipeline is, as ratios measured in one run (docs/speed.md)."""
