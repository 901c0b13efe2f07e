"""Trains and scores one network, for measurements that need no job folder."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from first_level.config import ModelConfig, build
from yt8m.base.paths import CHECKPOINT
from yt8m.data.predictions import TOP_K, Predictions
from yt8m.data.store import Store
from yt8m.inputs.batch import Source, TargetSource
from yt8m.training.loop import Examples, fit, predict
from yt8m.training.weights import start_from_frequencies


def train_and_predict(
    config: ModelConfig,
    data: Store,
    rows: np.ndarray,
    targets: TargetSource,
    wanted: list[np.ndarray],
    folder: Path,
    seed: int,
    made_from: str = "",
) -> list[Predictions]:
    """Trains a network on `rows`; returns the 20 best classes of each group of rows `wanted`.

    A seed decides the first weights and the order of videos, whatever the targets: differences come
    from the targets. With `made_from`, a fingerprint of all inputs, a killed run resumes from
    FOLDER/checkpoint.pt; without, it starts again.
    """
    torch.manual_seed(seed)
    model: nn.Module = build(config, data.dims, folder)
    counts = data.labels.class_counts(data.dims.classes, rows)
    start_from_frequencies(model, counts, len(rows))
    source = Source(data, model.level, config.inputs)
    if not made_from:
        (folder / CHECKPOINT).unlink(missing_ok=True)
    training = config.training.model_copy(update={"seed": seed})
    fit(model, Examples(source, rows, targets), training, folder, folder.name, made_from)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return [predict(model, source, part, TOP_K) for part in wanted]
