"""What the settings of inputs give a model, and which are refused."""

import numpy as np
import pytest
import torch
from input_world import loaded, source_on

from first_level.config import ModelConfig, build
from yt8m.base.cli import InputError
from yt8m.base.config import validate
from yt8m.data.store import Dims
from yt8m.inputs.derived import source_of
from yt8m.inputs.settings import Inputs


@pytest.mark.parametrize("features", [None, ["rgb"], ["audio"]])
@pytest.mark.parametrize("normalise", ["none", "l2", "standard", "whiten"])
@pytest.mark.parametrize(
    ("level", "options"),
    [
        ("video", {}),
        ("video", {"statistics": ["mean", "length", "top5"]}),
        ("video", {"statistics": ["std"], "sampling": "centroids", "clusters": 8}),
        ("video", {"sampling": "subset_mean"}),
        ("video", {"skip_frames": 3, "feature_share": 0.3}),
        ("frame", {"feature_share": 0.01, "sampling": "random", "max_frames": 4}),
        ("frame", {"dynamics": "pcp", "sampling": "segments", "max_frames": 5}),
        ("frame", {"sampling": "subset_mean"}),
        ("frame", {"sampling": "centroids", "clusters": 8, "max_frames": 3}),
    ],
)
def test_dims_are_what_load_gives(store, splits, features, normalise, level, options):
    values = {"features": features, "normalise": normalise, **options}
    source = source_of(store, level, validate(values, Inputs, "test"), splits)
    for training in (False, True):
        batch = loaded(source, np.arange(9), training)
        widths = {name: part.shape[-1] for name, part in batch.features.items()}
        assert widths == source.dims.features
        assert torch.isfinite(batch.joined).all()
        assert batch.joined.dtype == torch.float32
        assert list(widths) == (features or ["rgb", "audio"])
        if level == "frame":
            assert batch.mask.shape[1] <= source.dims.max_frames
            assert not batch.joined[~batch.mask].any()


def test_feature_share_is_fixed_by_its_seed(store):
    rows = np.arange(30)
    whole = loaded(source_on(store), rows).features["rgb"]
    chosen = {}
    for seed in (0, 1):
        source = source_on(store, feature_share=0.5, feature_seed=seed)
        part = loaded(source, rows).features["rgb"]
        equal = (part[:, :, None] == whole[:, None]).all(0)  # which of the columns each one is
        assert equal.sum(1).tolist() == [1] * 12
        chosen[seed] = equal.int().argmax(1).tolist()
        assert chosen[seed] == sorted(chosen[seed])
        assert torch.equal(
            part,
            loaded(source_on(store, feature_share=0.5, feature_seed=seed), rows).features["rgb"],
        )
    assert chosen[0] != chosen[1]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"statistics": []}, "statistics"),
        ({"statistics": ["mean", "mean"]}, "statistics: one is named twice"),
        ({"statistics": ["average"]}, "Input should be 'mean', 'std'"),
        ({"statistics": ["std"], "sampling": "subset_mean"}, "only .* fits"),
        ({"sampling": "scene"}, "Input should be 'stride'"),
        ({"feature_share": 0.0}, "greater than 0"),
    ],
)
def test_wrong_settings_are_named(values, message):
    with pytest.raises(InputError, match=message):
        validate(values, Inputs, "x.toml")


def test_a_model_that_cannot_have_its_inputs_says_so():
    video = ModelConfig(arch="linear", inputs=Inputs(skip_frames=20, statistics=("mean", "std")))
    message = (
        "x.toml: inputs.skip_frames, inputs.statistics need frames and the data has none; give"
    )
    with pytest.raises(InputError, match=message):
        build(video, Dims({"rgb": 6, "audio": 3}, 9, 0), "x.toml")
    frame = ModelConfig(arch="attention_net", inputs=Inputs(statistics=("mean", "std")))
    with pytest.raises(InputError, match="x.toml: inputs.statistics are for video-level models"):
        build(frame, Dims({"rgb": 6, "audio": 3}, 9, 12), "x.toml")


def test_a_distilled_model_takes_what_its_export_can_make():
    from distill.config import DistillConfig

    for inputs, name in (
        ({"statistics": ["std"]}, "statistics"),
        ({"feature_share": 0.5}, "share"),
    ):
        with pytest.raises(InputError, match=f"d.toml: inputs = .*{name}: an export takes"):
            validate({"inputs": inputs}, DistillConfig, "d.toml")
    with pytest.raises(InputError, match='an export supports only "none" and "l2"'):
        validate({"inputs": {"normalise": "whiten"}}, DistillConfig, "d.toml")
