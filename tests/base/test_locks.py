"""Locks and temporary files between processes and hosts: nothing is lost, nothing stays locked."""

import importlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from test_house import FLOORS, ROOT

from yt8m.base import files, locks
from yt8m.base.cli import InputError
from yt8m.base.files import HOST, writing
from yt8m.base.locks import Holder, claim, hold

GONE = 4_194_305  # above what Linux gives
MINE = Holder.of(os.getpid(), "one")
ELSEWHERE = replace(MINE, host="far", machine="far 7", command="make all")


def lock_of(folder, holder: Holder, silent: float = 0):
    """A lock that a holder left, and last touched some seconds ago."""
    lock = folder / locks.LOCK
    lock.write_text(json.dumps(holder.__dict__))
    os.utime(lock, (time.time() - silent,) * 2)
    return lock


@pytest.mark.parametrize(
    ("holder", "silent"),
    [
        (replace(MINE, pid=GONE), 0),
        (replace(MINE, born="1"), 0),
        (ELSEWHERE, 2 * locks.SILENT),
    ],
    ids=["ended", "another of its number", "silent"],
)
def test_a_lock_that_nobody_can_hold_is_taken_over(tmp_path, capsys, holder, silent):
    lock = lock_of(tmp_path, holder, silent)
    with hold(lock, "job"):
        assert json.loads(lock.read_text())["pid"] == os.getpid()
    assert not list(tmp_path.iterdir())
    said = capsys.readouterr().out
    assert ("make all (process" in said and "silent for 240 s; taking over" in said) == bool(silent)


def test_a_lock_that_is_no_holders_is_taken_over(tmp_path):
    for text in ("", "{}", "[1]", "\0"):
        (tmp_path / locks.LOCK).write_text(text)
        with hold(tmp_path / locks.LOCK, "job"):
            pass


@pytest.mark.parametrize("holder", [MINE, ELSEWHERE], ids=["here", "elsewhere"])
def test_a_run_that_is_in_use_is_one_line_that_says_by_whom(tmp_path, holder):
    lock = lock_of(tmp_path, holder, silent=30)
    text = rf"in use by {holder.command} \(process \d+ on {holder.host}, since 2.*\); wait until"
    with pytest.raises(InputError, match=text):
        claim(lock, GONE, "make", [GONE])
    assert json.loads(lock.read_text())["command"] == holder.command
    assert len(list(tmp_path.iterdir())) == 1


def test_a_make_that_another_make_called_may_work_in_its_run(tmp_path):
    lock = tmp_path / "run" / locks.LOCK
    claim(lock, os.getpid(), "make retrain", [os.getpid()])
    claim(lock, os.getppid(), "make first_level", [os.getpid(), os.getppid()])
    assert json.loads(lock.read_text())["command"] == "make retrain"


def test_who_holds_a_lock_touches_it_and_those_of_whom_it_works_for(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "BEAT", 0.01)
    run = lock_of(tmp_path, ELSEWHERE, silent=1000)
    with hold(tmp_path / "job.lock", "job", run):
        deadline = time.time() + 10
        while time.time() - run.stat().st_mtime > 500 and time.time() < deadline:
            time.sleep(0.01)
    assert time.time() - run.stat().st_mtime < 500


def _count(folder) -> None:
    with hold(folder / locks.LOCK, "count"):
        number = int((folder / "count").read_text())
        time.sleep(0.001)
        (folder / "count").write_text(str(number + 1))


def _write(folder, value: int) -> None:
    for _ in range(5):
        with writing(folder / "a", durable=False) as temporary:
            temporary.write_bytes(bytes([value]) * 50_000)
        with writing(folder / "d", durable=False) as temporary:
            temporary.mkdir()
            (temporary / "x").write_bytes(bytes([value]) * 50_000)


def test_racing_processes_lose_nothing(tmp_path):
    lock_of(tmp_path, replace(MINE, pid=GONE))  # all of them find it stale
    (tmp_path / "count").write_text("0")
    fork = multiprocessing.get_context("fork")
    workers = [fork.Process(target=_count, args=(tmp_path,)) for _ in range(12)]
    workers += [fork.Process(target=_write, args=(tmp_path, value)) for value in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * len(workers)
    assert (tmp_path / "count").read_text() == "12"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "count", "d"]
    for path in (tmp_path / "a", tmp_path / "d" / "x"):
        found = path.read_bytes()
        assert len(found) == 50_000
        assert len(set(found)) == 1, "of one writer"


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path):
    left = [f"a.{HOST}-{GONE}-0.tmp", f"a.{HOST}-{GONE}-7.tmp", "a.tmp", "a.far-1-0.tmp"]
    kept = [f"a.{HOST}-{os.getppid()}-0.tmp", "a.far-2-0.tmp", "ab.tmp", "a.b.tmp", "atmp"]
    for name in left + kept:
        (tmp_path / name).mkdir()
    os.utime(tmp_path / "a.far-1-0.tmp", (time.time() - 2 * 24 * 3600,) * 2)
    with writing(tmp_path / "a") as temporary:
        temporary.write_text("new")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, "a"])


def test_data_reach_the_disk_before_their_name_does(tmp_path, monkeypatch):
    seen = []

    def sync(handle):
        name = os.path.basename(os.readlink(f"/proc/self/fd/{handle}"))
        seen.append((name, "a" in os.listdir(tmp_path)))

    monkeypatch.setattr(files, "FSYNC", True)
    monkeypatch.setattr(os, "fsync", sync)
    with writing(tmp_path / "a") as temporary:
        temporary.mkdir()
        (temporary / "x").write_text("1")
    assert seen == [("x", False), (temporary.name, False), (tmp_path.name, True)]


def test_ctrl_c_while_imports_run_is_no_traceback(tmp_path):
    (tmp_path / "verbs").mkdir()
    (tmp_path / "verbs/__init__.py").write_text("import yt8m")
    (tmp_path / "verbs/one.py").write_text("import os; os.kill(os.getpid(), 2); print('here')")
    done = subprocess.run(
        [sys.executable, "-m", "verbs.one"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell may ignore it
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
    for stage in FLOORS[6:]:
        assert importlib.import_module(stage).yt8m, "else Ctrl-C is a traceback in its verbs"
