"""What a training step minimises: the loss, with verticals and measures against wrong labels.

Letters: B batch, C classes, V verticals.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from yt8m.data.store import Store
from yt8m.inputs.batch import Targets, TargetSource
from yt8m.training import losses, noise
from yt8m.training.class_accuracy import class_counts, frequencies, label_accuracies
from yt8m.training.settings import Noise, Training


class Objective(nn.Module):
    """Makes the targets of a batch (`labels`), then their loss (a call with logits and targets).

    One is built for each fit. Its parameters, those of the noise layer, are trained with the
    model's. verticals: how many logits of verticals the model adds in training; 0: none.
    """

    def __init__(
        self,
        settings: Training,
        store: Store,
        rows: np.ndarray,
        targets: TargetSource,
        verticals: int = 0,
    ):
        super().__init__()
        self.settings, self.classes = settings.noise, store.dims.classes
        self.verticals, self.vertical_weight = verticals, settings.vertical_weight
        self.vertical_of = torch.from_numpy(store.vertical_of)
        self.adaptation: noise.Adaptation | None = None
        for name in ("kept", "false", "scale", "shift", "doubt", "weights"):
            self.register_buffer(name, None, persistent=False)
        self.drop = self.add = None  # stay on the CPU, where labels are drawn
        if settings.loss == "balanced_bce" or settings.noise != Noise():
            counts = class_counts(lambda chosen: self._with_verticals(targets(chosen)), rows)
            self._prepare_noise(settings, store, rows, targets, counts[: self.classes])
        self.loss = getattr(losses, settings.loss)
        if settings.loss == "balanced_bce":
            parts = (counts[: self.classes], counts[self.classes :])
            self.weights = torch.cat([losses.balancing_weights(part).float() for part in parts])

    def _prepare_noise(self, settings: Training, store, rows, targets, counts: Tensor) -> None:
        """Computes from the training labels what settings.noise needs; counts: float64 (C,)."""
        options, frequency = settings.noise, frequencies(counts, len(rows))
        weight = torch.ones(self.classes)  # of a class's flips; its mean over labels is 1
        if options.needs_accuracies:
            doubt = 1 - label_accuracies(store, rows, targets, settings.seed)
            if options.confidence:
                self.doubt = options.confidence * doubt
            if options.by_accuracy:
                weight = doubt * counts.sum() / (doubt * counts).sum().clamp_min(1e-6)
        if options.drop or options.add:
            self.drop = (options.drop * weight).float()
            self.add = (options.add * weight * counts / len(rows)).float()
        if options.adaptation:
            self.adaptation = noise.Adaptation(frequency, options.adaptation_dropout)
        if options.smoothing:
            self.scale = torch.full_like(frequency, 1 - options.smoothing)
            self.shift = options.smoothing * frequency
        if options.correction == "none":
            return
        matrix = noise.matrix(frequency, options.label_precision, options.label_recall)
        if options.correction == "forward":
            self.kept, self.false = matrix
        else:
            scale, shift = noise.backward_targets(*matrix)
            smoothed = (1.0, 0.0) if self.scale is None else (self.scale, self.shift)
            self.scale, self.shift = scale * smoothed[0], scale * smoothed[1] + shift

    def labels(self, targets: Targets) -> Targets:
        """The targets to learn from a batch's targets (on the CPU): (B, C + V)."""
        if self.drop is not None:
            targets = noise.flip_labels(targets, self.drop, self.add)
        return self._with_verticals(targets)

    def forward(self, logits: Tensor, targets: Targets) -> Tensor:
        """The loss of logits (B, C + V) against the targets of `labels`, after any mixup."""
        if not self.verticals:
            return self._loss_of_classes(logits, targets)
        inside = targets.classes < self.classes
        own = _part(targets, inside, 0, self.classes)
        above = _part(targets, ~inside, self.classes, self.verticals)
        loss = self._loss_of_classes(logits[:, : self.classes], own)
        of_verticals = self._named_loss(logits[:, self.classes :], above, self.classes)
        return loss + self.vertical_weight * of_verticals

    def _loss_of_classes(self, logits: Tensor, targets: Targets) -> Tensor:
        penalty = 0.0
        if self.doubt is not None:
            penalty = (logits.float().sigmoid() @ self.doubt).mean()
        if self.kept is not None:
            logits = noise.logits_of_labels(logits, self.kept, self.false)
        if self.adaptation is not None:
            logits = self.adaptation(logits)
        if self.scale is not None:
            # BCE is linear in its targets, so the shift that all videos share stays out of them.
            targets = replace(targets, values=targets.values * self.scale[targets.classes])
            penalty = penalty - (logits.float() @ self.shift).mean()
        return self._named_loss(logits, targets, 0) + penalty

    def _named_loss(self, logits: Tensor, targets: Targets, first: int) -> Tensor:
        """The loss that the settings name, of the outputs from `first` on."""
        if self.weights is None:
            return self.loss(logits, targets)
        return self.loss(logits, targets, self.weights[first : first + logits.shape[1]])

    def _with_verticals(self, targets: Targets) -> Targets:
        """(B, C) -> (B, C + V): a vertical's target is the largest of its classes in the video."""
        if not self.verticals:
            return targets
        vertical = self.vertical_of[targets.classes]
        inside = vertical >= 0
        keys = targets.rows[inside] * self.verticals + vertical[inside]
        keys, place = keys.unique(return_inverse=True)
        largest = torch.zeros(len(keys)).scatter_reduce(0, place, targets.values[inside], "amax")
        rows, classes = keys // self.verticals, self.classes + keys % self.verticals
        shape = (targets.shape[0], self.classes + self.verticals)
        return replace(targets.plus(rows, classes, largest), shape=shape)


def _part(targets: Targets, kept: Tensor, first: int, count: int) -> Targets:
    """The targets where `kept` is true; classes are counted from `first`."""
    shape = (targets.shape[0], count)
    return Targets(targets.rows[kept], targets.classes[kept] - first, targets.values[kept], shape)
