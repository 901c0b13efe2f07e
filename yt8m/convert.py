"""The command `python -m yt8m.convert`: `main` of folds.conversion.convert, by its public name."""

import importlib
import sys

from yt8m.base import cli

conversion = importlib.import_module("folds.conversion.convert")  # folds stands above yt8m
main = conversion.main
main.__module__, main.__doc__ = __name__, conversion.__doc__  # what the usage says
OLDER = {"--rgb-column": "rgb", "--audio-column": "audio"}  # options that --feature replaces


def newer(arguments: list[str]) -> list[str]:
    """A command line in which --feature takes the place of --rgb-column and --audio-column."""
    found = []
    for argument in arguments:
        option, equals, value = argument.partition("=")
        if option in OLDER and equals:
            found += ["--feature", f"{OLDER[option]}={value}"]
        elif found and found[-1] in OLDER:
            found[-1:] = ["--feature", f"{OLDER[found[-1]]}={argument}"]
        else:
            found.append(argument)
    return found


if __name__ == "__main__":
    sys.argv[1:] = newer(sys.argv[1:])
    cli.run(main)
