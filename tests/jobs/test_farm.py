"""What the live view and status know of jobs: durations, what runs, what is left."""

import io
import time
from pathlib import Path

import pytest
from rich.console import Console

from jobs.durations import Durations, clock
from jobs.farm import Farm
from jobs.job import Graph, Job
from jobs.live import View, environment
from jobs.settings import Settings
from jobs.status import sum_of
from report import stage
from yt8m.base.cli import InputError
from yt8m.base.files import remove, write_json
from yt8m.base.paths import Artifacts
from yt8m.base.receipts import FAILED, RUNNING
from yt8m.base.run_log import write_log


def test_make_is_called_as_the_first_make_was(monkeypatch):
    monkeypatch.setenv("MAKEFLAGS", "k -j2 --jobserver-auth=3,4 -- RUN=srun\\ -n\\ 1 PLAN=x")
    monkeypatch.setenv("MAKELEVEL", "1")
    monkeypatch.setenv("MAKE_TERMOUT", "/dev/pts/0")
    found = environment()
    assert found["MAKEFLAGS"] == "k -j2 -- RUN=srun\\ -n\\ 1 PLAN=x"
    assert not {"MAKELEVEL", "MAKE_TERMOUT"} & set(found)


def _job(run: Path, model: str, fold: int = 0, arch: str = "mlp") -> Job:
    out = run / "first_level" / model / f"fold{fold}" / "predictions.safetensors"
    name, kin = f"first_level/{model}/fold{fold}", (f"first_level/{model}", f"arch {arch}")
    return Job(name, "first_level", "first_level.train", (model, str(fold)), (), (out,), kin=kin)


class Measured:
    """A run of some jobs, whose receipts say how long they took."""

    def __init__(self, run: Path, videos: int = 1000):
        self.files, self.jobs, self.receipts = Artifacts(run, run / "store"), [], {}
        write_json(self.files.manifest, {"videos": videos})

    def took(self, job: Job, seconds: float) -> None:
        self.jobs.append(job)
        self.receipts[job.name] = {"seconds": seconds}
        write_json(self.files.receipt(job.name), {"seconds": seconds})
        listed = [{"name": job.name, "kin": [job.name, *job.kin]} for job in self.jobs]
        write_json(self.files.jobs, {"store": str(self.files.store), "jobs": listed})

    def durations(self) -> Durations:
        return Durations(Graph(tuple(self.jobs), {}), self.receipts, self.files)


def test_a_duration_is_that_of_the_nearest_thing_that_was_measured(tmp_path):
    run, other = Measured(tmp_path / "p"), Measured(tmp_path / "q", videos=4000)
    wanted = _job(run.files.run, "a", 1)
    assert run.durations().estimate(wanted) is None
    other.took(_job(other.files.run, "z"), 80.0)
    assert run.durations().estimate(wanted) == 20.0, "a quarter of the videos"
    run.took(_job(run.files.run, "b"), 7.0)
    run.took(_job(run.files.run, "c", arch="lstm"), 99.0)
    assert run.durations().estimate(wanted) == 7.0, "the same architecture"
    run.took(_job(run.files.run, "a"), 3.0)
    assert run.durations().estimate(wanted) == 3.0, "the same model"
    run.took(wanted, 5.0)
    assert run.durations().estimate(wanted) == 5.0, "itself"


def test_durations_in_words():
    assert [clock(s) for s in (5, 65, 7265)] == ["0:05", "1:05", "2:01:05"]
    assert sum_of([], 2) == "-"
    assert sum_of([None], 2) == "unknown"
    assert sum_of([60.0, 60.0, None], 2) == "1:00 and 1 unknown"


class SmallFarm:
    """A farm of three folds of one model, and what its jobs would write."""

    def __init__(self, run: Path, folds: int = 3, slots: int = 2):
        self.files = Artifacts.of_run(run)
        self.jobs = [_job(run, "a", fold) for fold in range(folds)]
        self.farm = Farm(self.files, self.jobs, Measured(run).durations(), slots)

    def start(self, job: Job) -> None:
        marker = self.files.receipt(job.name).with_suffix(RUNNING)
        write_json(marker, {"pid": 1, "started": time.time()})

    def end(self, job: Job, well: bool = True) -> None:
        receipt = self.files.receipt(job.name)
        write_json(receipt if well else receipt.with_suffix(FAILED), {})
        remove(receipt.with_suffix(RUNNING))


def _epoch(number, gap=0.3):
    """A line of a log."""
    line = {"epoch": number, "loss": 1.0, "lr": 0.1, "gap": gap, "seconds": 2.0}
    return line | {"examples_per_s": 1234.0, "left": 65.0}


def test_a_job_runs_from_its_marker_to_its_receipt(tmp_path):
    report = {"gap_fold": 0.7}
    write_json(tmp_path / "first_level/b/fold0/report.json", report)
    running = SmallFarm(tmp_path)
    farm, jobs = running.farm, running.jobs
    assert farm.left() == (0, 3)
    assert farm.look() == []
    running.start(jobs[0])
    assert farm.look() == [jobs[0]]
    assert (len(farm.running), len(farm.ended)) == (1, 0)
    log = jobs[0].target.parent / "log.jsonl"
    log.parent.mkdir(parents=True, exist_ok=True)
    for damaged in ('"made"\n', '{"epoch": 1, "epochs": 4}\n', "{"):
        log.write_text(damaged)
        assert farm.look() == [], "the view outlives what it cannot read"
    assert farm.running[jobs[0].name].share is None
    write_log(log.parent, "a fold0", 4, [_epoch(1)])
    assert farm.look() == []
    assert farm.running[jobs[0].name].share == 0.25
    assert farm.worst() == ("a", 0.3)
    farm.running[jobs[0].name].since -= 10
    running.end(jobs[0])
    farm.look()
    assert (len(farm.running), len(farm.ended)) == (0, 1)
    seconds, unknown = farm.left()
    assert seconds == pytest.approx(10, abs=1), "two more like it on two slots"
    assert unknown == 0
    running.start(jobs[1])
    farm.look()
    running.end(jobs[1], well=False)
    farm.look()
    assert farm.failed == {jobs[1].name}
    assert not farm.running


def test_an_earlier_runs_epochs_and_receipt_are_not_this_ones(tmp_path):
    job = _job(tmp_path, "a")
    write_log(job.target.parent, "a fold0", 4, [_epoch(4)])
    write_json(Artifacts.of_run(tmp_path).receipt(job.name), {})
    time.sleep(0.02)
    running = SmallFarm(tmp_path, folds=1)
    running.start(job)
    running.farm.look()
    assert running.farm.running[job.name].share is None


def test_the_view_names_what_runs_and_shows_what_is_no_jobs_line(tmp_path):
    running = SmallFarm(tmp_path, folds=2)
    console = Console(width=120, record=True, file=io.StringIO())
    view = View(running.farm, console)
    running.start(running.jobs[0])
    write_log(running.jobs[0].target.parent, "a fold0", 4, [_epoch(1, gap=0.4321)])
    running.farm.look()
    view.line("[a fold0] epoch 1/4", False)
    view.line("error: x: y", True)
    view.line("| a table |", False)
    console.print(view)
    lines = [line.strip() for line in console.export_text().splitlines()]
    assert lines[:2] == ["error: x: y", "| a table |"]
    for part in ("first_level a fold0", "1/4", "GAP 0.4321", "1,234/s", "1:05 left"):
        assert part in lines[2]
    assert lines[3].startswith("0 of 2 jobs done | 0:00")
    assert lines[4] == "[a fold0] epoch 1/4"


def test_settings_of_the_environment_are_data(tmp_path):
    given = {"YT8M_GIVEN": "DATA HOLDOUT", "YT8M_DATA": "$(x) `y` 'z'", "YT8M_HOLDOUT": "0.2"}
    found = Settings.read({"YT8M_PLAN": "small", "YT8M_ARTIFACTS": str(tmp_path)} | given)
    assert found.data == Path("$(x) `y` 'z'")
    assert found.holdout == "0.2"
    with pytest.raises(InputError, match=r"DATA 'a\\nb': a character in it cannot be printed"):
        Settings.read({"YT8M_GIVEN": "DATA", "YT8M_DATA": "a\nb"})
    with pytest.raises(InputError, match="JOBS two: a whole number is needed, 1 or more"):
        _ = Settings.read({"YT8M_JOBS": "two"}).jobs


def _took(run: Path, model: str, fold: int, seconds: float, gap: float) -> None:
    record = {"seconds": seconds, "gap_fold": gap, "gap_holdout": gap}
    record |= {"level": "video", "megabytes": 1.0}
    write_json(run / "first_level" / model / f"fold{fold}" / "report.json", record)


def test_tables_of_stages(tmp_path):
    (tmp_path / "first_level").mkdir()
    (tmp_path / "first_level/models.txt").write_text("a\nb\nc\n")
    for fold, gap in enumerate((0.4, 0.6)):
        _took(tmp_path, "a", fold, 2.0, gap=gap)
        _took(tmp_path, "b", fold, 1.0, gap=0.3)
    stage.main("first_level", tmp_path, tmp_path / "table.txt")
    lines = (tmp_path / "table.txt").read_text().splitlines()[3:]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    older = ["-"] * 3  # reports that have nothing but GAP
    assert cells[2] == ["model", "level", "GAP@20", "mAP", "Hit@1", "PERR", "MB", "seconds"]
    assert cells[4] == ["b", "video", "0.3000", *older, "1.0", "2"]
    assert cells[5] == ["a", "video", "0.5000", *older, "1.0", "4"]
    figures = {"gap_oof": 0.5, "gap_holdout_single": None, "gap_holdout": None}
    members = {"a": figures | {"gap_oof": 0.4}}
    report = {"best_member": "a", "members": members, "mean": figures, "weighted_mean": figures}
    write_json(tmp_path / "stacking/report.json", report | {"stack": figures | {"gap_oof": 0.6}})
    lines = stage.stacking(Artifacts.of_run(tmp_path))
    assert "| best model" in lines[5]
    assert "| stack" in lines[8]
    assert "| -" in lines[-1]
    record = {"seconds": 3.0, "gap_holdout": 0.7, "megabytes": 2.0, "training_videos": 90}
    write_json(tmp_path / "distill/student/report.json", record)
    assert "0.7000" in stage.distill(Artifacts.of_run(tmp_path))[-1]
    with pytest.raises(InputError, match="folds: has no table; stages: first_level, stacking, "):
        stage.main("folds", tmp_path, tmp_path / "table.txt")
