"""Networks of four kinds of features, and what is said of a kind that the data lacks.

From a table to the report: tests/jobs/test_pipeline.py.
"""

import numpy as np
import pytest
import torch
from kinds import FOUR, random_features

from distill.export.graph import session_of
from distill.export.onnx_graph import write_onnx
from first_level.bundle.manifest import Member, ResnetModel
from first_level.bundle.network import build_network
from first_level.config import ModelConfig, build
from yt8m.base.cli import InputError
from yt8m.data.store import Dims
from yt8m.inputs.settings import Inputs

CLASSES = 20


def test_students_of_four_kinds_have_graphs_with_an_input_for_each(tmp_path):
    torch.manual_seed(0)
    small = Member(kind="resnet", resnet=ResnetModel(width=8))
    members = [Member(kind="student", scale=0.01), small]
    dims = Dims(FOUR, CLASSES, 0)
    network = build_network(members, Inputs(), dims)
    write_onnx(network, dims, tmp_path / "x.onnx", "float32")
    session = session_of(tmp_path / "x.onnx", 1)
    assert [node.name for node in session.get_inputs()] == list(FOUR)
    features = random_features(dims, 7)
    with torch.inference_mode():
        expected = network(features).numpy()
    (found,) = session.run(["logits"], {name: x.numpy() for name, x in features.items()})
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_kind_that_the_data_lacks_is_named():
    dims = Dims(FOUR, CLASSES, 12, frameless=("title", "transcript"))
    lstm = ModelConfig(arch="lstm", inputs=Inputs(features=("rgb", "title")))
    with pytest.raises(InputError, match="names 'title', which the data has no frames of; it has"):
        build(lstm, dims, "x.toml")
    linear = ModelConfig(arch="linear", inputs=Inputs(features=("thumbnail",)))
    text = "names 'thumbnail', which the data lacks; it has rgb, audio, title, transcript"
    with pytest.raises(InputError, match=text):
        build(linear, dims, "x.toml")
