"""The epochs of a plan's training jobs as TensorBoard event files.

    python -m report.tensorboard artifacts/small events
    tensorboard --logdir events

Each log.jsonl under the run folder becomes one TensorBoard run of the same path: a curve for each
figure, over epochs. tensorboardX (the extra `tensorboard`) writes them and needs no other package;
tensorboard itself, only needed to look, brings six more (grpcio, pillow, ...). It may run while
jobs run.
"""

import importlib.util
from itertools import accumulate
from pathlib import Path

from yt8m.base import cli
from yt8m.base.cli import InputError
from yt8m.base.files import writing
from yt8m.base.paths import RUN_LOG
from yt8m.base.run_log import read_log

FIGURES = ("loss", "gap", "lr", "examples_per_s", "seconds", "peak_memory_mb", "gpu_memory_mb")
INSTALL = "python -m pip install"
EVENTS = "events.out.tfevents"  # the start of an event file's name


def main(run: Path, out: Path) -> None:
    """Writes the epochs of all jobs below the folder RUN into the folder OUT."""
    if not importlib.util.find_spec("tensorboardX"):
        raise InputError(f"tensorboardX is not installed; run `{INSTALL} tensorboardX tensorboard`")
    logs = sorted(run.rglob(RUN_LOG))
    if not logs:
        raise InputError(f"{run}: no {RUN_LOG} below it; run `make first_level`")
    others = [path for path in out.rglob("*") if path.is_file() and EVENTS not in path.name]
    if others or out.is_file():
        raise InputError(f"{out}: holds other files; choose a new folder or one of event files")
    with writing(out) as temporary:
        for path in logs:
            write_events(path, temporary / path.parent.relative_to(run))
    installed = importlib.util.find_spec("tensorboard")
    hint = "" if installed else f" (to install it: {INSTALL} tensorboard)"
    cli.log(f"{out}: {len(logs)} jobs; look at them with: tensorboard --logdir {out}{hint}")


def write_events(log: Path, folder: Path) -> None:
    """One job's epochs as an event file in FOLDER, at the times when they ended."""
    from tensorboardX import SummaryWriter

    lines = read_log(log)
    passed = list(accumulate(line["seconds"] for line in lines))
    ended = log.stat().st_mtime
    with SummaryWriter(str(folder)) as writer:
        for line, seconds in zip(lines, passed, strict=True):
            for key in FIGURES:
                if key in line:
                    when = ended - (passed[-1] - seconds)
                    writer.add_scalar(key, line[key], line["epoch"], walltime=when)


if __name__ == "__main__":
    cli.run(main)
