"""The export: how it is written, and all that its receiver runs."""
