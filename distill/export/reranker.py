"""The last layer of a re-ranked student: LightGBM over what its refitted models predict.

    python -m distill.export.reranker \
        STACKING_CONFIG.json MODEL.txt ROWS/rows.json STORE FOLDS OUT

packs a booster of stacking.train, which learnt from out-of-fold predictions of the same models,
with all that its features need: OUT/reranker.json, .onnx (the trees) and .safetensors (how many
training videos have a class, or two). Used without LightGBM and without torch.

N videos, m models, C classes, M candidates, W width of a kind of features.
"""

from pathlib import Path

import numpy as np
from scipy import sparse

from distill.export.graph import session_of
from stacking import features, label_features
from stacking.candidates import pool, sort_by_logit
from stacking.config import RankBy, Stacking
from yt8m.base import cli
from yt8m.base.arrays import open_arrays, write_arrays
from yt8m.base.cli import log
from yt8m.base.config import Config, canonical, read_snapshot, validated
from yt8m.base.files import read_json, working_in, writing
from yt8m.data.splits import Splits
from yt8m.data.store import Features, Store

ABOUT, TREES, COUNTS = "reranker.json", "reranker.onnx", "reranker.safetensors"
FILES = (ABOUT, TREES, COUNTS)
CHUNK = 256  # videos at a time: their features stay in the cache


class About(Config):
    """reranker.json: how rows are made of predictions."""

    models: list[str]  # in the order of the columns
    kept: list[int]  # of each model's list; a class beyond counts with the last one
    columns: list[str]
    candidates: int
    rank_by: RankBy
    neighbours: int
    smoothing: float
    videos: int  # that the counts are of


def main(config: Path, model: Path, rows: Path, store: Path, folds: Path, out: Path) -> None:
    """Packs a booster, and the label counts of all training videos, into the folder OUT."""
    from distill.export.trees import write_trees  # imports LightGBM
    from stacking.booster import read_booster_for

    settings, found = read_snapshot(config, Stacking), read_json(rows)
    booster, data = read_booster_for(model, found, rows), Store(store)
    training = Splits.read(folds, data.ids).training
    about = About(
        models=found["models"],
        kept=found["kept"],
        columns=booster.feature_name(),
        candidates=found["candidates"],
        rank_by=settings.rank_by,
        neighbours=settings.neighbours,
        smoothing=settings.smoothing,
        videos=len(training),
    )
    pairs = label_features.sparse_pairs(data.labels, training, data.dims.classes)
    with working_in(out):
        arrays = {name: getattr(pairs, name) for name in ("data", "indices", "indptr")}
        counts = data.labels.class_counts(data.dims.classes, training)
        write_arrays(out / COUNTS, arrays | {"counts": counts})
        with writing(out / TREES) as temporary:
            write_trees(booster, temporary)
        with writing(out / ABOUT) as temporary:
            temporary.write_text(canonical(about))
    size = sum((out / name).stat().st_size for name in FILES) / 1e6
    log(f"[reranker] {booster.num_trees()} trees over {len(about.models)} models, {size:.1f} MB")


class Reranker:
    """A packed re-ranker. InputError when a file is absent or damaged."""

    def __init__(self, folder: Path, threads: int | None = None):
        self.about = validated(read_json(folder / ABOUT), About, folder / ABOUT)
        arrays = open_arrays(folder / COUNTS)
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
        self.trees = Trees(folder / TREES, threads)

    def top(self, logits: np.ndarray, video: Features):
        """(classes uint16 (N, M), logits float32 (N, M)), best first.

        logits: float32 (m, N, C) of the models, in the order of `about.models`; video: raw
        features (N, W) by kind, of which the norms are looked at.
        """
        parts = []
        for start in range(0, logits.shape[1], CHUNK):
            chunk = slice(start, start + CHUNK)
            some = {name: values[chunk] for name, values in video.items()}
            parts.append(self._chunk(logits[:, chunk], some))
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
        raw = self.trees(rows.reshape(-1, rows.shape[2]))
        return sort_by_logit(classes, raw.reshape(classes.shape))


class Trees:
    """The graph of distill/export/trees.py, called on features (N, F) float32; raw scores (N,)."""

    def __init__(self, path: Path, threads: int | None):
        self.session = session_of(path, threads)

    def __call__(self, features: np.ndarray) -> np.ndarray:
        return self.session.run(["raw"], {"features": features})[0][:, 0]


def best(logits: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k best classes of (N, C), best first, ties by class: uint16 and float32 (N, k)."""
    k = min(k, logits.shape[1])
    found = np.sort(np.argpartition(-logits, k - 1, axis=1)[:, :k], axis=1)
    classes, values = sort_by_logit(found, np.take_along_axis(logits, found, 1))
    return classes.astype(np.uint16), values


if __name__ == "__main__":
    cli.run(main)
