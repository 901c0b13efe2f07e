"""Repeatable measurements: each module is one; its docstring names what it compares."""
