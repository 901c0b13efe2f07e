"""What a run is given: records, unlabelled ones, a description, a holdout."""

import shutil

from make_world import DISTILL_ON, RUN, add_shard, make, modules, run_make

from yt8m.base.files import read_json

HOLDOUTS = "no such file or folder; a share (0.1), a file of ids or records are needed"


def test_new_records_are_decoded_and_everything_follows(tree):
    add_shard(tree / "records" / "b.tfrecord", seed=1)
    calls = modules(make(tree))
    assert calls.count("folds.decode") == 1
    assert calls.count("first_level.train") == 10


LABEL_ON = ["first_level.predict"] * 10 + ["stacking.unlabelled"] * 5 + ["stacking.soft_labels"]


def test_unlabelled_records_are_labelled_by_what_is_there_and_teach_the_students(tree):
    (tree / "more").mkdir()
    add_shard(tree / "more" / "a.tfrecord", seed=2)
    calls = make(tree, "UNLABELLED=more")
    assert modules(calls) == sorted(["folds.unlabelled", *LABEL_ON, *DISTILL_ON])
    soft = f"{RUN}/stacking/unlabelled.safetensors"
    taught = [call for call in calls if call.startswith("distill.train")]
    assert all(call.endswith(f"--unlabelled {soft}") for call in taught)
    assert make(tree) == [], "it is remembered"
    (tree / RUN / "first_level/two/fold4/unlabelled.safetensors").unlink()
    again = ["first_level.predict", "stacking.unlabelled", "stacking.soft_labels"]
    assert modules(make(tree)) == sorted([*again, *DISTILL_ON])
    add_shard(tree / "more" / "b.tfrecord", seed=3)
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
    (tree / "other.toml").write_text('name = "another"\n')
    given = ["DESCRIPTION=other.toml", "HOLDOUT=0.3"]
    assert "folds.decode" in modules(make(tree, *given))
    assert make(tree, data=None) == [], "nothing needs to be said again"
    assert make(tree, *given) == []
    # Records that are named need not be described so; the holdout is no matter of theirs.
    assert "folds.decode" in modules(make(tree))
    assert read_json(tree / RUN / "given.json")["HOLDOUT"] == "0.3"
    make(tree, "HOLDOUT=0.1")


def test_a_mistyped_setting_is_not_remembered(tree):
    before = (tree / RUN / "given.json").read_bytes()
    for given, message in (
        (["DATA=recrods"], "DATA recrods: no such file or folder"),
        (["HOLDOUT=1.5"], "HOLDOUT 1.5: at least 0 and less than 1 is allowed"),
        (["HOLDOUT=a tenth"], f"HOLDOUT a tenth: {HOLDOUTS}"),
        (["DESCRIPTION=no.toml"], "DESCRIPTION no.toml: no such file"),
        (["UNLABELLED=nowhere"], "UNLABELLED nowhere: no such file or folder"),
        (["DTYPE=int4"], "DTYPE int4: not supported; allowed: float16, float32, int8"),
    ):
        done = run_make(tree, "folds", *given)
        assert done.returncode == 2
        assert [line for line in done.stderr.splitlines() if "error: " in line] == [
            f"error: {message}"
        ]
        assert (tree / RUN / "given.json").read_bytes() == before
    assert make(tree, data=None) == []


def test_what_another_holdout_makes_again_is_said_with_the_way_to_keep_both(tree):
    done = run_make(tree, "-n", "all", "HOLDOUT=0.4")
    [line] = done.stderr.splitlines()
    assert line.startswith("make: HOLDOUT is 0.4 and was 0.1: ")
    assert line.endswith(
        f"jobs of {RUN} are made again where their inputs differ; to keep both, "
        "say ARTIFACTS=<another folder>"
    )
    assert read_json(tree / RUN / "given.json")["HOLDOUT"] == "0.1", "a dry run changes nothing"
    assert make(tree, data=None) == []


def test_equal_numbers_change_nothing(tree):
    make(tree, "HOLDOUT=.1")
    assert make(tree, "HOLDOUT=0.10", "BUDGET_MB=1e3") == []
    make(tree)
