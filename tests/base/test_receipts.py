"""Receipts: what a job was made from and what it wrote; when there is nothing to do."""

import pytest

from yt8m.base.digests import SEALED, Digests, seal_of
from yt8m.base.files import read_json, write_json
from yt8m.base.paths import Artifacts
from yt8m.base.receipts import FAILED, RUNNING, Recorder, commits_of, note_derived

COMMAND = ["stage.verb", "in.json", "out", "--jobs", "2", "--fold", "3", "--threads", "1"]


@pytest.fixture
def planned(tmp_path, monkeypatch):
    """A run of one job, and a function that finds its recorder."""
    files = Artifacts.of_run(tmp_path / "run")
    job = {"name": "stage/job", "command": COMMAND, "settings": {"SIZE": "1"}, "records": None}
    job |= {"inputs": [str(files.run / "in.json")], "outputs": [str(files.run / "out.txt")]}
    job |= {"folders": [str(files.run / "rows-*")]}
    write_json(files.run / "in.json", 1)
    write_json(files.jobs, {"run": str(files.run), "store": str(files.store), "jobs": [job]})
    monkeypatch.setenv("YT8M_PLANNED", str(files.jobs))
    monkeypatch.setenv("YT8M_COMMIT", "abc1234")
    return files, lambda: Recorder.of_command(COMMAND[0], COMMAND[1:])


def _work(files, recorder) -> None:
    with recorder.recording():
        assert files.receipt("stage/job").with_suffix(RUNNING).exists()
        (files.run / "out.txt").write_text("made")
        (files.run / "rows-1").mkdir(exist_ok=True)
        (files.run / "rows-1" / "a.npy").write_text("123")


def test_a_receipt_says_what_went_in_and_came_out(planned):
    files, recorder = planned
    assert not recorder().is_done()
    _work(files, recorder())
    receipt = read_json(files.receipt("stage/job"))
    sealed = {"@run/out.txt": seal_of(files.run / "out.txt")}
    assert receipt["outputs"] == sealed | {"@run/rows-1/a.npy": seal_of(files.run / "rows-1/a.npy")}
    assert list(receipt["inputs"]) == ["@run/in.json"]
    assert (receipt["settings"], receipt["commit"]) == ({"SIZE": "1"}, "abc1234")
    assert commits_of(files.run) == "abc1234"
    assert recorder().is_done()
    assert not files.receipt("stage/job").with_suffix(RUNNING).exists()


@pytest.mark.parametrize(
    "change", ["input", "output", "folder", "setting", "receipt", "new output"]
)
def test_whatever_differs_there_is_work_to_do(planned, change):
    files, recorder = planned
    _work(files, recorder())
    if change == "input":
        write_json(files.run / "in.json", 2)
    elif change == "output":
        (files.run / "out.txt").write_text("maid")
    elif change == "folder":
        (files.run / "rows-1" / "a.npy").unlink()
    elif change == "new output":  # of newer code, which names it
        about = read_json(files.jobs)
        about["jobs"][0]["outputs"].append(str(files.run / "more.txt"))
        write_json(files.jobs, about)
    elif change == "setting":
        about = read_json(files.jobs)
        about["jobs"][0]["settings"]["SIZE"] = "2"
        write_json(files.jobs, about)
    else:
        files.receipt("stage/job").write_text("{")
    assert not recorder().is_done()


def test_a_failure_leaves_a_marker_and_no_receipt(planned):
    files, recorder = planned
    with pytest.raises(ValueError, match="on purpose"), recorder().recording():
        raise ValueError("on purpose")
    receipt = files.receipt("stage/job")
    assert receipt.with_suffix(FAILED).exists()
    assert not receipt.exists()
    _work(files, recorder())
    assert not receipt.with_suffix(FAILED).exists()


def test_derived_files_are_outputs_of_who_reads_them(planned, monkeypatch):
    files, recorder = planned
    monkeypatch.setattr("yt8m.base.receipts._derived", set())
    (files.store / "derived").mkdir(parents=True)
    (files.store / "derived" / "a.npy").write_text("12")
    note_derived(files.store / "derived")
    _work(files, recorder())
    assert "@store/derived/a.npy" in read_json(files.receipt("stage/job"))["outputs"]
    (files.store / "derived" / "a.npy").unlink()
    assert not recorder().is_done()


def test_a_job_that_another_make_planned_with_other_cores_is_the_same(planned):
    def recorder_of(text):
        return Recorder.of_command("stage.verb", text.split())

    files, recorder = planned
    assert recorder_of("in.json out --jobs 8 --fold 3 --threads 4") == recorder()
    assert recorder_of("in.json out --jobs 2 --fold 4 --threads 1") is None, "another job"
    assert recorder_of("in.json out --fold 3") == recorder()


def test_of_processes_that_train_together_the_first_writes(planned, monkeypatch):
    files, recorder = planned
    monkeypatch.setenv("RANK", "1")
    with recorder().recording():
        assert not files.receipts.exists()
    assert not files.receipts.exists()


def test_a_command_of_no_job_has_none(planned):
    assert Recorder.of_command("stage.verb", ["other.json"]) is None


def test_a_seal_tells_other_bytes_of_the_same_size_and_large_files_by_size(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(bytes(100))
    before = seal_of(path)
    path.write_bytes(bytes(99) + b"1")
    assert seal_of(path) != before
    with open(path, "wb") as file:
        file.truncate(SEALED + 1)
    assert seal_of(path) == str(SEALED + 1)


@pytest.mark.parametrize("text", ["", "{", "null", "[]", "cut"])
def test_a_damaged_cache_is_an_empty_one(tmp_path, text):
    (tmp_path / "looked.json").write_text(text)
    (tmp_path / "a").write_text("x")
    digests = Digests(tmp_path / "looked.json")
    assert digests[tmp_path / "a"]
    digests.save()
    assert Digests(tmp_path / "looked.json").files
