"""Values of settings are data: whatever stands in them, no shell and no make reads it."""

import pytest
from make_world import RUN, add_shard, environment, make, run_make

from yt8m.base.files import read_json

NASTY = ["a b'c\"d`touch pwned`;touch pwned #%&($(touch pwned)) \\", "$(shell touch pwned)"]


@pytest.fixture(autouse=True)
def _nothing_is_executed(tree):
    yield
    assert not list(tree.rglob("pwned"))


def _refused(done, *texts):
    """One clear line that names the setting, before anything runs."""
    assert done.returncode != 0
    assert any(text in done.stderr for text in texts), done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 3


def _calls(tree):
    return (tree / "calls.txt").read_text().splitlines()


@pytest.mark.parametrize("value", NASTY)
@pytest.mark.parametrize("name", ["ARTIFACTS", "STORE"])
def test_where_make_names_files_such_a_folder_is_refused(tree, name, value):
    for goal in ("clean", "all", "status") if name == "ARTIFACTS" else ("all", "status"):
        _refused(run_make(tree, goal, f"{name}={value}"), f"{name} {value}: make cannot name files")


@pytest.mark.parametrize("name", ["PLAN", "ARTIFACTS", "JOBS", "THREADS", "MEMORY_MB"])
def test_what_stands_in_recipes_is_one_plain_word(tree, name):
    for value in ("", "%", "tiny;touch pwned", "tiny ../..", "2;touch${IFS}pwned", "0", "-1", "1)"):
        if (name, value) in (("PLAN", "0"), ("ARTIFACTS", "0")):
            continue
        for goal in ("clean", "models", "plan-cost", "test", "bench"):
            done = run_make(tree, "-n", goal, f"{name}={value}")
            assert done.returncode == 2, (goal, value)
            _refused(done, f"no plan '{value}'", f"{name} {value}: ")


@pytest.mark.parametrize("value", NASTY)
@pytest.mark.parametrize("name", ["DATA", "DESCRIPTION", "UNLABELLED", "HOLDOUT", "BUDGET_MB"])
def test_what_does_not_exist_is_refused_as_it_was_written(tree, name, value):
    done = run_make(tree, "folds", f"{name}={value}")
    _refused(done, f"error: {name} {' '.join(value.split())}: ")


@pytest.mark.parametrize("value", NASTY)
def test_records_in_a_folder_of_any_name(tree, value):
    folder = tree / value.replace("/", "")
    folder.mkdir()
    add_shard(folder / "a.tfrecord", seed=0)
    assert make(tree, data=folder.name) == [], "the same records"
    assert read_json(tree / RUN / "given.json")["DATA"] == folder.name
    add_shard(folder / "b.tfrecord", seed=5)
    calls = make(tree, data=None, goal="folds")
    [decode] = [call for call in calls if call.startswith("folds.decode")]
    assert decode == f"folds.decode {folder.name} {RUN}/store --jobs {decode.split()[-1]}"
    make(tree, goal="folds")


@pytest.mark.parametrize("value", NASTY)
def test_a_submission_into_a_file_of_any_name(tree, value):
    (tree / "calls.txt").unlink(missing_ok=True)
    done = run_make(tree, "submission", f"OUT={value}.csv", f"RECORDS={value}", f"EXPORT={value}")
    assert done.returncode == 0, done.stderr
    assert _calls(tree) == [f"distill.predict {value} {value} {value}.csv"]


@pytest.mark.parametrize("value", NASTY)
def test_a_download_of_anything(tree, value):
    (tree / "calls.txt").unlink(missing_ok=True)
    names = ("PARTITION", "SHARDS", "MIRROR", "CONNECTIONS", "DATA")
    done = run_make(tree, "download", *(f"{name}={value}" for name in names))
    assert done.returncode == 0, done.stderr
    options = f"--shards {value} --mirror {value} --connections {value}"
    assert _calls(tree) == [f"folds.download {value} {value} {options}"]


def test_what_is_remembered_is_never_code(tree):
    path = tree / RUN / "given.json"
    text = path.read_text()
    path.write_text(text.replace('"records"', '"$(shell touch pwned)`touch pwned`"'))
    assert run_make(tree, "all").returncode == 0, "it is not there; the store is"
    path.write_text(text.replace('"STORE": ""', '"STORE": "$(shell touch pwned)"'))
    _refused(run_make(tree, "all"), "error: STORE $(shell touch pwned): make cannot name files")
    path.write_text("$(shell touch pwned)")
    _refused(run_make(tree, "all"), "given.json: not JSON")
    path.write_text(text)


def test_commands_are_commands(tree):
    (tree / "calls.txt").unlink(missing_ok=True)
    (tree / RUN / "report.html").unlink()
    done = run_make(tree, "report", "RUN=env WHO='a b'", **environment())
    assert done.returncode == 0, done.stderr
    assert "env WHO='a b' ./python -m report.page" in done.stdout


def test_the_run_goes_on_as_before(tree):
    assert make(tree) == []


def test_where_planning_fails_nothing_runs_by_older_rules(tree):
    (tree / "calls.txt").unlink(missing_ok=True)
    assert run_make(tree, "-n", "all", "HOLDOUT=0.3").returncode == 0
    done = run_make(tree, "-k", "all", "HOLDOUT=0,3")
    assert done.returncode == 2
    assert "error: HOLDOUT 0,3: no such file or folder; a share (0.1)" in done.stderr
    assert not (tree / "calls.txt").exists()
    assert make(tree, data=None) == []


def test_an_export_predicts_records_without_any_run(tree):
    (tree / "calls.txt").unlink(missing_ok=True)
    done = run_make(tree, "submission", "EXPORT=x", "RECORDS=y", "OUT=z.csv", "ARTIFACTS=new")
    assert done.returncode == 0, done.stderr
    assert _calls(tree) == ["distill.predict x y z.csv"]
