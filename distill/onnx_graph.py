"""The ONNX form of a network: small weights in the file, float32 arithmetic in the graph.

Inputs rgb (N, R) and audio (N, A), raw float32 features; a modality that the data lacks is no
input. Outputs scores (N, C), logits (N, C): the mean of the models' logits, which are the output
models (m, N, C) where there are several. N is free. Needs onnx, onnxscript.
"""

import logging
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from distill.build import Network, mean_of
from yt8m.store import Dims

SMALL = 128  # weights with fewer values stay float32
OUTPUTS = (["scores", "logits"], ["scores", "logits", "models"])  # of one model, of several


class _Graph(nn.Module):
    """A network over the modalities that the data has, with scores beside the logits."""

    def __init__(self, network: Network, names: list[str]):
        super().__init__()
        self.network, self.names = network, names

    def forward(self, *features: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(self.names, features, strict=True))
        absent = features[0][:, :0]
        models = self.network.of_models(given.get("rgb", absent), given.get("audio", absent))
        logits = mean_of(models)
        outputs = (logits.sigmoid(), logits)
        return outputs if len(models) == 1 else (*outputs, torch.stack(models))


def input_names(dims: Dims) -> list[str]:
    """The graph's inputs."""
    return [name for name, width in (("rgb", dims.rgb), ("audio", dims.audio)) if width]


def write_onnx(network: Network, dims: Dims, path: Path, dtype: str) -> None:
    """Writes the graph; `dtype` is how its weights are stored: float32, float16 or int8."""
    names = input_names(dims)
    example = tuple(torch.zeros(3, getattr(dims, name)) for name in names)
    free = torch.export.Dim("videos", min=1)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            _Graph(network, names).eval(),
            example,
            input_names=names,
            output_names=OUTPUTS[len(network.groups) > 1],
            dynamic_shapes=(tuple({0: free} for _ in names),),
            dynamo=True,
            optimize=False,  # would fold BatchNorm into weights, which are then rounded otherwise
            verbose=False,
        )
    model = program.model_proto
    for node in model.graph.node:
        del node.metadata_props[:]  # where in the Python code each node comes from
    if dtype != "float32":
        _shrink(model.graph, dtype)
    onnx.save_model(model, path)


def _shrink(graph: onnx.GraphProto, dtype: str) -> None:
    """Stores large float32 weights smaller, and nodes that widen them again where they are used:
    Cast of float16, DequantizeLinear of the rows of an int8 matrix."""
    widening, steps = [], []
    for weight in graph.initializer:
        values = numpy_helper.to_array(weight)
        if weight.data_type != TensorProto.FLOAT or values.size < SMALL:
            continue
        name = weight.name
        if dtype == "int8" and values.ndim == 2:
            units, step, axis = _units(values)
            weight.CopyFrom(numpy_helper.from_array(units, name + "_int8"))
            steps.append(numpy_helper.from_array(step, name + "_step"))
            inputs = [weight.name, steps[-1].name]
            widening.append(helper.make_node("DequantizeLinear", inputs, [name], axis=axis))
        else:
            weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), name + "_float16"))
            widening.append(helper.make_node("Cast", [weight.name], [name], to=TensorProto.FLOAT))
    graph.initializer.extend(steps)
    nodes = [*widening, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _units(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """(int8 units, float32 step of each row or column, axis) of a matrix that holds multiples.

    The graph may have transposed it: the axis is the one along which nothing is lost.
    """
    found = []
    for axis in (0, 1):
        step = (np.abs(values).max(1 - axis, keepdims=True).clip(1e-12) / 127).astype(np.float32)
        units = np.rint(values / step).astype(np.int8)
        lost = float(np.abs(units * step - values).max())
        found.append((lost, axis, units, step.ravel()))
    _, axis, units, step = min(found, key=lambda one: one[0])
    return units, step, axis
