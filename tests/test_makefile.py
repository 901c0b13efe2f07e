"""What make reruns after which change: the real Makefile, with a Python that only writes files.

Configurations are resolved by the real verbs; every other verb notes its call and makes its output.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FAKE = """#!{python}
import os, pathlib, sys, time
module, arguments = sys.argv[2], sys.argv[3:]
if module.endswith(".config") or module in ("report.status", "report.progress"):
    os.execv("{python}", ["{python}", *sys.argv[1:]])
with open("calls.txt", "a") as calls:
    calls.write(" ".join([module, *arguments]) + "\\n")
plain = [a for a in arguments if not a.startswith("--")]
outputs = {{
    "folds.decode": lambda: plain[1] + "/manifest.json",
    "folds.assign": lambda: plain[1],
    "folds.unlabelled": lambda: plain[1] + "/unlabelled/manifest.json",
    "first_level.train": lambda: plain[3] + "/predictions.npz",
    "first_level.predict": lambda: plain[3] + "/unlabelled.npz",
    "first_level.segments": lambda: plain[4] + "/predictions.npz",
    "first_level.submission": lambda: plain[-1],
    "stacking.rows": lambda: plain[5] + "/rows.json",
    "stacking.train": lambda: plain[2],
    "stacking.predict": lambda: plain[3],
    "stacking.unlabelled": lambda: plain[6],
    "stacking.soft_labels": lambda: plain[3],
    "stacking.report": lambda: plain[5],
    "distill.train": lambda: plain[4] + "/weights.safetensors",
    "distill.refit": lambda: plain[5] + "/weights.safetensors",
    "distill.reranker": lambda: plain[5] + "/reranker.json",
    "distill.export": lambda: plain[3] + "/model.json",
    "distill.score": lambda: plain[3],
    "report.summary": lambda: plain[1],
    "report.page": lambda: plain[2],
    "report.table": lambda: "printed",
    "report.segments": lambda: "printed",
    "report.stage": lambda: plain[2],
}}
if os.environ.get("FAIL") == module:
    sys.exit("error: " + module + ": it was to fail")
if os.environ.get("LASTING") == module:
    time.sleep(2)
if os.environ.get("SLOW") == module:
    print("[slow] begins", flush=True)
    time.sleep(60)
out = pathlib.Path(outputs[module]())
out.parent.mkdir(parents=True, exist_ok=True)
out.write_text("made\\n")
if module == "distill.reranker":
    out.with_name("reranker.onnx").write_text("made")
    out.with_name("reranker.npz").write_text("made")
if module == "distill.score":
    out.with_name("evaluation_predictions.npz").write_text("made")
"""
PRINTED = ("report.table", "report.segments", "report.stage")
PACKAGES = ("yt8m", "first_level", "stacking", "distill", "report")
RUN = Path("artifacts/tiny")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the project with everything made once."""
    tree = make_tree(tmp_path_factory.mktemp("make"))
    make(tree)
    return tree


def make_tree(tree):
    """A copy of the project with a plan `tiny` of two models."""
    for package in PACKAGES:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, tree / package, ignore=ignore)
    shutil.copy(ROOT / "Makefile", tree)
    plan = tree / "first_level" / "configs" / "tiny"
    plan.mkdir()
    for name in ("one", "two"):
        (plan / f"{name}.toml").write_text("# why\narch = 'linear'\n[training]\nlr = 0.01\n")
    for stage in ("stacking", "distill"):
        (tree / stage / "configs" / "tiny.toml").write_text("# all defaults\n")
    (tree / "records").mkdir()
    (tree / "records" / "a.tfrecord").write_text("x")
    (tree / "python").write_text(FAKE.format(python=sys.executable))
    (tree / "python").chmod(0o755)
    return tree


def make(tree, *arguments, goal="all", fails=False, **environment):
    """Calls that make made, as {(module, what it made)}."""
    (tree / "calls.txt").unlink(missing_ok=True)
    command = ["make", goal, "PYTHON=./python", "PLAN=tiny", "DATA=records", *arguments]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    done = subprocess.run(
        command, cwd=tree, capture_output=True, text=True, env=clean | environment, check=False
    )
    assert (done.returncode != 0) == fails, done.stderr
    if not (tree / "calls.txt").exists():
        return []
    lines = (tree / "calls.txt").read_text().splitlines()
    return sorted(line for line in lines if line.split()[0] not in PRINTED)


def modules(calls):
    return [call.split()[0] for call in calls]


STACK_ON = ["stacking.train"] * 5 + ["stacking.predict"] * 5
STACK_ON += ["stacking.report", "stacking.soft_labels"]
SCORE_ON = ["distill.score", "report.page", "report.summary"]
DISTILL_ON = ["distill.train"] * 8 + ["distill.export", *SCORE_ON]


def test_a_second_make_does_nothing(tree):
    assert make(tree) == []


def test_deleting_one_models_predictions_of_one_fold_rebuilds_just_what_depends_on_it(tree):
    (tree / RUN / "first_level/one/fold3/predictions.npz").unlink()
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
        + ["distill.reranker", "distill.export", *SCORE_ON]
    )  # fmt: skip
    refits = [call for call in calls if call.startswith("distill.refit")]
    assert all("first_level/two/config.json" in call for call in refits)
    assert sorted(call.split("--copy ")[1][0] for call in refits) == ["0", "1"]
    assert make(tree) == []
    (tree / RUN / "distill/reranker/reranker.onnx").unlink()
    assert modules(make(tree)) == sorted(["distill.reranker", "distill.export", *SCORE_ON])
    (tree / RUN / "first_level/two/fold3/predictions.npz").unlink()
    assert modules(make(tree)).count("distill.refit") == 2
    toml.write_text("[refit]\nmodels = ['one', 'two']\nfolds = ['two']\n")
    refits = [call for call in make(tree) if call.startswith("distill.refit")]
    assert len(refits) == 1
    assert "first_level/one/config.json" in refits[0]
    toml.write_text(toml.read_text() + "[resnet.training]\nepochs = 3\n")
    assert modules(make(tree)) == sorted(["distill.train", "distill.export", *SCORE_ON])
    toml.write_text("dtype = 'int8'\n" + toml.read_text())
    assert modules(make(tree)) == sorted(["distill.export", *SCORE_ON])
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
    assert modules(make(tree, "BUDGET_MB=7")) == ["distill.export", *SCORE_ON]
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
    (tree / RUN / "evaluation_predictions.npz").unlink()
    assert modules(make(tree)) == SCORE_ON
    assert make(tree) == []


def test_all_ends_by_naming_the_report(tree):
    command = ["make", "all", "PYTHON=./python", "PLAN=tiny", "DATA=records"]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == f"the report, for a browser: {RUN}/report.html"


def test_a_removed_model_restacks_and_retrains_none(tree):
    toml = tree / "first_level/configs/tiny/two.toml"
    text = toml.read_text()
    toml.unlink()
    calls = make(tree)
    assert "first_level.train" not in modules(calls)
    assert modules(calls).count("stacking.rows") == 5
    toml.write_text(text)
    assert "first_level.train" not in modules(make(tree))


def test_new_records_are_decoded_and_everything_follows(tree):
    (tree / "records" / "b.tfrecord").write_text("y")
    calls = modules(make(tree))
    assert calls.count("folds.decode") == 1
    assert calls.count("first_level.train") == 10


def test_a_failure_leaves_no_output_and_the_rest_goes_on_next_time(tree):
    (tree / RUN / "stacking/soft_labels.npz").unlink()
    make(tree, fails=True, FAIL="stacking.soft_labels")
    assert not (tree / RUN / "stacking/soft_labels.npz").exists()
    assert modules(make(tree)) == sorted(["stacking.soft_labels", *DISTILL_ON])


def test_segments_are_for_the_models_that_say_how(tree):
    toml = tree / "first_level/configs/tiny/three.toml"
    text = "# why\narch = 'lstm'\n[segments]\nepochs = 3\n"
    toml.write_text(text)
    fine_tuned = ["first_level.segments"] * 5 + ["first_level.submission"]
    calls = make(tree, goal="segments")
    assert modules(calls) == sorted(["first_level.train"] * 5 + fine_tuned)
    assert all("/three/" in call for call in calls)
    folder = RUN / "first_level/three"
    [third] = [c for c in calls if c.startswith("first_level.segments") and "--fold 3" in c]
    assert f"{folder}/segments/config.json" in third
    assert f" {folder}/fold3 {folder}/segments/fold3 " in third
    assert make(tree, goal="segments") == []
    toml.write_text(text.replace("epochs = 3", "epochs = 4"))
    assert modules(make(tree, goal="segments")) == fine_tuned, "their parents stay"
    (tree / folder / "segments/fold2/predictions.npz").unlink()
    assert modules(make(tree, goal="segments")) == fine_tuned[-2:]
    toml.unlink()
    assert modules(make(tree)).count("stacking.rows") == 5  # the plan is as it was


def test_a_taught_model_is_trained_after_its_teachers(tree):
    toml = tree / "first_level/configs/tiny/three.toml"
    models = """models = [
      "one", # the first
      'two',
    ]"""
    toml.write_text(f"# why\narch = 'linear'\n[teachers]\n{models}\n")
    trained = [call for call in make(tree) if call.startswith("first_level.train")]
    assert len(trained) == 5
    assert all("/three/" in call for call in trained)
    assert make(tree) == []
    (tree / RUN / "first_level/one/fold3/predictions.npz").unlink()
    calls = make(tree, goal="first_level")
    assert [call.split("first_level/")[1].split("/")[0] for call in calls] == ["one", "three"]
    assert all(call.split("--fold ")[1].startswith("3") for call in calls), "its own fold alone"
    toml.write_text(toml.read_text().replace("two", "four"))
    command = ["make", "first_level", "PYTHON=./python", "PLAN=tiny", "DATA=records"]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    assert "'four' is no model of this plan without teachers" in done.stderr + done.stdout
    toml.unlink()
    make(tree)


@pytest.mark.parametrize("what", ["file", "folder"])
def test_other_weights_to_begin_with_retrain_the_model_that_begins_with_them(tree, what):
    weights = tree / "old" / ("model.json" if what == "folder" else "weights.safetensors")
    weights.parent.mkdir(exist_ok=True)
    weights.write_text("x")
    named = "old" if what == "folder" else "old/weights.safetensors"
    toml = tree / "first_level/configs/tiny/three.toml"
    toml.write_text(f"# why\narch = 'linear'\n[start]\nfreeze = true\nweights = '{named}'\n")
    assert modules(make(tree, goal="first_level")) == ["first_level.train"] * 5
    assert make(tree, goal="first_level") == []
    later = weights.stat().st_mtime + 100
    os.utime(weights, (later, later))
    calls = make(tree, goal="first_level")
    assert len(calls) == 5
    assert all("/three/" in call for call in calls)
    shutil.rmtree(weights.parent)
    toml.unlink()
    make(tree)


LABEL_ON = ["first_level.predict"] * 10 + ["stacking.unlabelled"] * 5 + ["stacking.soft_labels"]


def test_unlabelled_records_are_labelled_by_what_is_there_and_teach_the_students(tree):
    (tree / "more").mkdir()
    (tree / "more" / "a.tfrecord").write_text("x")
    calls = make(tree, "UNLABELLED=more")
    assert modules(calls) == sorted(["folds.unlabelled", *LABEL_ON, *DISTILL_ON])
    soft = f"{RUN}/stacking/unlabelled.npz"
    taught = [call for call in calls if call.startswith("distill.train")]
    assert all(call.endswith(f"--unlabelled {soft}") for call in taught)
    assert make(tree) == [], "it is remembered"
    (tree / RUN / "first_level/two/fold4/unlabelled.npz").unlink()
    again = ["first_level.predict", "stacking.unlabelled", "stacking.soft_labels"]
    assert modules(make(tree)) == sorted([*again, *DISTILL_ON])
    (tree / "more" / "b.tfrecord").write_text("y")
    assert modules(make(tree)) == sorted(["folds.unlabelled", *LABEL_ON, *DISTILL_ON])

    toml = tree / "distill/configs/tiny.toml"
    before = toml.read_text()
    toml.write_text("[refit]\nmodels = ['two']\n")
    [refit] = [call for call in make(tree) if call.startswith("distill.refit")]
    assert "--unlabelled" not in refit
    toml.write_text("[refit]\nmodels = ['two']\nunlabelled = true  # [resnet]\n")
    [refit] = [call for call in make(tree) if call.startswith("distill.refit")]
    assert refit.endswith(f"--unlabelled {soft}")

    taught = [call for call in make(tree, "UNLABELLED=") if call.startswith("distill.")]
    assert modules(taught) == ["distill.export", "distill.refit", "distill.score", "distill.train"]
    assert not any("--unlabelled" in call for call in taught)
    assert make(tree) == [], "that it was given up too"
    toml.write_text(before)
    make(tree)
    shutil.rmtree(tree / "more")


def test_what_a_run_was_given_is_remembered(tree):
    assert make(tree) == []
    given = ["DESCRIPTION=other.toml", "HOLDOUT=0.3"]
    assert "folds.decode" in modules(make(tree, *given))
    command = ["make", "all", "PYTHON=./python", "PLAN=tiny"]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert make(tree, *given) == []
    # Records that are named need not be described so; the holdout is no matter of theirs.
    assert "folds.decode" in modules(make(tree))
    assert (tree / "artifacts/tiny/holdout.txt").read_text() == "0.3\n"
    make(tree, "HOLDOUT=0.1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["all", "PLNA=small"], "unknown variable 'PLNA'; allowed: PLAN DATA "),
        (["all", "PLAN=nosuch", "PYTHON=./python"], "no plan 'nosuch'; plans: "),
        (["all", "PLAN=small", "PYTHON=./python"], "DATA is not given; say DATA=<folder"),
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
