"""Whether a plan fits the data."""
