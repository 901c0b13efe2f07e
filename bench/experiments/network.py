"""One network trained and scored, for the measurements that need no job folder of their own."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from first_level.config import ModelConfig, build
from yt8m.data.predictions import TOP_K, Predictions
from yt8m.data.store import Store
from yt8m.inputs.batch import Source, TargetSource
from yt8m.training.loop import Examples, fit, predict
from yt8m.training.weights import start_from_frequencies


def predicted(
    config: ModelConfig,
    data: Store,
    rows: np.ndarray,
    targets: TargetSource,
    wanted: list[np.ndarray],
    folder: Path,
    seed: int,
    made_from: str = "",
) -> list[Predictions]:
    """Trains a network on `rows`; the 20 best classes of each of the groups of rows `wanted`.

    The same seed begins with the same weights and takes videos in the same order, whatever the
    targets: differences are theirs. With `made_from`, a fingerprint of all of that, a killed run
    goes on from FOLDER/checkpoint.pt; without, it begins anew.
    """
    torch.manual_seed(seed)
    model: nn.Module = build(config, data.dims, folder)
    counts = data.labels.class_counts(data.dims.classes, rows)
    start_from_frequencies(model, counts, len(rows))
    source = Source(data, model.level, config.inputs)
    if not made_from:
        (folder / "checkpoint.pt").unlink(missing_ok=True)
    training = config.training.model_copy(update={"seed": seed})
    fit(model, Examples(source, rows, targets), training, folder, folder.name, made_from)
    (folder / "checkpoint.pt").unlink(missing_ok=True)
    return [predict(model, source, part, TOP_K) for part in wanted]
