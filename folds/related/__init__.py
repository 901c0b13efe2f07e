"""Videos that belong together: groups that people name, near-copies, and a holdout of their own."""
