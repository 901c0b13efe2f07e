"""Unusual data runs to the end or is refused at the first stage that can know it.

`python -m bench.unusual.run OUT` runs every case; here are those that are refused soon, and the
whole pipeline on some of the others.
"""

import re
from dataclasses import replace

import numpy as np
import pytest
from record_bytes import videos_of

from bench.unusual.cases import ASSIGN, CASES, DECODE
from bench.unusual.data import WIDTHS, Case, cut_audio, make_videos
from bench.unusual.run import DONE, jobs_of, matches, plan_of, run_case, run_job
from folds.conversion import convert
from yt8m.base.cli import InputError
from yt8m.base.files import read_json
from yt8m.data.store import Store
from yt8m.records.values import NOTHING

SOON = [
    name for name, case in CASES.items() if case.refused and case.refused[0] in (DECODE, ASSIGN)
]
LATE = ["huge lr", "patience without labels"]
WHOLE = ("one class", "fold without positives", "a video in each fold")


@pytest.mark.parametrize("name", SOON + LATE)
def test_it_is_refused_in_one_line_that_says_why(tmp_path, name):
    job, text = run_case(CASES[name], tmp_path)
    assert matches(CASES[name], job, text), f"{job}: {text}"
    assert "\n" not in text


@pytest.mark.parametrize("name", WHOLE)
def test_it_runs_to_the_end(tmp_path, name):
    assert run_case(CASES[name], tmp_path) == DONE
    figures = read_json(tmp_path / "run" / "evaluation.json")
    assert (figures["gap20"] is None) == (CASES[name].settings.get("HOLDOUT") == "0")


def decode_case(case: Case, folder) -> Store:
    """The store of a case."""
    job = jobs_of(case, case.write(folder / "records"), folder / "run")[0]
    run_job(job, onnx=False)
    return Store(folder / "run" / "store")


def test_kinds_are_cut_to_the_shortest(tmp_path):
    store = decode_case(CASES["kinds cut to the shortest"], tmp_path)
    assert store.num_frames[7] == 3
    frames, _ = store.frames([7])
    videos = make_videos(60, 6, WIDTHS)
    cut_audio(7, 3)(videos)
    for kind, part in videos[7]["frames"].items():
        np.testing.assert_array_equal(frames[kind], part[:3])


def test_a_conversion_cuts_them_too(tmp_path):
    for name, frames in (("rgb", 2), ("audio", 3)):
        made = {"a": np.ones((4, 2)), "b": np.arange(2.0 * frames).reshape(-1, 2) / 8}
        np.savez(tmp_path / f"{name}.npz", **made)
    files = {name: tmp_path / f"{name}.npz" for name in ("rgb", "audio")}
    with pytest.raises(InputError, match=r"video b: .* \[2, 3\]; --cut-frames cuts them to the sh"):
        convert.main(tmp_path / "out", **files)
    convert.main(tmp_path / "out", **files, cut_frames=True)
    long, short = videos_of(tmp_path / "out")["frame"]
    assert (len(long.frames["rgb"]), len(short.frames["rgb"])) == (4, 2)
    np.testing.assert_array_equal(short.frames["audio"], short.frames["rgb"])


def test_a_kind_that_a_video_lacks_is_zero(tmp_path):
    store = decode_case(CASES["audio is filled in"], tmp_path)
    audio = store.video([6, 7])["audio"]
    assert audio.any(axis=1).tolist() == [True, False]
    assert set(store.frames([7])[0]["audio"].ravel()) == {NOTHING}


def test_segments_behind_the_end_are_left_out_and_counted(tmp_path, capsys):
    store = decode_case(CASES["segment after the end"], tmp_path)
    assert not len(store.segments(range(60)))
    text = r"60 rated segments begin when their video has ended, and are left out \(.*: record 0\)"
    assert re.search(text, capsys.readouterr().out)
    whole = decode_case(CASES["segments"], tmp_path / "whole")
    assert len(whole.segments(range(60))) == 60


def test_a_model_cannot_be_called_like_a_column_of_the_stack():
    for name in ("frames", "rank", "prior", "rgb_norm", "stack"):
        plan = replace(plan_of(Case()), models={name: plan_of(Case()).models["linear"]})
        with pytest.raises(InputError, match=f"{name}.toml: a model cannot be called {name}"):
            plan.check_names()
    plan_of(Case()).check_names()


def test_a_model_that_reads_another_export_is_not_refitted():
    plan = plan_of(Case())
    linear = plan.models["linear"].model_copy(update={"arch": "exported"})
    with pytest.raises(InputError, match="x.toml: .refit. names 'linear' of arch 'exported', whi"):
        replace(plan, models={"linear": linear}).check_refit("x.toml")
    plan.check_refit("x.toml")
