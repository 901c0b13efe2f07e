"""What the students learn: soft labels of the ensemble mixed with the labels of the records.

Paper, section 3: out-of-fold predictions of the ensemble as soft labels. See config.SoftLabels for
the ways of mixing. Letters: B batch, C classes, K candidates of a video, N training videos.
"""

from pathlib import Path

import numpy as np
import torch

from distill.config import SoftLabels
from yt8m.data.predictions import Predictions, sigmoid
from yt8m.data.splits import find_rows
from yt8m.inputs.batch import Targets
from yt8m.records.labels import Labels


class SoftTargets:
    """A batch.TargetSource: store rows -> sparse targets, without a loop over videos.

    rows: the store rows (int32 (N,), unique) that need targets. InputError when the soft labels
    lack one or have it twice. unlabelled: soft labels of rows without labels, all they learn.
    """

    def __init__(
        self,
        soft_labels: Path,
        ids: np.ndarray,
        labels: Labels,
        rows: np.ndarray,
        num_classes: int,
        settings: SoftLabels,
        unlabelled: Path | None = None,
    ):
        files = [soft_labels] if unlabelled is None else [soft_labels, unlabelled]
        self.parts = [Predictions.read(path) for path in files]
        self.kept = min(part.classes.shape[1] for part in self.parts)  # K
        if settings.candidates:
            self.kept = min(self.kept, settings.candidates)
        self.labels, self.num_classes, self.settings = labels, num_classes, settings
        known = self.parts[0].ids
        if unlabelled:
            known = np.concatenate([part.ids for part in self.parts])
        # The row of each store row in the parts, one after the other; the parts stay on disk.
        self.position = np.full(len(ids), -1, np.int32)
        self.position[rows] = find_rows(ids[rows], known, " and ".join(map(str, files)))

    def __call__(self, rows: np.ndarray) -> Targets:
        """Targets of store rows (B,)."""
        at = self.position[rows]
        assert (at >= 0).all(), "a video has no soft labels"
        classes, logits = self._candidates(at)
        labels, alone = self.labels.take(rows), at >= len(self.parts[0].ids)
        proposed = np.isfinite(logits)
        soft = self._mix(logits, labels.contains(classes), alone)
        outside = ~_among(labels, classes, proposed)  # true labels that are no candidates
        in_rows, in_columns = np.nonzero(proposed)
        in_classes = [classes[in_rows, in_columns], labels.indices[outside]]
        settings = self.settings
        target = 1.0 if settings.how == "fill" else settings.hard_weight  # of those
        target = target if settings.outside is None else settings.outside
        values = [soft[in_rows, in_columns], np.full(outside.sum(), target, np.float32)]
        return Targets(
            torch.from_numpy(np.concatenate([in_rows, labels.rows()[outside]])),
            torch.from_numpy(np.concatenate(in_classes).astype(np.int64)),
            torch.from_numpy(np.concatenate(values)),
            (len(rows), self.num_classes),
        )

    def _candidates(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Classes (B, K) and logits, float32 (B, K), at rows of the parts.

        A logit is -inf where a video has fewer candidates.
        """
        classes = np.empty((len(at), self.kept), np.uint16)
        logits, first = np.empty((len(at), self.kept), np.float32), 0
        for part in self.parts:
            here = (at >= first) & (at < first + len(part.ids))
            classes[here] = part.classes[at[here] - first, : self.kept]
            logits[here] = part.logits[at[here] - first, : self.kept]
            first += len(part.ids)
        return classes, logits

    def _mix(self, logits: np.ndarray, hard: np.ndarray, alone: np.ndarray) -> np.ndarray:
        """Targets of the candidates: float32 (B, K). alone: bool (B,), videos without labels."""
        settings = self.settings
        soft, alone = sigmoid(logits / settings.temperature), alone[:, None]
        if settings.how == "fill":
            weight = np.where(alone, np.float32(1), np.float32(settings.soft_weight))
            return np.where(hard, np.float32(1), weight * soft)
        weight = np.where(alone, np.float32(0), np.float32(settings.hard_weight))
        return (1 - weight) * soft + weight * hard


def _among(labels: Labels, classes: np.ndarray, proposed: np.ndarray) -> np.ndarray:
    """Whether each label of each video is one of its candidates: bool (labels,)."""
    width = 1 << 16  # classes are uint16
    candidates = np.arange(len(classes))[:, None] * width + classes.astype(np.int64)
    return np.isin(labels.rows() * width + labels.indices, candidates[proposed])
