"""A LightGBM booster as an ONNX graph, so that an export needs no LightGBM.

Input `features` (N, F) float32, output `raw` (N, 1) float32: the sum of the leaves. A threshold
becomes the largest float32 that is not above it: float32 features reach the same leaves.
"""

from collections import defaultdict
from pathlib import Path

import lightgbm
import numpy as np
import onnx
from onnx import TensorProto, helper

OPSET = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]


def write_trees(booster: lightgbm.Booster, path: Path) -> None:
    """Writes the booster's raw scores as a graph. AssertionError on categorical splits."""
    columns = defaultdict(list)
    for number, tree in enumerate(booster.dump_model()["tree_info"]):
        _collect(tree["tree_structure"], number, columns)
    columns["nodes_values"] = _below(np.array(columns["nodes_values"])).tolist()
    kind, domain = "TreeEnsembleRegressor", "ai.onnx.ml"
    node = helper.make_node(kind, ["features"], ["raw"], domain=domain, n_targets=1, **columns)
    shape = ["rows", booster.num_feature()]
    features = helper.make_tensor_value_info("features", TensorProto.FLOAT, shape)
    raw = helper.make_tensor_value_info("raw", TensorProto.FLOAT, ["rows", 1])
    graph = helper.make_graph([node], "reranker", [features], [raw])
    onnx.save_model(helper.make_model(graph, opset_imports=OPSET, ir_version=9), path)


def _collect(root: dict, number: int, columns: dict[str, list]) -> None:
    """Appends a tree's nodes, numbered as they are visited, to the operator's attributes."""
    waiting, count = [(root, 0)], 1
    while waiting:
        node, index = waiting.pop()
        inner = "split_feature" in node
        yes = no = 0
        if inner:
            assert node["decision_type"] == "<=", "categorical splits have no graph"
            yes, no = count, count + 1
            count += 2
            waiting += [(node["left_child"], yes), (node["right_child"], no)]
        else:
            columns["target_treeids"].append(number)
            columns["target_nodeids"].append(index)
            columns["target_ids"].append(0)
            columns["target_weights"].append(node["leaf_value"])
        columns["nodes_treeids"].append(number)
        columns["nodes_nodeids"].append(index)
        columns["nodes_featureids"].append(node["split_feature"] if inner else 0)
        columns["nodes_values"].append(node["threshold"] if inner else 0.0)
        columns["nodes_modes"].append("BRANCH_LEQ" if inner else "LEAF")
        columns["nodes_truenodeids"].append(yes)
        columns["nodes_falsenodeids"].append(no)


def _below(values: np.ndarray) -> np.ndarray:
    """The largest float32 that is not above each double."""
    single = values.astype(np.float32)
    above = single.astype(np.float64) > values
    single[above] = np.nextafter(single[above], np.float32(-np.inf))
    return single
