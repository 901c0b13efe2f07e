"""Transfer: a start from other weights beats a start from nothing, and keeps what it should."""

from pathlib import Path

import numpy as np
import pytest
import torch
from kinds import random_features
from safetensors.torch import load_file, save_file
from snapshots import write_snapshots

from distill.export.run import Exported
from first_level import start
from first_level import train as job
from first_level.bundle.manifest import FORMAT, ExportedKind, Manifest, ResnetModel
from first_level.bundle.network import Member, build_network
from first_level.bundle.rounding import rounded_state
from first_level.bundle.sums import state_sums
from first_level.config import ModelConfig, Start, build
from folds import assign, decode
from yt8m.base.cli import InputError
from yt8m.base.config import canonical
from yt8m.base.files import read_json
from yt8m.data.store import Dims
from yt8m.inputs.batch import prepare
from yt8m.inputs.settings import Inputs
from yt8m.records import synthetic
from yt8m.records.framing import read_records, write_records
from yt8m.records.messages import protobuf

CLASSES, GROUPS = 40, 10
NET = "arch = 'resnet'\n[model]\nwidth = 64\ndropout = 0.2\n"
TRAINING = "[training]\nepochs = {}\nbatch_size = 32\nlr = 0.005\nprecision = 'float32'\n"
CLASSIFIER = {"classifier.weight", "classifier.bias"}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Folders `many` (1,500 videos, 40 classes) and `few` (500 other videos of the same world, four
    fifths of them in the holdout, labelled with 10 groups of those classes), and `parent`, the
    weights of a model of `many`."""
    root = tmp_path_factory.mktemp("transfer")
    options = {"videos": 2000, "classes": CLASSES, "rgb": 32, "audio": 16, "max_frames": 6}
    synthetic.main(root / "records", **options, shards=4, seed=1)
    shards = sorted((root / "records" / "video").iterdir())
    groups = np.random.default_rng(0).permutation(CLASSES) % GROUPS
    _data_set(root / "many", shards[:3], np.arange(CLASSES), holdout=0.05)
    _data_set(root / "few", shards[3:], groups, holdout=0.8)
    parent, _ = _train(root, "many", "parent", NET + TRAINING.format(8))
    parent.rename(root / "parent.safetensors")
    return root


def _data_set(folder: Path, shards: list[Path], label_of: np.ndarray, holdout: float) -> None:
    """Records of these shards with other labels, decoded and folded."""

    def relabelled(payload) -> bytes:
        example = protobuf.Example.FromString(bytes(payload))
        values = example.features.feature["labels"].int64_list.value
        values[:] = sorted(set(label_of[list(values)].tolist()))
        return example.SerializeToString(deterministic=True)

    payloads = [relabelled(payload) for path in shards for payload in read_records(path)]
    write_records(folder / "video" / "a.tfrecord", payloads)
    classes = f"name = 'transfer'\nclasses = {label_of.max() + 1}\n"
    (folder / "dataset.toml").write_text(classes)
    decode.main(folder, folder / "store", jobs=1)
    assign.main(folder / "store", folder / "folds.safetensors", holdout=holdout)


def _train(root: Path, data: str, name: str, toml: str, fold: int = 0):
    """(weights, report) of a job on one of the data sets."""
    (root / "plans" / name).mkdir(parents=True, exist_ok=True)
    (root / "plans" / name / "model.toml").write_text(toml)
    write_snapshots(root / "plans" / name, root / "out" / name)
    out = root / "out" / name / "model"
    folder = out / f"fold{fold}"
    data = root / data
    job.main(out / "config.json", data / "store", data / "folds.safetensors", folder, fold=fold)
    return folder / "weights.safetensors", read_json(folder / "report.json")


def _start(weights: Path, freeze: bool) -> str:
    return f"[start]\nweights = '{weights}'\nfreeze = {str(freeze).lower()}\n"


@pytest.fixture(scope="module")
def export(world):
    """An export of `parent`."""
    folder = world / "export"
    folder.mkdir()
    member = Member(kind="resnet", resnet=ResnetModel(width=64))
    network = build_network([member], Inputs(), Dims({"rgb": 32, "audio": 16}, CLASSES, 0))
    network.members[0].load_state_dict(load_file(world / "parent.safetensors"))
    _write_export(folder, network, [member])
    return folder


def _write_export(folder: Path, network, members: list[Member], **changes) -> None:
    described = {
        "format": FORMAT,
        "plan": "test",
        "revision": None,
        "features": [
            ExportedKind(name=name, width=width, frames=False)
            for name, width in (("rgb", 32), ("audio", 16))
        ],
        "classes": CLASSES,
        "class_names": [str(c) for c in range(CLASSES)],
        "inputs": Inputs(),
        "members": members,
        "dtype": "float32",
        "values": 0,
    }
    save_file(rounded_state(network, "float32"), folder / "model.safetensors")
    (folder / "model.json").write_text(canonical(Manifest(**described | changes)))
    state_sums(folder)


@pytest.fixture(scope="module")
def from_nothing(world):
    """GAP of the model that begins at random, with the same few videos and steps."""
    return _train(world, "few", "nothing", NET + TRAINING.format(20))[1]["gap_holdout"]


@pytest.mark.parametrize("freeze", [True, False], ids=["frozen", "free"])
@pytest.mark.parametrize("source", ["weights", "export"])
def test_it_beats_a_start_from_nothing(world, export, from_nothing, source, freeze):
    net, weights = NET, world / "parent.safetensors"
    if source == "export":
        net, weights = "arch = 'exported'\n", export
    toml = net + TRAINING.format(20) + _start(weights, freeze)
    trained, report = _train(world, "few", f"{source}_{freeze}", toml)
    assert report["gap_holdout"] > from_nothing + (0.03 if freeze else 0.005)
    prefix = "members.0." if source == "export" else ""
    parent = load_file(world / "parent.safetensors")
    trunk = {
        name: torch.equal(value, parent[name.removeprefix(prefix)])
        for name, value in load_file(trained).items()
        if name not in CLASSIFIER and "num_batches" not in name  # steps, which no layer reads
    }
    assert set(trunk.values()) == {freeze}, trunk


@pytest.mark.parametrize("data", ["few", "many"])
def test_all_but_the_classifier_is_taken_even_with_as_many_classes(world, data):
    toml = NET + TRAINING.format(0) + _start(world / "parent.safetensors", False)
    fold = 0 if data == "many" else 1  # as the parent: it has seen the other folds of `many`
    found = load_file(_train(world, data, f"taken_{data}", toml, fold=fold)[0])
    parent = load_file(world / "parent.safetensors")
    assert found.keys() == parent.keys()
    same = {name for name in found if torch.equal(found[name], parent[name])}
    assert same == found.keys() - CLASSIFIER


def test_weights_that_saw_what_is_judged_are_refused(world):
    toml = NET + TRAINING.format(0) + _start(world / "parent.safetensors", False)
    with pytest.raises(InputError, match=r"has learnt from [0-9]+ of [0-9]+ videos that a model w"):
        _train(world, "many", "seen", toml, fold=1)


def test_other_weights_make_a_job_stale(world):
    weights = world / "changing.safetensors"
    state = load_file(world / "parent.safetensors")
    save_file(state, weights)
    toml = NET + TRAINING.format(0) + _start(weights, True)
    before = load_file(_train(world, "few", "stale", toml)[0])
    save_file(state | {"towers.of_rgb.0.0.bias": state["towers.of_rgb.0.0.bias"] + 1}, weights)
    after = load_file(_train(world, "few", "stale", toml)[0])
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"towers.of_rgb.0.0.bias"}


def test_a_frozen_trunk_has_no_dropout_and_keeps_its_statistics():
    config = ModelConfig(arch="attention_net", model={"width": 4, "hidden": 8, "dropout": 0.5})
    dims = Dims({"rgb": 6, "audio": 3}, 9, 5)
    model = build(config, dims, "test")
    new = start.classifier_of(config, dims, "test")
    batch = prepare(Inputs(), random_features(dims, 4, 5), torch.ones(4, 5) > 0)
    statistics = {k: v.clone() for k, v in model.state_dict().items() if "running" in k}
    assert statistics
    assert not torch.equal(model.train()(batch), model(batch)), "dropout is on, or this cannot fail"
    model.load_state_dict(statistics, strict=False)
    start.freeze(model, new)
    logits = model.train()(batch)
    torch.testing.assert_close(model(batch), logits)
    torch.testing.assert_close(model.eval()(batch), logits)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in statistics.items())
    logits.sum().backward()
    assert {name for name, p in model.named_parameters() if p.grad is not None} == new


def test_the_classifier_is_what_depends_on_the_classes():
    dims = Dims({"rgb": 6, "audio": 3}, 9, 5, verticals=2)
    found = start.classifier_of(ModelConfig(arch="moe"), dims, "test")
    assert {name.split(".")[0] for name in found} == {"gates", "experts"}
    verticals = ModelConfig(arch="resnet", model={"width": 8, "verticals": True, "gating": True})
    heads = {name.split(".")[0] for name in start.classifier_of(verticals, dims, "test")}
    assert heads == {"classifier", "gate", "vertical_head"}


@pytest.mark.parametrize("kinds", [("resnet",), ("student",), ("student", "resnet")])
def test_the_features_are_those_that_the_exports_classifier_saw(tmp_path, kinds):
    torch.manual_seed(0)
    sizes = {"resnet": {"resnet": ResnetModel(width=8)}, "student": {"scale": 0.005}}
    members = [Member(kind=kind, **sizes[kind]) for kind in kinds]
    network = build_network(members, Inputs(), Dims({"rgb": 32, "audio": 16}, CLASSES, 0))
    _write_export(tmp_path, network, members)
    config = ModelConfig(arch="exported", start=Start(weights=str(tmp_path)))
    dims = Dims({"rgb": 32, "audio": 16}, CLASSES, 0)
    model = build(config, dims, "test")
    start.begin(model, config, dims, "test")
    heads = [
        [m for m in member.modules() if isinstance(m, torch.nn.Linear)][-1]
        for member in network.members
    ]
    assert all(head.out_features == CLASSES for head in heads)
    with torch.no_grad():  # the mean of the members' logits is one classifier of all features
        model.classifier.weight.copy_(torch.cat([h.weight for h in heads], 1) / len(heads))
        biases = [torch.zeros(CLASSES) if h.bias is None else h.bias for h in heads]
        model.classifier.bias.copy_(torch.stack(biases).mean(0))
        features = random_features(dims, 5)
        found = model.eval()(prepare(Inputs(), features))
    expected = Exported(tmp_path).logits({name: x.numpy() for name, x in features.items()})
    torch.testing.assert_close(found, torch.from_numpy(expected))
    model.train()(prepare(Inputs(), features)).sum().backward()
    without = [name for name, p in model.named_parameters() if p.grad is None]
    assert not without, "a trunk that is not frozen learns"


@pytest.mark.parametrize(
    ("toml", "text"),
    [
        (
            NET.replace("64", "32") + "[start]\nweights = 'PARENT'",
            r"parent.safetensors: concat.0.layers.0.0.bias is \(64,\) there and \(32,\) in .*same",
        ),
        (
            NET + "tower_blocks = 2\n[start]\nweights = 'PARENT'",
            r"towers.of_audio.2.layers.0.0.bias is absent there and \(64,\) in",
        ),
        (
            "arch = 'mlp'\n[model]\nwidths = [8]\n[start]\nweights = 'PARENT'",
            r"parent.safetensors: concat.0.layers.0.0.bias is \(64,\) there and absent in",
        ),
        (
            "arch = 'linear'\n[start]\nweights = 'PARENT'",
            "config.json: linear is only a classifier; .start. gives nothing",
        ),
        (NET + "[start]\nweights = 'nowhere'", "start.weights = 'nowhere': nowhere is no file"),
        (NET + "[start]\nweights = 'README.md'", "README.md: cannot be read"),
        (NET + "[start]\nfrozen = true", "unknown key 'start.frozen'; allowed: freeze, weights"),
        ("arch = 'exported'", "config.json: arch 'exported' needs .start. weights = an export"),
        ("arch = 'exported'\n[start]\nweights = 'yt8m'", "yt8m/model.json is no file"),
        (
            "arch = 'exported'\n[inputs]\nnormalise = 'none'\n[start]\nweights = 'EXPORT'",
            r"export/model.json: was trained with \[inputs\] normalise = 'l2', not 'none'; say",
        ),
        (
            "arch = 'exported'\n[model]\nwidth = 3\n[start]\nweights = 'EXPORT'",
            "unknown key 'model.width'; allowed: none",
        ),
        (
            "arch = 'exported'\n[inputs]\nfeatures = ['rgb']\n[start]\nweights = 'EXPORT'",
            "takes rgb 32, audio 16; the data gives rgb 32",
        ),
    ],
)
def test_what_does_not_fit_is_named(world, export, monkeypatch, toml, text):
    monkeypatch.chdir(Path(__file__).parents[2])
    toml = toml.replace("PARENT", str(world / "parent.safetensors"))
    with pytest.raises(InputError, match=text):
        _train(world, "few", "wrong", toml.replace("EXPORT", str(export)) + "\n", fold=2)
