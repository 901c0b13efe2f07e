"""What make reruns after which change."""

import os
import subprocess

import pytest
from make_world import DISTILL_ON, RUN, SCORE_ON, STACK_ON, make, modules, run_make


def test_a_second_make_does_nothing(tree):
    assert make(tree) == []


def test_deleting_one_models_predictions_of_one_fold_rebuilds_just_what_depends_on_it(tree):
    (tree / RUN / "first_level/one/fold3/predictions.safetensors").unlink()
    calls = make(tree)
    assert [c for c in calls if "first_level.train" in c and "one/fold3" not in c] == []
    assert [c for c in calls if "stacking.rows" in c and "--fold 3" not in c] == []
    expected = ["first_level.train", "stacking.rows", *STACK_ON, *DISTILL_ON]
    assert modules(calls) == sorted(expected)


def test_an_edited_value_retrains_five_jobs_and_a_comment_or_a_touch_none(tree):
    toml = tree / "first_level/configs/tiny/two.toml"
    text = toml.read_text()
    toml.write_text("# another reason\n" + text.replace("lr = 0.01", "lr = 1e-2  # same"))
    assert make(tree) == []
    toml.write_text(text.replace("0.01", "0.02"))
    calls = make(tree)
    trained = [c for c in calls if c.startswith("first_level.train")]
    assert len(trained) == 5
    assert all("/two/" in call for call in trained)
    assert modules(calls).count("stacking.rows") == 5
    os.utime(tree / "first_level/models/linear.py")
    os.utime(toml)
    assert make(tree) == []


def test_a_re_ranked_student_refits_what_its_plan_names(tree):
    toml = tree / "distill/configs/tiny.toml"
    before = toml.read_text()
    toml.write_text("[refit]\ncopies = 2  # [refit]\nmodels = [\n  'two', # why\n]\n[resnet]\n")
    calls = make(tree)
    assert modules(calls) == sorted(
        ["distill.refit"] * 2 + ["stacking.rows"] * 5 + ["stacking.train"]
        + ["distill.export.write", *SCORE_ON]
    )  # fmt: skip
    refits = [call for call in calls if call.startswith("distill.refit")]
    assert all("first_level/two/config.json" in call for call in refits)
    assert sorted(call.split("--copy ")[1][0] for call in refits) == ["0", "1"]
    assert make(tree) == []
    (tree / RUN / "distill/reranker/network/weights.safetensors").unlink()
    assert modules(make(tree)) == sorted(["stacking.train", "distill.export.write", *SCORE_ON])
    (tree / RUN / "first_level/two/fold3/predictions.safetensors").unlink()
    assert modules(make(tree)).count("distill.refit") == 2
    toml.write_text("[refit]\nmodels = ['one', 'two']\nfolds = ['two']\n")
    refits = [call for call in make(tree) if call.startswith("distill.refit")]
    assert len(refits) == 1
    assert "first_level/one/config.json" in refits[0]
    toml.write_text(toml.read_text() + "[resnet.training]\nepochs = 3\n")
    assert modules(make(tree)) == sorted(["distill.train", "distill.export.write", *SCORE_ON])
    toml.write_text("dtype = 'int8'\n" + toml.read_text())
    assert modules(make(tree)) == sorted(["distill.export.write", *SCORE_ON])
    toml.write_text(before)
    make(tree)


def test_a_refitted_model_that_the_plan_lacks_is_named(tree):
    toml = tree / "distill/configs/tiny.toml"
    before = toml.read_text()
    toml.write_text("[refit]\nmodels = ['one','three']\n")
    command = ["make", "-n", "all", "PYTHON=./python", "PLAN=tiny", "DATA=records"]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    toml.write_text(before)
    assert done.returncode == 2
    assert "distill/configs/tiny.toml: [refit] names 'three', which is no model of" in done.stderr


def test_a_settings_change_reruns_its_stage_only(tree):
    toml = tree / "distill/configs/tiny.toml"
    toml.write_text("seed = 3\n")
    assert modules(make(tree)) == sorted(DISTILL_ON)
    assert modules(make(tree, "BUDGET_MB=7")) == sorted(["distill.export.write", *SCORE_ON])
    make(tree)
    [call] = make(tree, "VIDEOS=7")
    assert call.endswith(f"{RUN}/report.html --videos 7")
    make(tree)
    calls = make(tree, "HOLDOUT=0.2")
    assert modules(calls).count("first_level.train") == 10
    assert "folds.decode" not in modules(calls)
    assert modules(make(tree, "HOLDOUT=0.1")).count("first_level.train") == 10


def test_what_the_report_is_made_of_is_made_again_when_it_is_gone(tree):
    (tree / RUN / "report.html").unlink()
    assert modules(make(tree, goal="report")) == ["report.page"]
    (tree / RUN / "evaluation_predictions.safetensors").unlink()
    assert modules(make(tree)) == SCORE_ON
    assert make(tree) == []


def test_all_ends_by_naming_the_report(tree):
    command = ["make", "all", "PYTHON=./python", "PLAN=tiny", "DATA=records"]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == f"the report, for a browser: {RUN}/report.html"


def test_a_rehearsal_runs_the_plan_made_small_in_a_folder_of_its_own(tree):
    done = run_make(tree, "-n", "rehearse")
    lines = done.stdout.splitlines()
    assert "-m yt8m.records.synthetic artifacts/tiny_rehearsal/records" in lines[0], done.stderr
    assert sum("-m first_level.train artifacts/tiny_rehearsal" in line for line in lines) == 10
    assert lines[-1].endswith("artifacts/tiny_rehearsal/report.html")


def test_a_removed_model_restacks_and_retrains_none(tree):
    toml = tree / "first_level/configs/tiny/two.toml"
    text = toml.read_text()
    toml.unlink()
    calls = make(tree)
    assert "first_level.train" not in modules(calls)
    assert modules(calls).count("stacking.rows") == 5
    toml.write_text(text)
    assert "first_level.train" not in modules(make(tree))


def test_a_failure_leaves_no_output_and_the_rest_goes_on_next_time(tree):
    (tree / RUN / "stacking/soft_labels.safetensors").unlink()
    make(tree, fails=True, FAIL="stacking.soft_labels")
    assert not (tree / RUN / "stacking/soft_labels.safetensors").exists()
    assert modules(make(tree)) == sorted(["stacking.soft_labels", *DISTILL_ON])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["all", "PLNA=small"], "unknown variable 'PLNA'; allowed: PLAN DATA "),
        (["all", "PLAN=nosuch", "PYTHON=./python"], "no plan 'nosuch'; plans: "),
        (["all", "PLAN=small", "PYTHON=./python"], "DATA is not given; say DATA=<folder"),
        (["all", "demo", "PLAN=tiny"], "demo is of plan demo; for plan tiny say: make all PLAN=ti"),
        (["segments", "PLAN=tiny", "PYTHON=./python"], "no model of plan tiny has a table [segme"),
    ],
)
def test_a_mistake_is_one_clear_line(tree, arguments, message):
    done = subprocess.run(["make", *arguments], cwd=tree, capture_output=True, text=True)
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_make_alone_prints_a_line_for_each_target(tree):
    done = subprocess.run(["make"], cwd=tree, capture_output=True, text=True, check=True)
    listed = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")}
    stages = {"folds", "first_level", "segments", "stacking", "distill", "export", "evaluate"}
    assert stages | {"all", "report", "demo", "submission", "test", "lint"} <= listed
