"""What the stack must beat: the mean and the best non-negative weighted mean of the models.

Both act on logits at the stack's candidates. The weights for fold k are fitted by log-loss to the
out-of-fold rows of the other folds: they know as much as booster k does.

m models, M candidates, n videos.
"""

from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from stacking.candidates import sort_by_logit
from stacking.table import Rows
from yt8m.base.arrays import blocks, let_go
from yt8m.data.predictions import Predictions, sigmoid, to_fill
from yt8m.data.splits import uniform

FIT_VIDEOS = 4000  # of each fold; m + 1 numbers are fitted
SAMPLED = 256  # videos read at a time


def weighted_mean(
    rows: Rows, weights: np.ndarray, bias: float, chunk_videos: int, folder: Path
) -> Predictions:
    """The candidates with the weighted mean of the models' logits, kept in `folder`."""
    found = to_fill(rows.ids, rows.classes.shape[1], folder)
    for chunk in blocks(len(rows.ids), chunk_videos):
        mean = rows.features[chunk][:, :, : len(weights)] @ weights + np.float32(bias)
        found.classes[chunk], found.logits[chunk] = sort_by_logit(rows.classes[chunk], mean)
    return found


def sample(rows: Rows, num_models: int, salt: str):
    """Logits (r, m) and labels (r,) of at most FIT_VIDEOS videos, chosen by their ids."""
    order = np.argsort(uniform(rows.ids, salt), kind="stable")[:FIT_VIDEOS]
    videos = np.sort(order)
    logits = []
    for part in np.array_split(videos, len(videos) // SAMPLED + 1):  # all over the file
        logits.append(rows.features[part][:, :, :num_models].reshape(-1, num_models))
        let_go()
    return np.concatenate(logits), rows.labels[videos].reshape(-1)


def fit_weights(samples) -> tuple[np.ndarray, float]:
    """Weights >= 0 (m,) and bias of the weighted mean of logits with the least log-loss."""
    logits = np.concatenate([part[0] for part in samples])
    labels = np.concatenate([part[1] for part in samples]).astype(np.float32)
    count, models = logits.shape

    def loss(parameters):
        z = logits @ parameters[:-1].astype(np.float32) + np.float32(parameters[-1])
        error = (sigmoid(z) - labels) / count
        value = (np.logaddexp(0, z) - labels * z).mean(dtype=np.float64)
        return value, np.append(error @ logits, error.sum(dtype=np.float64)).astype(np.float64)

    start = np.append(np.full(models, 1 / models), 0.0)
    bounds = [(0, None)] * models + [(None, None)]
    best = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B").x
    return best[:-1].astype(np.float32), float(best[-1])
