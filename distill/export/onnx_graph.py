"""The ONNX form of a network: small weights in the file, float32 arithmetic in the graph.

Only products of 8-bit weights are made in 8 bits (integer_products.py).

Inputs: each kind of features by its name, raw float32 (N, W). Networks of frames take (N, T, W) of
each kind that has frames, and lengths int64 (N,), how many frames of each video are real. Outputs:
classes int64, scores and best_logits float32 (N, 20) of the 20 best classes, best first; and logits
(N, C), the mean over the models before any re-ranking. N and T are free. The metadata have the
names of the classes. Needs onnx and onnxscript.
"""

import logging
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from distill.export.graph import BEST, LOGITS, SCORES
from distill.export.integer_products import STEP, multiply_in_8_bits, replace, units_of
from first_level.bundle.network import Network
from first_level.bundle.rounding import EXACT
from yt8m.data.store import Dims

SMALL = 128  # weights with fewer values stay float32
LENGTHS = "lengths"  # an input
OUTPUTS = [BEST[0], SCORES, BEST[1], LOGITS]


class _Graph(nn.Module):
    """A network with an input for each kind of features, and OUTPUTS."""

    def __init__(self, network: Network, names: list[str]):
        super().__init__()
        self.network, self.names = network, names

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        features = dict(zip(self.names, inputs, strict=True))
        lengths = features.pop(LENGTHS, None)
        classes, best, logits = self.network.best(features, lengths)
        return classes, best.sigmoid(), best, logits


def input_names(dims: Dims) -> list[str]:
    """The graph's inputs."""
    return [*dims.features, *[LENGTHS] * (dims.max_frames > 0)]


def _examples(dims: Dims) -> tuple[list[Tensor], list[dict]]:
    """Inputs to trace with, and the free axes of each."""
    free, frames = {0: torch.export.Dim("videos", min=1)}, min(dims.max_frames, 5)
    lengths = [torch.full((3,), frames)] if frames else []
    if frames > 1:  # an axis that can be 1 alone is not free
        free[1] = torch.export.Dim("frames", min=1, max=dims.max_frames)
    features, axes = [], []
    for name, width in dims.features.items():
        framed = frames and name not in dims.frameless
        features.append(torch.zeros(*((3, frames) if framed else (3,)), width))
        axes.append(free if framed else {0: free[0]})
    return features + lengths, axes + [{0: free[0]}] * len(lengths)


def write_onnx(
    network: Network,
    dims: Dims,
    path: Path,
    dtype: str,
    about: dict | None = None,
) -> None:
    """Writes the graph, its weights stored as `dtype`: float32, float16 or int8.

    dims: of the data; max_frames is 0 if the network takes no frames. about: the metadata.
    ValueError without a graph.
    """
    names, (example, axes) = input_names(dims), _examples(dims)
    for name in ("torch.onnx", "torch.fx.experimental.symbolic_shapes"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            _Graph(network, names).eval(),
            tuple(example),
            input_names=names,
            output_names=OUTPUTS,
            dynamic_shapes=(tuple(axes),),
            dynamo=True,
            optimize=False,  # folding BatchNorm into the weights would change their rounding
            verbose=False,
        )
    model = program.model_proto
    _check_axes(model.graph, axes)
    for part in (*model.graph.node, *model.graph.value_info):
        del part.metadata_props[:]  # where in the Python code each comes from
    if dtype != "float32":
        _shrink(model.graph, dtype)
    helper.set_model_props(model, about or {})
    onnx.save_model(model, path)


def _check_axes(graph: onnx.GraphProto, axes: list[dict]) -> None:
    """ValueError when the exporter tied an axis to the example, which it does silently."""
    for node, free in zip(graph.input, axes, strict=True):
        sizes = node.type.tensor_type.shape.dim
        for axis in free:
            if not sizes[axis].dim_param:
                size = sizes[axis].dim_value
                raise ValueError(f"axis {axis} of {node.name} is always {size} in its graph")


def _shrink(graph: onnx.GraphProto, dtype: str) -> None:
    """Stores large float32 weights smaller, and adds the nodes that widen them where they are used.

    Cast widens float16, DequantizeLinear the rows of an int8 matrix.
    """
    widening, steps = [], []
    if dtype == "int8":
        multiply_in_8_bits(graph)
    for weight in graph.initializer:
        values = numpy_helper.to_array(weight)
        if (
            weight.data_type != TensorProto.FLOAT
            or values.size < SMALL
            or weight.name.endswith(STEP)
            or EXACT in weight.name
        ):
            continue
        name = weight.name
        in_units = units_of(values) if dtype == "int8" and values.ndim == 2 else None
        if in_units is not None:
            units, step, axis = in_units
            weight.CopyFrom(numpy_helper.from_array(units, name + "_int8"))
            steps.append(numpy_helper.from_array(step, name + STEP))
            inputs = [weight.name, steps[-1].name]
            widening.append(helper.make_node("DequantizeLinear", inputs, [name], axis=axis))
            continue
        with np.errstate(over="ignore"):
            halves = values.astype(np.float16)
        if np.isfinite(halves).all():
            weight.CopyFrom(numpy_helper.from_array(halves, name + "_float16"))
            widening.append(helper.make_node("Cast", [weight.name], [name], to=TensorProto.FLOAT))
    graph.initializer.extend(steps)
    replace(graph.node, [*widening, *graph.node])
