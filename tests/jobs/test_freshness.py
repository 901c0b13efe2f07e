"""Content decides what make runs: not times, not places, not the names of shards."""

import os
import shutil

import pytest
from make_world import (
    DISTILL_ON,
    RUN,
    SCORE_ON,
    STACK_ON,
    add_shard,
    make,
    modules,
    planned_without_each,
    run_make,
)

from yt8m.base.files import read_json, write_json


def test_times_copies_and_another_place_make_nothing_stale(tree, tmp_path):
    for folder in (tree / "records", tree / RUN):
        for number, path in enumerate(sorted(folder.rglob("*"), reverse=True)):
            os.utime(path, (1_000_000 + number, 1_000_000 + number))
    assert make(tree) == []
    shutil.copytree(tree / "records", tmp_path / "elsewhere", copy_function=shutil.copyfile)
    assert make(tree, data=tmp_path / "elsewhere") == []
    shutil.copytree(tree / "artifacts", tree / "moved", copy_function=shutil.copyfile)
    assert make(tree, "ARTIFACTS=moved") == []
    shutil.rmtree(tree / "moved")


def test_renamed_shards_are_the_same_in_the_same_order_only(tree):
    records = tree / "records"
    add_shard(records / "b.tfrecord", seed=1)
    assert "folds.decode" in modules(make(tree, goal="folds"))
    (records / "a.tfrecord").rename(records / "a0.tfrecord")
    assert make(tree, goal="folds") == []
    (records / "a0.tfrecord").rename(records / "c.tfrecord")
    assert "folds.decode" in modules(make(tree, goal="folds")), "another order"
    add_shard(records / "c.tfrecord", seed=2)
    assert "folds.decode" in modules(make(tree)), "other records under the same name"


@pytest.mark.parametrize("name", ["dataset.toml", "vocabulary.csv"])
def test_an_edited_description_or_vocabulary_is_read_again(tree, name):
    path = tree / "records" / name
    text = path.read_text()
    path.write_text(text + "# why\n" if name.endswith("toml") else text)
    assert make(tree) == [], "nothing that counts has changed"
    old, new = ('name = "', 'name = "x') if name.endswith("toml") else ("Topic", "Corrected")
    path.write_text(text.replace(old, new, 1))
    expected = ["folds.decode", "distill.export.write", *SCORE_ON]  # what knows names
    assert modules(make(tree)) == sorted(expected)
    assert make(tree) == []


def test_records_that_are_gone_do_not_stop_a_run_that_was_decoded(tree):
    (tree / "records").rename(tree / "unmounted")
    assert make(tree, data=None) == []
    (tree / RUN / "report.html").unlink()
    assert modules(make(tree, data=None)) == ["report.page"]
    (tree / "unmounted").rename(tree / "records")


def test_code_makes_nothing_stale_and_status_names_what_other_code_made(tree):
    receipts = sorted((tree / RUN / "receipts").rglob("*.json"))
    for path in receipts:
        write_json(path, read_json(path) | {"commit": "abc1234"})
    assert make(tree) == []
    status = run_make(tree, "status", YT8M_COMMIT="def5678").stdout
    jobs = len([path for path in receipts if "receipts/report" not in str(path)])
    assert f"made by other code: {jobs} jobs by abc1234; the code is now def5678" in status


def test_a_damaged_receipt_or_output_is_made_again(tree):
    receipt = tree / RUN / "receipts/first_level/one/fold2.json"
    receipt.write_text("{")
    expected = ["first_level.train", "stacking.rows", *STACK_ON, *DISTILL_ON]
    assert modules(make(tree)) == sorted(expected)
    weights = tree / RUN / "first_level/one/fold2/weights.safetensors"
    weights.write_text(weights.read_text().swapcase())
    assert modules(make(tree)) == sorted(expected)


def test_one_model_is_made_again(tree):
    calls = make(tree, "MODEL=one", goal="retrain", data=None)
    assert modules(calls) == ["first_level.train"] * 5
    assert all("/one/" in call for call in calls)
    make(tree)
    for given in (["MODEL=three"], []):
        done = run_make(tree, "retrain", *given)
        assert done.returncode == 2
        assert "those of plan tiny: one, two" in done.stderr
    assert make(tree) == []


def test_each_file_that_is_deleted_plans_its_job_and_what_needs_it(tree):
    found, jobs = planned_without_each(tree, "artifacts", step=4)
    makers = {path: name for name, job in jobs.items() for path in job["outputs"]}
    makers |= {f"{RUN}/receipts/{name}.json": name for name in jobs}
    planners = found.keys() - makers.keys()
    assert not any(found[path] for path in planners), "the planner writes them itself"
    for path in found.keys() - planners:
        wanted = {makers[path]}
        for name, job in jobs.items():  # in order
            wanted |= {name} if name in found[path] and wanted & set(job["needs"]) else set()
        assert set(found[path]) == wanted, path
    assert len(found) > 40
