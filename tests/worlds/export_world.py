"""What the tests of exports share: students with random weights, their export, video records."""

from distill_world import soft_labels_of

from distill.config import member_of
from distill.export import write as export
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
