"""A LightGBM booster as an ONNX graph, so that an export needs no LightGBM.

Input `features` (N, F) float32, output `raw` (N, 1) float32: the sum of the leaves. A split
x <= t of a double t becomes x <= the largest float32 below it, so that float32 features reach the
same leaves as in LightGBM. reranker.Trees reads it.
"""

from pathlib import Path

import lightgbm
import numpy as np
import onnx
from onnx import TensorProto, helper

OPSET = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]


def write_trees(booster: lightgbm.Booster, path: Path) -> None:
    """Writes the booster's raw scores as a graph. AssertionError on categorical splits."""
    columns = {name: [] for name in ("tree", "node", "feature", "threshold", "mode", "yes", "no")}
    leaves = {name: [] for name in ("tree", "node", "weight")}
    for number, tree in enumerate(booster.dump_model()["tree_info"]):
        _collect(tree["tree_structure"], number, columns, leaves)
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["features"],
        ["raw"],
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_treeids=columns["tree"],
        nodes_nodeids=columns["node"],
        nodes_featureids=columns["feature"],
        nodes_values=_below(np.array(columns["threshold"])).tolist(),
        nodes_modes=columns["mode"],
        nodes_truenodeids=columns["yes"],
        nodes_falsenodeids=columns["no"],
        target_treeids=leaves["tree"],
        target_nodeids=leaves["node"],
        target_ids=[0] * len(leaves["tree"]),
        target_weights=leaves["weight"],
    )
    shape = ["rows", booster.num_feature()]
    features = helper.make_tensor_value_info("features", TensorProto.FLOAT, shape)
    raw = helper.make_tensor_value_info("raw", TensorProto.FLOAT, ["rows", 1])
    graph = helper.make_graph([node], "reranker", [features], [raw])
    onnx.save_model(helper.make_model(graph, opset_imports=OPSET, ir_version=9), path)


def _collect(root: dict, number: int, columns: dict, leaves: dict) -> None:
    """Appends a tree's nodes, numbered in the order of their visit; the root is 0."""
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
            leaves["tree"].append(number)
            leaves["node"].append(index)
            leaves["weight"].append(node["leaf_value"])
        columns["tree"].append(number)
        columns["node"].append(index)
        columns["feature"].append(node["split_feature"] if inner else 0)
        columns["threshold"].append(node["threshold"] if inner else 0.0)
        columns["mode"].append("BRANCH_LEQ" if inner else "LEAF")
        columns["yes"].append(yes)
        columns["no"].append(no)


def _below(values: np.ndarray) -> np.ndarray:
    """The largest float32 that is not above each double."""
    single = values.astype(np.float32)
    above = single.astype(np.float64) > values
    single[above] = np.nextafter(single[above], np.float32(-np.inf))
    return single
