"""make status: what it says is what make then does, of the real Makefile with a fake Python."""

import re
import shutil
import subprocess

import pytest
from test_makefile import RUN, make, make_tree

COMMAND = ["make", "PYTHON=./python", "PLAN=tiny", "DATA=records"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return make_tree(tmp_path_factory.mktemp("status"))


def _files(tree):
    return {path: path.lstat().st_mtime_ns for path in (tree / "artifacts").rglob("*")}


def _agrees(tree, *arguments):
    """({stage: (done, stale, missing)}, all that was printed), after make has done as it said."""
    before = _files(tree)
    command = [*COMMAND, "status", *arguments]
    printed = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=True).stdout
    assert _files(tree) == before, "nothing is written"
    cells = [line.split("|")[1:-1] for line in printed.splitlines() if line.startswith("| ")][2:]
    stages = {stage.strip(): tuple(map(int, counts[1:4])) for stage, *counts in cells}
    jobs = re.search(r"make all: (\d+) jobs", printed)
    said = int(jobs[1]) if jobs else 0
    calls = [call for call in make(tree, *arguments) if not call.startswith("report.")]
    assert len(calls) == said, printed
    assert sum(stale + missing for _, stale, missing in stages.values()) == said
    return stages, printed


def test_nothing_to_do(tree):
    stages, printed = _agrees(tree)
    assert stages["first_level"] == (10, 0, 0)
    assert "make all: nothing to do" in printed


def test_a_missing_file_makes_what_depends_on_it_stale(tree):
    (tree / RUN / "first_level/one/fold3/predictions.npz").unlink()
    stages, _ = _agrees(tree)
    assert stages["first_level"] == (9, 0, 1)
    assert stages["stacking"] == (4, 13, 0)


def test_settings_are_compared_by_what_they_say(tree):
    toml = tree / "first_level/configs/tiny/two.toml"
    text = toml.read_text()
    toml.write_text("# another reason\n" + text)
    assert _agrees(tree)[0]["first_level"] == (10, 0, 0)
    toml.write_text(text + "epochs = 3\n")
    stages, printed = _agrees(tree)
    assert stages["first_level"] == (5, 5, 0)
    assert f"settings differ: {RUN}/first_level/two/config.json" in printed
    toml.write_text(text)
    stages, printed = _agrees(tree, "HOLDOUT=0.3")
    assert stages["folds"] == (1, 1, 0)
    assert f"settings differ: {RUN}/holdout.txt" in printed
    assert _agrees(tree, "BUDGET_MB=9")[0]["first_level"] == (0, 10, 0), "and HOLDOUT again"


def test_models_that_come_and_go(tree):
    make(tree)
    folder = tree / "first_level/configs/tiny"
    text = (folder / "two.toml").read_text()
    (folder / "two.toml").unlink()
    stages, _ = _agrees(tree)
    assert stages["first_level"] == (5, 0, 0)
    assert stages["stacking"] == (0, 17, 0)
    (folder / "two.toml").write_text(text)
    (folder / "three.toml").write_text(text)
    assert _agrees(tree)[0]["first_level"] == (10, 0, 5)
    (folder / "three.toml").unlink()


def test_new_records_and_no_run_at_all(tree):
    (tree / "records" / "b.tfrecord").write_text("y")
    assert _agrees(tree)[0]["folds"] == (0, 2, 0)
    shutil.rmtree(tree / RUN)
    stages, printed = _agrees(tree)
    assert stages["first_level"] == (0, 0, 10)
    assert "| unknown" in printed


def test_settings_that_are_wrong_are_one_clear_line(tree):
    toml = tree / "first_level/configs/tiny/two.toml"
    text = toml.read_text()
    toml.write_text(text.replace("lr", "rl"))
    done = subprocess.run([*COMMAND, "status"], cwd=tree, capture_output=True, text=True)
    toml.write_text(text)
    assert done.returncode == 2
    assert "unknown key 'training.rl'" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_an_environment_it_makes_none(tree):
    command = ["make", "status", "PLAN=tiny"]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    assert done.returncode == 2
    assert "there is no .venv/bin/python yet; run `make venv`" in done.stderr
    assert not (tree / ".venv").exists()


def test_a_stage_ends_with_its_table_once(tree):
    def shown(goal):
        done = subprocess.run([*COMMAND, goal], cwd=tree, capture_output=True, text=True)
        return done.stdout.splitlines().count("made")  # what the table says here

    make(tree)
    (tree / RUN / "stacking/report.json").unlink()
    assert shown("all") == 1
    assert shown("all") == 0, "it did nothing"
    assert shown("stacking") == 1, "asked for by name"
    (tree / RUN / "stacking/report.json").unlink()
    assert shown("stacking") == 1
