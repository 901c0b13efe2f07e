"""make status: what it says is what make then does, of the real Makefile with a fake Python."""

import re
import subprocess

import pytest
from make_world import RUN, make, make_tree

COMMAND = ["make", "PYTHON=./python", "PLAN=tiny", "DATA=records"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory, planning):
    return make_tree(tmp_path_factory.mktemp("status"), planning)


def _files(tree):
    """Files and their times, but for what the planner remembers of looks at files."""
    paths = [path for path in (tree / "artifacts").rglob("*") if path.is_file()]
    kept = [path for path in paths if path.name not in ("looked.json", "checked.json")]
    return {path: path.lstat().st_mtime_ns for path in kept}


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
    make(tree, *arguments)
    calls = (tree / "calls.txt").read_text().splitlines() if (tree / "calls.txt").exists() else []
    calls = [call for call in calls if not call.startswith("report.")]
    assert len(calls) == said, printed
    assert sum(stale + missing for _, stale, missing in stages.values()) == said
    return stages, printed


def test_no_run_at_all(tree):
    stages, printed = _agrees(tree)
    assert stages["first_level"] == (0, 0, 10)
    assert "nothing like them was measured" in printed


def test_nothing_to_do_though_a_comment_was_edited(tree):
    toml = tree / "first_level/configs/tiny/two.toml"
    toml.write_text("# another reason\n" + toml.read_text())
    stages, printed = _agrees(tree)
    assert stages["first_level"] == (10, 0, 0)
    assert "make all: nothing to do" in printed


def test_a_changed_setting_of_one_student_is_said_to_train_it_alone(tree):
    toml = tree / "distill/configs/tiny.toml"
    before = toml.read_text()
    toml.write_text("[resnet.training]\nepochs = 3\n")
    stages, _ = _agrees(tree)
    assert stages["distill"][1] == 1
    toml.write_text(before)
    make(tree)


def test_a_stage_ends_with_its_table_once(tree):
    def shown(goal):
        done = subprocess.run([*COMMAND, goal], cwd=tree, capture_output=True, text=True)
        return done.stdout.splitlines().count('"made"')  # what the table says here

    (tree / RUN / "stacking/report.json").unlink()
    assert shown("all") == 1
    assert shown("all") == 0, "it did nothing"
    assert shown("stacking") == 1, "asked for by name"


def test_a_report_that_is_gone_is_named(tree):
    (tree / RUN / "report.html").unlink()
    _, printed = _agrees(tree)
    assert f"make all: makes {RUN}/report.html" in printed


def test_a_missing_file_makes_what_depends_on_it_stale(tree):
    (tree / RUN / "first_level/one/fold3/predictions.safetensors").unlink()
    stages, _ = _agrees(tree)
    assert stages["first_level"] == (9, 0, 1)
    assert stages["stacking"] == (4, 13, 0)


def test_settings_that_differ_are_named(tree):
    toml = tree / "first_level/configs/tiny/two.toml"
    text = toml.read_text()
    toml.write_text(text + "epochs = 3\n")
    stages, printed = _agrees(tree, "BUDGET_MB=9")
    toml.write_text(text)
    assert stages["first_level"] == (5, 5, 0)
    assert f"changed: {RUN}/first_level/two/config.json (6 jobs)" in printed
    assert "setting: BUDGET_MB" in printed


def test_a_model_that_comes_and_one_that_goes(tree):
    folder = tree / "first_level/configs/tiny"
    (folder / "two.toml").rename(folder / "three.toml")
    stages, _ = _agrees(tree)
    (folder / "three.toml").rename(folder / "two.toml")
    assert stages["first_level"] == (5, 0, 5)
    assert stages["stacking"] == (0, 17, 0)


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


def test_make_says_which_file_was_exchanged(tree):
    make(tree)
    one, two = (tree / RUN / f"first_level/one/fold{k}/weights.safetensors" for k in (0, 1))
    two.write_text("other\n")
    one.write_bytes(two.read_bytes())
    done = subprocess.run([*COMMAND, "all"], cwd=tree, capture_output=True, text=True, check=True)
    for k in (0, 1):
        name = f"first_level/one/fold{k}"
        said = f"make: {RUN}/{name}/weights.safetensors is not what its job wrote; {name} runs"
        assert said in done.stderr
    assert one.read_text() == two.read_text() != "other\n"
