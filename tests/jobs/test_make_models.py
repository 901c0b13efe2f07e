"""Models that need more than folds: segments, teachers, weights to begin with."""

import os
import shutil
import subprocess

import pytest
from make_world import RUN, make, modules


def test_segments_are_for_the_models_that_say_how(tree):
    toml = tree / "first_level/configs/tiny/three.toml"
    text = "# why\narch = 'lstm'\n[segments]\nepochs = 3\n"
    toml.write_text(text)
    fine_tuned = ["first_level.segments.submission", *["first_level.segments.train"] * 5]
    calls = make(tree, goal="segments")
    assert modules(calls) == sorted(["first_level.train"] * 5 + fine_tuned)
    assert all("/three/" in call for call in calls)
    folder = RUN / "first_level/three"
    [third] = [c for c in calls if c.startswith("first_level.segments.train") and "--fold 3" in c]
    assert f"{folder}/segments/config.json" in third
    assert f" {folder}/fold3 {folder}/segments/fold3 " in third
    assert make(tree, goal="segments") == []
    toml.write_text(text.replace("epochs = 3", "epochs = 4"))
    assert modules(make(tree, goal="segments")) == fine_tuned, "their parents stay"
    (tree / folder / "segments/fold2/predictions.safetensors").unlink()
    assert modules(make(tree, goal="segments")) == fine_tuned[:2]
    toml.unlink()
    assert make(tree) == [], "the plan is as it was"


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
    (tree / RUN / "first_level/one/fold3/predictions.safetensors").unlink()
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
    assert make(tree, goal="first_level") == [], "the same bytes"
    weights.write_text("y")
    calls = make(tree, goal="first_level")
    assert len(calls) == 5
    assert all("/three/" in call for call in calls)
    shutil.rmtree(weights.parent)
    toml.unlink()
    make(tree)
