"""Verbs run in this process: the start of one costs more than its toy training."""

import importlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from subprocess import STDOUT
from types import SimpleNamespace
from unittest import mock

from bench.experiments import jobs
from yt8m.base import cli


def _run(command, stdout, **_) -> SimpleNamespace:
    """subprocess.run of `python -m module arguments`, for one thread at a time."""
    with redirect_stdout(stdout), redirect_stderr(stdout):
        cli.run(importlib.import_module(command[2]).main, command[3:])
    return SimpleNamespace(returncode=0)


@contextmanager
def verbs_here():
    """While it lasts, experiments start no process, and one job at a time; none may fail."""
    here = SimpleNamespace(run=_run, STDOUT=STDOUT)
    one = mock.patch.object(jobs, "ThreadPoolExecutor", lambda _: ThreadPoolExecutor(1))
    with mock.patch.object(jobs, "subprocess", here), one:
        yield
