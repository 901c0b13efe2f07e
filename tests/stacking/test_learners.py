"""What learns from rows: the network's training, which rows it sees, the mean with trees."""

import shutil

import numpy as np
import pytest
import torch
from stacking_world import StackingWorld

from stacking import train
from stacking.config import Stacking
from stacking.learners import booster, network
from stacking.learners.learned import Learned
from stacking.learners.network import GroupedRows, NetworkOfRows
from stacking.table import ALL, FOLD_PREFIX, Rows, column_names, groups_of
from yt8m.base.checksums import write_sums
from yt8m.base.cli import InputError
from yt8m.base.config import read_snapshot
from yt8m.base.files import read_json
from yt8m.data.splits import NUM_FOLDS
from yt8m.training import checkpoint
from yt8m.training.metrics import gap

EPOCHS = 4
NETWORK = "network/weights.safetensors"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Rows of 900 videos in all folds."""
    with pytest.MonkeyPatch.context() as patch:
        world = StackingWorld(tmp_path_factory.mktemp("learners"), patch, videos=900)
        training = {"epochs": EPOCHS, "batch_size": 16}
        world.configure(learner="both", network={"width": 8, "layers": 1, "training": training})
        world.all_rows()
        yield world


def learn(world, out, stacking=None, fold=2):
    """Trains a network into a folder; returns its file."""
    path = out / NETWORK
    train.main(world.config, stacking or world.stacking, path, fold=fold, learner="network")
    return path


@pytest.fixture(scope="module")
def learnt(world, tmp_path_factory):
    """A folder with the network and the trees that never saw fold 2."""
    out = tmp_path_factory.mktemp("learnt")
    learn(world, out)
    train.main(world.config, world.stacking, out / "model.txt", fold=2, learner="trees")
    return out


def test_training_resumes_to_the_same_bytes(world, learnt, tmp_path, monkeypatch):
    expected = (learnt / NETWORK).read_bytes()
    epochs, train_epoch = [], network._train_epoch

    def killed(run, rows):
        epochs.append(run.epoch)
        if len(epochs) == 3:
            raise KeyboardInterrupt
        return train_epoch(run, rows)

    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", -1.0)
    monkeypatch.setattr(network, "_train_epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        learn(world, tmp_path / "killed")
    again = learn(world, tmp_path / "killed")
    assert epochs == [0, 1, 2, 2, 3]
    assert again.read_bytes() == expected
    assert {path.name for path in again.parent.iterdir()} == {again.name, "report.json"}
    assert learn(world, tmp_path / "other", fold=1).read_bytes() != expected


def test_it_learns_more_than_the_mean_of_logits(world, learnt):
    rows = Rows.open(world.stacking / "fold2/rows", FOLD_PREFIX)
    columns = column_names(read_json(world.stacking / "fold2/rows/rows.json"))
    settings = read_snapshot(world.config, Stacking)
    learner = NetworkOfRows.read(learnt / NETWORK, settings, columns)
    matrix = rows.matrix(slice(None), 2)
    labels = world.store.labels.take(world.splits.rows(2))
    assert (rows.ids == world.ids[world.splits.rows(2)]).all()
    mean = matrix[:, columns.index("logit_mean")]
    found, base = (
        gap(rows.classes, scores.reshape(rows.classes.shape), labels)
        for scores in (learner.score(matrix), mean)
    )
    assert found > base + 0.005
    shares = learner.shares()
    assert shares.sum() == pytest.approx(1)
    assert shares.shape == (len(columns),)


def test_nothing_that_knows_the_fold_is_read(world, learnt, tmp_path):
    """Planted: what a network must not read is nan, or away."""
    expected = (learnt / NETWORK).read_bytes()
    stacking = shutil.copytree(world.stacking, tmp_path / "stacking")
    shutil.rmtree(stacking / "fold2")
    for path in stacking.glob("fold*/rows/*label_features.npy"):
        variants = np.load(path)
        kept = variants[2].copy() if len(variants) == NUM_FOLDS else None
        variants[:] = np.nan
        if kept is not None:
            variants[2] = kept
        np.save(path, variants)
        write_sums(path.parent)
    assert learn(world, tmp_path / "after", stacking).read_bytes() == expected


def test_each_video_is_read_once_an_epoch(world, tmp_path, monkeypatch):
    seen, load = [], GroupedRows.load

    def spying(self, videos):
        seen.append(videos)
        return load(self, videos)

    columns = len(column_names(read_json(world.stacking / "fold0/rows/rows.json")))
    monkeypatch.setattr(GroupedRows, "sample", lambda self, salt: torch.randn(9, columns))
    monkeypatch.setattr(GroupedRows, "load", spying)
    learn(world, tmp_path)
    count = len(world.splits.others(2))
    assert sorted(np.concatenate(seen)) == sorted([*range(count)] * EPOCHS)
    per_epoch = len(seen) // EPOCHS
    orders = [np.concatenate(seen[i * per_epoch :][:per_epoch]) for i in range(EPOCHS)]
    assert all(sorted(order) == list(range(count)) for order in orders)
    assert (orders[0] != orders[1]).any()


@pytest.mark.parametrize("fold", [3, ALL])
def test_rows_of_several_folds_are_those_of_each(world, fold):
    groups, names = groups_of(world.stacking, fold)
    rows = GroupedRows(groups)
    folds = [k for k in range(NUM_FOLDS) if k != fold]
    variants = folds if fold == ALL else [fold] * len(folds)
    parts = [Rows.open(world.stacking / f"fold{k}/rows", FOLD_PREFIX) for k in folds]
    matrices = [part.matrix(slice(None), v) for part, v in zip(parts, variants, strict=True)]
    expected = np.concatenate(matrices).reshape(len(rows), -1, len(names))
    labels = np.concatenate([part.labels for part in parts])
    rng = np.random.default_rng(0)
    within = np.arange(len(parts[0].ids))  # of one fold alone
    for videos in (np.sort(rng.permutation(len(rows))[:90]), within, np.array([len(rows) - 1])):
        found = rows.load(videos)
        np.testing.assert_array_equal(found[0], expected[videos])
        np.testing.assert_array_equal(found[1], labels[videos])


class _Constant:
    """A learner whose logits and shares are given."""

    def __init__(self, logits, shares):
        self.logits, self._shares = np.asarray(logits), np.asarray(shares)

    def score(self, matrix):
        return self.logits

    def shares(self):
        return self._shares


def test_both_are_the_mean_of_their_logits():
    both = Learned([_Constant([0.0, 4.0, 1.0], [1, 0]), _Constant([6.0, -2.0, 1.0], [0.5, 0.5])])
    classes, logits = both.candidates(np.array([[7, 8, 9]]), np.zeros((3, 2), np.float32))
    assert classes.tolist() == [[7, 8, 9]]
    assert logits.tolist() == [[3, 1, 1]]
    assert both.shares().tolist() == [0.75, 0.25]


@pytest.mark.parametrize(("learner", "count"), [("trees", 1), ("network", 1), ("both", 2)])
def test_the_learners_that_the_settings_name_are_read(world, learnt, learner, count):
    folder = world.stacking / "fold2"
    settings = read_snapshot(world.config, Stacking).model_copy(update={"learner": learner})
    about = read_json(folder / "rows/rows.json")
    found = Learned.read(learnt, settings, about)
    assert len(found.learners) == count
    assert found.shares().sum() == pytest.approx(1)
    matrix = Rows.open(folder / "rows", FOLD_PREFIX).matrix(slice(9), 2)
    each = [one.score(matrix) for one in found.learners]
    np.testing.assert_allclose(found.score(matrix), sum(each) / count, rtol=1e-6)
    other = about | {"features": about["features"][::-1]}
    with pytest.raises(InputError, match="was trained on other columns"):
        Learned.read(learnt, settings, other)


def test_what_a_learner_says_of_itself(world, tmp_path):
    path = learn(world, tmp_path)
    head, settings = read_json(path.with_name("report.json")), read_snapshot(world.config, Stacking)
    train.main(world.config, world.stacking, tmp_path / "model.txt", fold=2, learner="trees")
    trees = read_json(tmp_path / "train.json")
    groups, names = groups_of(world.stacking, 2)
    total = sum(group.rows.labels.size for group in groups)
    assert head["rows"] == trees["rows"] + trees["inner_rows"] == total
    learner = Learned.read(
        tmp_path, settings.model_copy(update={"learner": "trees"}),
        read_json(world.stacking / "fold0/rows/rows.json"),
    ).learners[0]  # fmt: skip
    assert trees["rounds"] == learner.booster.num_trees() < settings.booster.max_rounds
    _, inner, _ = booster.sequences(world.stacking, 2, settings)
    matrix = np.concatenate([part[0 : len(part)] for part in inner])
    labels = np.concatenate([part.labels for part in inner])
    z = learner.score(matrix)
    loss = np.mean(np.logaddexp(0, z) - labels * z)
    assert trees["inner_rows"] == len(labels)
    assert trees["inner_loss"] == pytest.approx(loss, rel=1e-4)


def test_the_loss_is_that_of_the_last_epoch_and_other_settings_begin_anew(
    world, tmp_path, monkeypatch
):
    fit, sources = network.fit_head, []

    def noted(groups, columns, settings, fold, out, made_from):
        sources.append(made_from)
        quick = settings.network.training.model_copy(update={"epochs": 1})
        quick = settings.network.model_copy(update={"training": quick})
        settings = settings.model_copy(update={"network": quick})
        head, _ = fit(groups, columns, settings, fold, out, made_from)
        return head, [{"loss": 3.0}, {"loss": 2.0}]

    monkeypatch.setattr(network, "fit_head", noted)
    assert read_json(learn(world, tmp_path).with_name("report.json"))["loss"] == 2
    plain, config = world.config, tmp_path / "wider.json"
    config.write_text(plain.read_text().replace('"width": 8', '"width": 9'))
    monkeypatch.setattr(world, "config", config)
    learn(world, tmp_path / "wider")
    monkeypatch.setattr(world, "config", plain)
    learn(world, tmp_path / "again")
    assert sources[0] == sources[2] != sources[1]


def test_unknown_learners_are_named(world, tmp_path):
    with pytest.raises(InputError, match="--learner forest: not a learner; allowed: trees, netw"):
        train.main(world.config, world.stacking, tmp_path / "x", learner="forest")


@pytest.mark.parametrize(
    "change", [{"patience": 1}, {"schedule": "plateau"}, {"mixup": 0.4}, {"loss": "mse"}]
)
def test_settings_that_a_network_over_rows_has_not_are_refused(change):
    with pytest.raises(ValueError, match="a network over rows has no"):
        Stacking.model_validate({"network": {"training": change}})
