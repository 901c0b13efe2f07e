"""A plan that does not fit the data is refused before anything trains."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from folds import assign, decode
from jobs import plans
from jobs.fit import check
from jobs.graph import graph_of
from jobs.plans import Plan
from jobs.settings import Settings
from yt8m.base.cli import InputError
from yt8m.base.files import read_json

LINEAR = "arch = 'linear'\n"
FRAMES = "arch = 'vlad_bow'\n[model]\nwords = 4\nwidth = 8\n"


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    """A folder of configurations, with the plan p of the model `one`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plans, "ROOT", tmp_path)
    for path in ("first_level/configs/p", "stacking/configs", "distill/configs"):
        Path(path).mkdir(parents=True)
    for stage, text in (("stacking", ""), ("distill", "scale = 0.01\n")):
        Path(f"{stage}/configs/p.toml").write_text(text)
    model("one", LINEAR)


def model(name, text):
    Path(f"first_level/configs/p/{name}.toml").write_text(text)


@pytest.fixture(scope="module")
def video_level(data_set, tmp_path_factory):
    """The same videos without frames: a store and its folds."""
    folder = tmp_path_factory.mktemp("video_level")
    decode.main(data_set / "records" / "video", folder / "store", jobs=1)
    assign.main(folder / "store", folder / "folds.safetensors", holdout=0.2)
    return folder


def run_check(data, **options):
    check.main("p", data / "store", data / "folds.safetensors", Path("fit.json"), **options)
    return read_json(Path("fit.json"))


def test_what_each_model_takes(data_set):
    model("two", FRAMES + "[inputs]\nfeatures = ['rgb']\nmax_frames = 7\n")
    found = run_check(data_set)
    assert list(found) == ["one", "two", "students"]
    sizes = {"rgb": 24, "audio": 8}
    one = {"level": "video", "features": sizes, "frames": 0, "parameters": 30 * 33}
    assert found["one"] == one
    assert found["two"]["level"] == "frame"
    assert found["two"]["features"] == {"rgb": 24}
    assert found["two"]["frames"] == 7
    assert found["students"]["student"]["features"] == sizes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            LINEAR + "[inputs]\nfeatures = ['text']",
            "names 'text', which the data lacks; it has rgb,",
        ),
        (FRAMES, "vlad_bow is a frame-level model and the data has no frames"),
        (LINEAR + "[inputs]\nstatistics = ['std']", "inputs.statistics need frames and the data"),
        (
            "arch = 'attention_net'\n[model]\nwidth = 30\nheads = 4",
            "attention_net is a frame-level",
        ),
        (LINEAR + "[training.noise]\ntest_passes = 3", "needs a model with dropout; it has none"),
        (LINEAR + "[start]\nweights = 'w.safetensors'", "w.safetensors is no file"),
        (
            "arch = 'mlp'\n[start]\nweights = 'x.safetensors'",
            "safetensors: hidden.0.bias is absent there and",
        ),
    ],
)
def test_models_that_the_data_does_not_fit(video_level, text, message):
    save_file({"y": torch.zeros(1)}, "x.safetensors")
    model("two", text)
    with pytest.raises(InputError, match=rf"^(first_level/configs/p/two.toml|x)\b.*{message}"):
        run_check(video_level)
    assert not Path("fit.json").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "arch = 'netvlad'\n[model]\ngroups = 7",
            "groups = 7; allowed: what divides expansion x rgb",
        ),
        (FRAMES + "[inputs]\nsampling = 'centroids'", "clusters = 10,000 and [0-9,]+ frames; give"),
        (FRAMES + "[teachers]\nmodels = ['one']", "'one' is video-level, this model frame-level"),
    ],
)
def test_models_that_the_frames_do_not_fit(data_set, text, message):
    model("two", text)
    with pytest.raises(InputError, match=rf"^first_level/configs/p/two.toml: .*{message}"):
        run_check(data_set)


def test_all_that_do_not_fit_are_named(video_level):
    for name in ("one", "two", "three"):
        model(name, FRAMES)
    model("fine", LINEAR)
    with pytest.raises(InputError, match="p/one.toml: .*; nor do three, two fit the data$"):
        run_check(video_level)


@pytest.mark.parametrize(
    ("stage", "text", "options", "message"),
    [
        ("distill", "[inputs]\nfeatures = ['text']", {}, "inputs.features names 'text', which the"),
        (
            "distill",
            "scale = 1.0",
            {"budget_mb": 50},
            "takes [0-9.,]+ MB at least, over the budget",
        ),
        ("distill", "[refit]\nmodels = ['one']", {"budget_mb": 1e-3}, "0.0 MB at least, over the"),
    ],
)
def test_students_and_stacks_that_do_not_fit(data_set, stage, text, options, message):
    Path(f"{stage}/configs/p.toml").write_text(text)
    with pytest.raises(InputError, match=rf"^{stage}/configs/p.toml: .*{message}"):
        run_check(data_set, **options)


def test_int8_is_smaller_and_a_small_export_fits(data_set):
    Path("distill/configs/p.toml").write_text("[refit]\nmodels = ['one']\n")
    values = 30 * 33
    for dtype, size in (("float32", 8), ("float16", 4), ("int8", 2)):
        run_check(data_set, budget_mb=size * values / 1e6, dtype=dtype)
        with pytest.raises(InputError, match="over the budget"):
            run_check(data_set, budget_mb=size * values / 1e6 - 1e-6, dtype=dtype)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("export = 'both'\n[refit]\nmodels = ['one']", "have no mean; allowed: student, resnet"),
        (
            "[refit]\nmodels = ['two']",
            r"p/two.toml: has a table \[teachers\], so it cannot be refitted",
        ),
        ("[refit]\nmodels = ['three']", "p/three.toml: cannot be refitted: statistics: an export"),
    ],
)
def test_what_no_data_fits_is_refused_when_the_plan_is_read(text, message):
    model("two", LINEAR + "[teachers]\nmodels = ['one']\n")
    model("three", LINEAR + "[inputs]\nstatistics = ['std']\n")
    Path("distill/configs/p.toml").write_text(text)
    with pytest.raises(InputError, match=message):
        Plan.read("p")


def test_segments_are_refused_if_they_are_wanted(data_set, capsys):
    model("two", FRAMES + "[segments]\n")
    run_check(data_set)
    text = "store: has no rated segments; give DATA"
    assert f"make segments will be refused: {data_set}/{text}" in capsys.readouterr().out
    with pytest.raises(InputError, match=text):
        run_check(data_set, segments=True)


def test_nothing_trains_before_the_check_and_no_result_depends_on_it():
    Path("distill/configs/p.toml").write_text("[refit]\nmodels = ['one']\n")
    settings = Settings("p", Path("artifacts/p"), {"DATA": "records"}, {})
    graph, fit = graph_of(Plan.read("p"), settings), settings.artifacts.fit
    for job in graph.jobs:
        assert fit not in job.inputs
        if job.trains:
            assert "folds/fit" in {one.name for one in graph.with_needs([job.name])}
    assert "folds/fit" in {job.name for job in graph.of_goal("folds")}
    config = settings.artifacts.model("one") / "config.json"
    assert config in graph.by_name["folds/fit"].inputs
