"""Experiments: options of models and students measured on the same videos."""
