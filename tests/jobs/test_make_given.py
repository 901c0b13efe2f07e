"""What a run is given: records, unlabelled ones, a description, a holdout."""

import shutil
import subprocess

from make_world import DISTILL_ON, RUN, make, modules


def test_new_records_are_decoded_and_everything_follows(tree):
    (tree / "records" / "b.tfrecord").write_text("y")
    calls = modules(make(tree))
    assert calls.count("folds.decode") == 1
    assert calls.count("first_level.train") == 10


LABEL_ON = ["first_level.predict"] * 10 + ["stacking.unlabelled"] * 5 + ["stacking.soft_labels"]


def test_unlabelled_records_are_labelled_by_what_is_there_and_teach_the_students(tree):
    (tree / "more").mkdir()
    (tree / "more" / "a.tfrecord").write_text("x")
    calls = make(tree, "UNLABELLED=more")
    assert modules(calls) == sorted(["folds.unlabelled", *LABEL_ON, *DISTILL_ON])
    soft = f"{RUN}/stacking/unlabelled.safetensors"
    taught = [call for call in calls if call.startswith("distill.train")]
    assert all(call.endswith(f"--unlabelled {soft}") for call in taught)
    assert make(tree) == [], "it is remembered"
    (tree / RUN / "first_level/two/fold4/unlabelled.safetensors").unlink()
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
    assert modules(taught) == [
        "distill.export.evaluate",
        "distill.export.write",
        "distill.refit",
        "distill.train",
    ]
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
