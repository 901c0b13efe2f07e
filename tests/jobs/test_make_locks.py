"""Two makes on one run: one works, the other says who does. A killed one's lock is nobody's."""

import json
import os
import subprocess

from make_world import RUN, environment, make, run_make

from yt8m.base.files import working_in
from yt8m.base.paths import Artifacts


def test_a_second_make_says_who_works_on_the_run(tree):
    for path in (tree / RUN / "export").iterdir():
        path.unlink()
    command = ["make", "all", "DATA=records", "PYTHON=./python", "PLAN=tiny"]
    more = {"LASTING": "distill.export.write"}
    with subprocess.Popen(
        command, cwd=tree, env=environment() | more, stdout=subprocess.PIPE, text=True
    ) as first:
        for line in first.stdout:
            if "-m distill.export.write" in line:
                break
        second = run_make(tree, "all")
        assert second.returncode == 2
        lines = [line for line in second.stderr.splitlines() if "in use by" in line]
        assert len(lines) == 1
        assert f"error: {RUN}: in use by make all PLAN=tiny (process {first.pid} on " in lines[0]
        assert run_make(tree, "all", "-n").returncode == 0, "a dry run writes nothing"
        first.stdout.read()
    assert first.returncode == 0
    assert make(tree) == []


def test_jobs_may_lock_the_folder_of_the_run_that_make_has_locked(tree):
    make(tree)
    held = json.loads((tree / RUN / ".make.lock").read_text())
    assert held["command"] == "make all PLAN=tiny"
    with working_in(tree / RUN) as folder:
        names = {path.name for path in folder.iterdir()}
        assert Artifacts(folder, folder).lock.name in names
        assert ".lock" in names
    assert not (tree / RUN / ".lock").exists()
    assert os.path.exists(tree / RUN / ".make.lock")
