"""One command for the verbs that people call themselves: `yt8m` or `python -m yt8m`.

    yt8m convert OUT --rgb rgb.npy --labels labels.csv
    yt8m predict EXPORT RECORDS OUT.csv
    yt8m VERB --help

The whole pipeline is make's: see README.md of the project.
"""

import importlib
import sys

from yt8m import __version__

VERBS = {  # the command's name -> the verb it is, and what it does
    "convert": ("yt8m.convert", "own features and labels to records"),
    "download": ("folds.download", "public YouTube-8M shards"),
    "synthetic": ("yt8m.records.synthetic", "generated records, to try things"),
    "decode": ("folds.decode", "records to a store"),
    "assign": ("folds.assign", "a holdout and five folds"),
    "predict": ("distill.predict", "an export and records to a CSV of labels"),
    "evaluate": ("distill.evaluate", "a CSV of labels and records to GAP@20"),
    "compare": ("report.compare", "two results, with the interval of their difference"),
}
PREDICTS = {"predict", "evaluate", "convert"}  # the extra predict is enough for them


def usage() -> str:
    lines = [f"  {name:<10} {what}" for name, (_, what) in VERBS.items()]
    return f"usage: yt8m VERB ... (yt8m VERB --help), yt8m --version\n\n{chr(10).join(lines)}\n"


def main() -> None:
    """Runs a verb with the arguments behind its name."""
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help"):
        print(usage(), end="")
        return
    if words[0] == "--version":
        print(f"yt8m {__version__}")
        return
    if words[0] not in VERBS:
        sys.exit(f"error: {words[0]}: no verb; there are: {', '.join(VERBS)}")
    name = words[0]
    try:
        verb = importlib.import_module(VERBS[name][0])
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in sys.stdlib_module_names:
            raise
        extra = "predict" if name in PREDICTS else "train"
        sys.exit(f"error: {name} needs {error.name}; run pip install 'yt8m-distill[{extra}]'")
    from yt8m.base import cli  # above, it would need what `--version` does without

    arguments = words[1:]
    if hasattr(verb, "newer"):
        arguments = verb.newer(arguments)
    sys.argv[1:] = arguments
    cli.run(verb.main)


if __name__ == "__main__":
    main()
