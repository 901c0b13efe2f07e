"""Jobs of a measurement: each in a process of its own on one thread, a few at a time."""

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from yt8m.base import cli
from yt8m.base.cli import InputError


def together(calls: list[Callable[[], None]], jobs: int) -> None:
    """Calls them all, so many at a time. After a failure no more are started, and it is raised."""
    with ThreadPoolExecutor(jobs) as pool:
        running = [pool.submit(call) for call in calls]
        try:
            for job in running:
                job.result()
        finally:
            pool.shutdown(cancel_futures=True)


def verb(module: str, arguments: list, folder: Path, title: str) -> None:
    """Runs a stage's verb on one thread, what it prints in FOLDER/log.txt, and its last line here
    behind `title`. InputError when it fails."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    with open(folder / "log.txt", "w") as log:
        done = subprocess.run(
            command, stdout=log, stderr=subprocess.STDOUT, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )
    last = (folder / "log.txt").read_text().splitlines()[-1:]
    cli.log(f"{title}: {last[0] if last else 'no output'}")
    if done.returncode:
        raise InputError(f"{folder}: failed; see log.txt there")
