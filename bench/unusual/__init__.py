"""Unusual data through the whole pipeline: what runs, and what is refused where."""
