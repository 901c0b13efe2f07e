"""The command `python -m yt8m.convert`: `main` of folds/convert.py under its public name."""

import importlib
import sys

from yt8m.base import cli

convert = importlib.import_module("folds.convert")  # folds stands above yt8m
main = convert.main
main.__module__ = __name__  # so that the usage says this name

if __name__ == "__main__":
    sys.argv[1:] = convert.newer(sys.argv[1:])
    cli.run(main)
