"""The last layer of a re-ranked student: LightGBM over what its refitted models predict.

It runs without LightGBM and without torch, from the three files that distill.export.pack writes.

N videos, m models, C classes, M candidates, W width of a kind of features.
"""

from pathlib import Path

import numpy as np
from scipy import sparse

from distill.export.graph import session_of
from stacking import features, label_features
from stacking.candidates import pool, sort_by_logit
from stacking.config import RankBy
from yt8m.base.arrays import blocks, open_arrays
from yt8m.base.config import Config, validate
from yt8m.base.files import read_json
from yt8m.base.paths import RERANKER, RERANKER_COUNTS, RERANKER_TREES
from yt8m.data.store import Features

CHUNK = 256  # videos at a time: their features stay in the cache


class About(Config):
    """reranker.json: how rows are made of predictions."""

    models: list[str]  # in the order of the columns
    kept: list[int]  # length of each model's list; a class beyond it counts with the last value
    columns: list[str]
    candidates: int
    rank_by: RankBy
    neighbours: int
    smoothing: float
    videos: int  # that the counts are of


class Reranker:
    """A packed re-ranker. InputError when a file is absent or damaged."""

    def __init__(self, folder: Path, threads: int | None = None):
        self.about = validate(read_json(folder / RERANKER), About, folder / RERANKER)
        arrays = open_arrays(folder / RERANKER_COUNTS)
        self.num_classes = len(arrays["counts"])
        pairs = sparse.csr_matrix(
            (arrays["data"], arrays["indices"], arrays["indptr"]), (self.num_classes,) * 2
        )
        self.known = label_features.Statistics(
            max(self.about.videos, 1),
            arrays["counts"].astype(np.float32),
            pairs.toarray(order="C").astype(np.float32),
            self.about.smoothing,
        )
        self.trees = session_of(folder / RERANKER_TREES, threads)

    def top(self, logits: np.ndarray, video: Features):
        """(classes uint16 (N, M), logits float32 (N, M)), best first.

        logits: float32 (m, N, C), in the order of `about.models`; video: raw features (N, W).
        """
        parts = []
        for chunk in blocks(logits.shape[1], CHUNK):
            part = {name: values[chunk] for name, values in video.items()}
            parts.append(self._chunk(logits[:, chunk], part))
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True))

    def _chunk(self, logits: np.ndarray, video: Features):
        about = self.about
        lists = [best(one, keep) for one, keep in zip(logits, about.kept, strict=True)]
        classes, _ = pool(lists, about.rank_by, self.num_classes, about.candidates)
        context = features.norms(video)
        own = features.features(lists, classes, self.num_classes, context)
        probability = own[:, :, about.columns.index("probability_mean")]
        of_labels = label_features.label_features(
            self.known, classes, probability, about.neighbours
        )
        rows = np.concatenate([own, of_labels], axis=2)
        (raw,) = self.trees.run(["raw"], {"features": rows.reshape(-1, rows.shape[2])})
        return sort_by_logit(classes, raw.reshape(classes.shape))


def best(logits: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k best classes of (N, C), best first, ties by class: uint16 and float32 (N, k)."""
    k = min(k, logits.shape[1])
    found = np.sort(np.argpartition(-logits, k - 1, axis=1)[:, :k], axis=1)
    classes, values = sort_by_logit(found, np.take_along_axis(logits, found, 1))
    return classes.astype(np.uint16), values
