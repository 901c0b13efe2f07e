"""Measurements, repeatable: each module is one, and says what it compares with what."""
