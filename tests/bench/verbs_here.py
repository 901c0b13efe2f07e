"""Verbs run in this process: the start of one costs more than its toy training."""

import importlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from subprocess import STDOUT
from types import SimpleNamespace
from unittest import mock

from bench.experiments import jobs
from yt8m.base import cli


def run_here(module: str, *arguments: str) -> None:
    """`python -m module arguments`, but errors are raised."""
    cli.run(importlib.import_module(module).main, list(arguments))


def _run(command, stdout, **_) -> SimpleNamespace:
    """Instead of subprocess.run; for one thread at a time."""
    with redirect_stdout(stdout), redirect_stderr(stdout):
        run_here(*command[2:])
    return SimpleNamespace(returncode=0)


@contextmanager
def verbs_here():
    """While it lasts, experiments start no process, and one job at a time; none may fail."""
    here = SimpleNamespace(run=_run, STDOUT=STDOUT)
    one = mock.patch.object(jobs, "ThreadPoolExecutor", side_effect=lambda _: ThreadPoolExecutor(1))
    with mock.patch.object(jobs, "subprocess", here), one:
        yield
