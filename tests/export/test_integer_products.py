"""Products of an 8-bit graph: whole numbers, each row of the input rounded by itself."""

from collections import Counter

import numpy as np
import onnx
import pytest
import torch
from rounded_inputs import rounded_inputs
from safetensors.torch import save_file
from torch import nn

from distill.export.graph import session_of
from distill.export.onnx_graph import write_onnx
from first_level.bundle.manifest import Member
from first_level.bundle.network import Network, build_network
from first_level.bundle.rounding import load_rounded, rounded_state
from first_level.config import ModelConfig
from yt8m.data.store import Dims
from yt8m.inputs.settings import Inputs

DIMS = Dims({"rgb": 48, "audio": 24}, 30, 0)
MEMBERS = {
    "no biases, a product before a ReLU": Member(kind="student", scale=0.02),
    "two products of one input": Member(
        kind="refit", refit=ModelConfig(arch="moe", model={"experts": 2})
    ),
    "a product of a product": Member(
        kind="refit", refit=ModelConfig(arch="mlp", model={"widths": [40, 40]})
    ),
}


@pytest.fixture(params=MEMBERS, scope="module")
def made(request, tmp_path_factory):
    """(network with values that 8 bits hold, its graph's file)."""
    folder = tmp_path_factory.mktemp("graph")
    torch.manual_seed(0)
    network = build_network([MEMBERS[request.param]], Inputs(), DIMS)
    save_file(rounded_state(network, "int8"), folder / "weights")
    load_rounded(network, folder / "weights")
    write_onnx(network.eval(), DIMS, folder / "graph.onnx", "int8")
    return network, folder / "graph.onnx"


def _videos(n: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {k: rng.standard_normal((n, w), np.float32) for k, w in (("rgb", 48), ("audio", 24))}


def _by_definition(network: Network, videos: dict[str, np.ndarray]) -> np.ndarray:
    with torch.inference_mode(), rounded_inputs(network):
        return network({name: torch.from_numpy(x) for name, x in videos.items()}).numpy()


def test_every_linear_layer_multiplies_whole_numbers(made):
    network, path = made
    layers = sum(isinstance(part, nn.Linear) for part in network.modules())
    kinds = Counter(node.op_type for node in onnx.load(path).graph.node)
    assert kinds["MatMulInteger"] == layers
    assert not kinds["Gemm"] + kinds["MatMul"] + kinds["DequantizeLinear"]


def test_scores_are_those_of_rounded_inputs(made):
    network, path = made
    videos = _videos(64)
    found = session_of(path, 1).run(["logits"], videos)[0]
    expected = _by_definition(network, videos)
    # A value halfway between two steps may be rounded either way.
    assert (np.abs(found - expected) < 1e-3 * expected.std()).mean() > 0.95
    assert np.abs(found - expected).max() < 0.1 * expected.std()


def test_a_video_does_not_depend_on_its_batch(made):
    session, videos = session_of(made[1], 1), _videos(20)
    together = session.run(["logits"], videos)[0]
    for row in (0, 7):
        alone = session.run(["logits"], {k: x[row : row + 1] for k, x in videos.items()})[0]
        np.testing.assert_allclose(alone[0], together[row], rtol=0, atol=1e-5)


def test_nothing_is_given_for_nothing(made):
    """Rows of zeros have no largest value to be divided by."""
    videos = {name: np.zeros_like(x) for name, x in _videos(2).items()}
    assert np.isfinite(session_of(made[1], 1).run(["logits"], videos)[0]).all()
