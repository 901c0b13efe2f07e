"""log.jsonl: a line of JSON for each epoch of a training job, for who watches or plots it.

    {"job": "linear fold3", "epochs": 10, "epoch": 4, "loss": 3.92, "lr": 0.0048, "gap": 0.4338,
     "examples_per_s": 96841.0, "seconds": 0.03, "left": 0.2, "peak_memory_mb": 348.8}

`epochs` is how many there will be at most; `gap` is GAP@20 of the watched videos, absent where none
are watched; `lr` that of the epoch's last step; `seconds` the epoch's, `left` those expected until
the end; memory is the process's peak so far (on a GPU also `gpu_memory_mb`).
The whole file is written anew after each epoch, from the run's own history: a job that was killed
and goes on has no epoch twice, none that it lost, and never half a line.
"""

import json
from pathlib import Path

from yt8m.base.cli import InputError
from yt8m.base.files import writing
from yt8m.base.paths import RUN_LOG

WRITTEN = {"job", "epochs", "epoch", "loss", "lr", "examples_per_s", "seconds", "left"}


def write_log(folder: Path, job: str, epochs: int, history: list[dict]) -> None:
    """Writes FOLDER/log.jsonl from the lines of a run's history so far, atomically."""
    lines = [json.dumps({"job": job, "epochs": epochs} | line) + "\n" for line in history]
    with writing(folder / RUN_LOG, durable=False) as temporary:
        temporary.write_text("".join(lines))


def read_log(path: Path) -> list[dict]:
    """The lines of a log, none when there is no such file; InputError when they are not epochs."""
    try:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); delete it") from error
    if not all(isinstance(line, dict) and WRITTEN <= line.keys() for line in lines):
        raise InputError(f"{path}: not a log of epochs; delete it")
    return lines


def seconds_of(history: list[dict], here: float) -> float:
    """Of a job: `here`, what this process has taken; where it went on from the checkpoint of a
    killed one, at least what the epochs of both took."""
    return max(here, sum(line["seconds"] for line in history))
