"""From rows of a store to batches: frames, statistics, normalisation."""
