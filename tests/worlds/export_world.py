"""What the tests of exports share: students with random weights, their export, video records,
and what a graph is without this project."""

import json

import numpy as np
import onnx
import onnxruntime
from distill_world import soft_labels_of

from distill.config import member_of
from distill.export import write as export
from distill.export.run import Exported
from first_level.bundle.network import build_network
from yt8m.data.splits import Splits
from yt8m.data.store import Store
from yt8m.records.framing import write_records
from yt8m.records.messages import example


def random_network(kind, config, dims):
    """Random weights that spread the scores, as training does."""
    network = build_network([member_of(kind, config)], config.inputs, dims)
    for name, value in network.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 2.0)
        elif value.ndim == 2:
            value.normal_(0, 1.4 * value.shape[1] ** -0.5)
    return network


def run_export(root, data_set, out, config=None, **flags) -> None:
    """Exports students; the labels stand in for the stack's soft ones."""
    store, folds, soft = (data_set / x for x in ("store", "folds.safetensors", "soft.safetensors"))
    if not soft.exists():
        data = Store(store)
        soft_labels_of(data, Splits.read(folds, data.ids), soft)
    export.main(root, config or root / "config.json", store, folds, soft, out, **flags)


def write_video_records(path, ids, rgb, audio, labels=None) -> None:
    payloads = []
    for row, video in enumerate(ids):
        features = {"id": [video.encode()], "mean_rgb": rgb[row], "mean_audio": audio[row]}
        known = {} if labels is None else {"labels": list(labels[row])}
        payloads.append(example(features | known))
    write_records(path, payloads)


def check_graph_alone(folder, features, lengths=None) -> None:
    """model.onnx by onnxruntime, without this project, gives what `Exported.top` gives."""
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    outputs = [output.name for output in session.get_outputs()]
    assert outputs == ["classes", "scores", "best_logits", "logits"]
    feed = {name: np.asarray(values, np.float32) for name, values in features.items()}
    feed |= {} if lengths is None else {"lengths": np.asarray(lengths, np.int64)}
    assert [node.name for node in session.get_inputs()] == list(feed)
    found = dict(zip(outputs, session.run(None, feed), strict=True))
    classes, scores = Exported(folder, "onnx").top(features, 20, lengths)
    np.testing.assert_array_equal(found["classes"], classes)
    np.testing.assert_allclose(found["scores"], scores, rtol=1e-5)
    assert (np.diff(found["best_logits"], axis=1) <= 0).all()
    for row in (0, len(classes) - 1):  # alone as in a batch
        one = session.run(None, {name: values[row : row + 1] for name, values in feed.items()})
        np.testing.assert_array_equal(one[0][0], classes[row])
        np.testing.assert_allclose(one[1][0], scores[row], rtol=1e-3)

    manifest = json.loads((folder / "model.json").read_text())
    about = session.get_modelmeta().custom_metadata_map
    for name in ("class_names", "threshold", "thresholds"):
        assert json.loads(about[name]) == manifest[name]
    assert about["plan"] == manifest["plan"]
    assert json.loads(about["inputs"]) == manifest["features"]
    model = onnx.load(folder / "model.onnx")
    domains = {part.domain for part in (*model.graph.node, *model.opset_import)}
    assert (domains, len(model.functions)) == ({""}, 0)
    last = {w.name: w.data_type for w in model.graph.initializer if "reranker.head" in w.name}
    assert len(last) >= 6
    assert set(last.values()) == {onnx.TensorProto.FLOAT}, "its last layer stays exact"
