"""What the live view and status know of jobs: names, durations, what runs, what is left."""

import io
import time
from pathlib import Path

import pytest
from rich.console import Console

from jobs.dry_run import Job, Make, read_trace
from jobs.durations import Durations, clock
from jobs.farm import Farm
from jobs.live import View
from jobs.status import takes
from report import stage
from yt8m.base.cli import InputError
from yt8m.base.files import write_json
from yt8m.base.run_log import write_log

TRACE = """Makefile:9: update target 'a/p/budget.txt' due to: FORCE
mkdir -p a/p
Makefile:9: update target 'a/p/first_level/models.txt' due to: FORCE
python -m first_level.config first_level/configs/p a/p/first_level
Makefile:12: target 'a/p/first_level/linear/fold3/predictions.safetensors' does not exist
srun python -m first_level.train a/p/first_level/linear/config.json OUT --fold 3
Makefile:14: update target 'a/p/stacking/fold1/rows/rows.json' due to: a/p/folds.safetensors a/p/x
python -m stacking.rows a/p --fold 1
Makefile:15: update target 'a/p/distill/extractor_b/weights.safetensors' due to: a/p/x
python -m distill.train a/p --part b
Makefile:16: update target 'a/p/evaluation.json' due to: target does not exist
OMP_NUM_THREADS=$(( 2 * 1 )) python -m distill.export.evaluate a/p/export
"""


def test_jobs_are_read_from_makes_own_dry_run():
    jobs, others = read_trace(TRACE.splitlines())
    assert others == ["a/p/budget.txt", "a/p/first_level/models.txt"]
    assert [(job.stage, job.name) for job in jobs] == [
        ("first_level", "linear fold3"),
        ("stacking", "rows fold1"),
        ("distill", "extractor_b"),
        ("export", "score"),
    ]
    assert jobs[1].because == ("a/p/folds.safetensors", "a/p/x")


def test_make_is_called_as_the_first_make_was(monkeypatch):
    monkeypatch.setenv("MAKEFLAGS", "k -j2 --jobserver-auth=3,4 -- RUN=srun\\ -n\\ 1 PLAN=x")
    monkeypatch.setenv("MAKELEVEL", "1")
    monkeypatch.setenv("MAKE_TERMOUT", "/dev/pts/0")
    found = Make("make", ("all",), 2).environment()
    assert found["MAKEFLAGS"] == "k -j2 -- RUN=srun\\ -n\\ 1 PLAN=x"
    assert not {"MAKELEVEL", "MAKE_TERMOUT"} & set(found)


def test_a_make_that_fails_is_an_error_of_its_own_words(tmp_path):
    program = tmp_path / "make"
    program.write_text("#!/bin/sh\necho 'error: DATA is not given' >&2; exit 2\n")
    program.chmod(0o755)
    with pytest.raises(InputError, match="^DATA is not given$"):
        Make(str(program), ("all",), 1).every_job()


def _job(run: Path, model: str, fold: int = 0) -> Job:
    target = run / "first_level" / model / f"fold{fold}" / "predictions.safetensors"
    return Job(target, "first_level.train", f"python -m first_level.train {model} {fold}")


def _took(run: Path, model: str, fold: int, seconds: float, arch: str = "mlp", gap=0.5):
    folder = run / "first_level" / model
    record = {"seconds": seconds, "arch": arch, "gap_fold": gap, "gap_holdout": gap}
    record |= {"level": "video", "megabytes": 1.0}
    write_json(folder / f"fold{fold}" / "report.json", record)
    write_json(folder / "config.json", {"arch": arch})


def test_a_duration_is_that_of_the_nearest_thing_that_was_measured(tmp_path):
    run, other = tmp_path / "p", tmp_path / "q"
    assert Durations(run).expected(_job(run, "a", 1)) is None
    for folder, videos in ((run, 1000), (other, 4000)):
        write_json(folder / "store" / "manifest.json", {"videos": videos})
        (folder / "data.txt").write_text("x")
    write_json(run / "first_level/a/config.json", {"arch": "mlp"})
    _took(other, "z", 0, 80.0)
    assert Durations(run).expected(_job(run, "a", 1)) == 20.0, "a quarter of the videos"
    _took(run, "b", 0, 7.0)
    _took(run, "c", 0, 99.0, arch="lstm")
    assert Durations(run).expected(_job(run, "a", 1)) == 7.0, "the same architecture"
    _took(run, "a", 0, 3.0)
    assert Durations(run).expected(_job(run, "a", 1)) == 3.0, "the same model"
    _took(run, "a", 1, 5.0)
    assert Durations(run).expected(_job(run, "a", 1)) == 5.0, "itself"
    assert Durations(run).expected(Job(run / "folds.safetensors", "folds.assign", "")) is None


def test_durations_in_words():
    assert [clock(s) for s in (5, 65, 7265)] == ["0:05", "1:05", "2:01:05"]
    assert takes([], 2) == "-"
    assert takes([None], 2) == "unknown"
    assert takes([60.0, 60.0, None], 2) == "1:00 and 1 unknown"


def test_a_job_runs_from_its_command_to_its_file(tmp_path):
    jobs = [_job(tmp_path, "a", fold) for fold in range(3)]
    _took(tmp_path, "b", 0, 1.0, gap=0.7)
    farm = Farm(tmp_path, jobs, jobs, 2)
    assert farm.left() == (0, 3)
    assert not farm.command("hello")
    assert farm.command(jobs[0].command)
    farm.look()
    assert (len(farm.running), len(farm.ended)) == (1, 0)
    write_log(jobs[0].target.parent, "a fold0", 4, [{"epoch": 1, "gap": 0.3, "left": 9.0}])
    farm.look()
    assert farm.running[jobs[0].target].share == 0.25
    assert farm.worst() == ("a", 0.3)
    jobs[0].target.write_text("made")
    farm.running[jobs[0].target].since -= 10
    farm.look()
    assert (len(farm.running), len(farm.ended)) == (0, 1)
    seconds, unknown = farm.left()
    assert seconds == pytest.approx(10, abs=1), "two more like it on two slots"
    assert unknown == 0
    farm.command(jobs[1].command)
    farm.failure(f"make: *** [Makefile:135: {jobs[1].target}] Error 1")
    assert farm.failed == {jobs[1].target}
    assert not farm.running


def test_an_earlier_runs_epochs_and_file_are_not_this_ones(tmp_path):
    job = _job(tmp_path, "a")
    write_log(job.target.parent, "a fold0", 4, [{"epoch": 4, "gap": 0.3, "left": 0.0}])
    job.target.write_text("old")
    time.sleep(0.02)
    farm = Farm(tmp_path, [job], [job], 1)
    farm.command(job.command)
    farm.look()
    assert farm.running[job.target].share is None


def test_the_view_names_what_runs_and_shows_what_is_no_jobs_line(tmp_path):
    jobs = [_job(tmp_path, "a", 0), _job(tmp_path, "a", 1)]
    farm = Farm(tmp_path, jobs, jobs, 2)
    console = Console(width=120, record=True, file=io.StringIO())
    view = View(farm, console)
    view.line(jobs[0].command, False)
    line = {"epoch": 1, "loss": 1.0, "gap": 0.4321, "examples_per_s": 1234.0, "left": 65.0}
    write_log(jobs[0].target.parent, "a fold0", 4, [line])
    farm.look()
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


def test_tables_of_stages(tmp_path):
    (tmp_path / "first_level").mkdir()
    (tmp_path / "first_level/models.txt").write_text("a\nb\nc\n")
    for fold, gap in enumerate((0.4, 0.6)):
        _took(tmp_path, "a", fold, 2.0, gap=gap)
        _took(tmp_path, "b", fold, 1.0, gap=0.3)
    stage.main("first_level", tmp_path, tmp_path / "table.txt")
    lines = (tmp_path / "table.txt").read_text().splitlines()[2:]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert cells[0] == ["model", "level", "out of fold", "holdout", "MB", "seconds"]
    assert cells[2] == ["b", "video", "0.3000", "0.3000", "1.0", "2"]
    assert cells[3] == ["a", "video", "0.5000", "0.5000", "1.0", "4"]
    figures = {"gap_oof": 0.5, "gap_holdout_single": None, "gap_holdout": None}
    members = {"a": figures | {"gap_oof": 0.4}}
    report = {"best_member": "a", "members": members, "mean": figures, "weighted_mean": figures}
    write_json(tmp_path / "stacking/report.json", report | {"stack": figures | {"gap_oof": 0.6}})
    lines = stage.stacking(tmp_path)
    assert "| best model" in lines[2]
    assert "| LightGBM stack" in lines[-1]
    assert "| -" in lines[-1]
    record = {"seconds": 3.0, "gap_holdout": 0.7, "megabytes": 2.0, "training_videos": 90}
    write_json(tmp_path / "distill/student/report.json", record)
    assert "0.7000" in stage.distill(tmp_path)[2]
    with pytest.raises(InputError, match="folds: has no table; stages: first_level, stacking, "):
        stage.main("folds", tmp_path, tmp_path / "table.txt")
