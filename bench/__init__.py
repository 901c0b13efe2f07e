"""Repeatable measurements: each module is one; its docstring names what it compares."""

import yt8m  # noqa: F401, for what Ctrl-C does from here on
