"""Texts that a person gave to make: what they may be, and what is remembered of them."""
