"""The command `python -m yt8m.convert`: folds/convert.py under its public name."""

import importlib

main = importlib.import_module("folds.convert").main

if __name__ == "__main__":
    importlib.import_module("yt8m.base.cli").run(main)
