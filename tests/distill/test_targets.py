"""What students learn: soft labels, labels and mixes of both."""

import numpy as np
import pytest
import torch

from distill.config import SoftLabels
from distill.targets import SoftTargets
from yt8m.base.cli import InputError
from yt8m.data.predictions import Predictions, sigmoid
from yt8m.records.labels import Labels


@pytest.fixture
def soft_file(tmp_path):
    """Five videos in another order than asked for, six classes, three candidates each."""
    ids = np.array([b"e", b"a", b"d", b"c", b"b"])
    rng = np.random.default_rng(1)
    classes = np.stack([rng.permutation(6)[:3] for _ in ids]).astype(np.uint16)
    logits = np.sort(rng.normal(size=(5, 3)), axis=1)[:, ::-1].astype(np.float16)
    logits[2, 2] = -np.inf  # a video with two candidates
    Predictions(ids, classes, logits).write(tmp_path / "soft.safetensors")
    return tmp_path / "soft.safetensors"


@pytest.mark.parametrize("unlabelled", [(), (b"b", b"e")], ids=["", "unlabelled"])
@pytest.mark.parametrize(
    "settings",
    [
        SoftLabels(hard_weight=0.0),
        SoftLabels(hard_weight=0.3, temperature=2.0),
        SoftLabels(hard_weight=1.0),
        SoftLabels(hard_weight=0.4, outside=0.9, candidates=2),
        SoftLabels(how="fill", soft_weight=0.7),
    ],
)
def test_targets_equal_their_definition(soft_file, settings, unlabelled):
    ids = np.array([b"a", b"b", b"x", b"c", b"d", b"e"])  # x: of the holdout, without soft labels
    labels = Labels.from_lists([[0, 1], [], [2], [5], [3, 4, 5], [1]])
    rows = np.array([0, 1, 3, 4, 5])
    soft, more = Predictions.read(soft_file), None
    if unlabelled:
        labels = Labels.from_lists([[0, 1], [], [2], [5], [3, 4, 5], []])
        more = soft_file.with_name("more.safetensors")
        soft.align(np.array(unlabelled)).write(more)
        soft.align(np.array([b"d", b"c", b"a"])).write(soft_file)
    source = SoftTargets(soft_file, ids, labels, rows, 6, settings, more)
    asked = np.array([4, 0, 5, 1, 3])
    expected = np.zeros((5, 6))
    for i, row in enumerate(asked):
        at = list(soft.ids).index(ids[row])
        pairs = list(zip(soft.classes[at], soft.logits[at], strict=True))
        pairs = [(c, x) for c, x in pairs[: settings.candidates or 3] if np.isfinite(x)]
        hard = set(labels.indices[labels.indptr[row] : labels.indptr[row + 1]])
        for c, logit in pairs:
            p = sigmoid(np.float32(logit) / settings.temperature)
            if ids[row] in unlabelled:
                expected[i, c] = p
            elif settings.how == "fill":
                expected[i, c] = 1 if c in hard else settings.soft_weight * p
            else:
                w = settings.hard_weight
                expected[i, c] = (1 - w) * p + w * (c in hard)
        for c in hard - {c for c, _ in pairs}:
            default = 1 if settings.how == "fill" else settings.hard_weight
            expected[i, c] = default if settings.outside is None else settings.outside
    targets = source(asked)
    assert targets.rows.dtype == targets.classes.dtype == torch.int64
    np.testing.assert_allclose(targets.dense().numpy(), expected, atol=1e-6)


def test_a_video_without_soft_labels_is_an_error(soft_file):
    ids, labels = np.array([b"a", b"x"]), Labels.from_lists([[0], [1]])
    with pytest.raises(InputError, match=r"1 of 2 videos are absent \(first: x\)"):
        SoftTargets(soft_file, ids, labels, np.arange(2), 6, SoftLabels())
