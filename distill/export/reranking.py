"""The last layer of a re-ranked student: put together from the run's rows, network and labels.

The network of stacking.train learnt from out-of-fold predictions of the same models. The counts of
classes and of pairs of classes are of all training videos.
"""

from pathlib import Path

import numpy as np
import torch

from first_level.bundle.manifest import RerankerAbout
from first_level.bundle.network import Network, build_reranker
from stacking.config import Stacking
from stacking.label_features import sparse_pairs
from stacking.learners.network import load_head
from stacking.table import LEARNER, column_names
from yt8m.base.config import read_snapshot
from yt8m.base.files import read_json, require
from yt8m.base.paths import CONFIG, HEAD, ROWS, ROWS_ABOUT, Artifacts, fold_folder
from yt8m.data.origins import check_origin, digest_of_videos, origin_of
from yt8m.data.store import Store

REMEDY = "run `make distill`"


def add_reranker(network: Network, run: Path, data: Store, training: np.ndarray) -> RerankerAbout:
    """Gives the network its last layer, with its values; returns what model.json says of it.

    training: the store rows of the training videos, int (N,).
    """
    files = Artifacts.of_run(run)
    settings = read_snapshot(require(files.stacking / CONFIG, REMEDY), Stacking)
    rows = read_json(require(fold_folder(files.reranker, 0) / ROWS / ROWS_ABOUT, REMEDY))
    about = RerankerAbout(
        kept=rows["kept"],
        candidates=rows["candidates"],
        rank_by=settings.rank_by,
        evidence=settings.neighbours,
        smoothing=settings.smoothing,
        videos=max(len(training), 1),
        columns=column_names(rows),
        width=settings.network.width,
        layers=settings.network.layers,
    )
    classes = data.dims.classes
    reranker = build_reranker(about, classes)
    head = files.reranker / HEAD
    load_head(reranker.head, head, about.columns)
    if (origin := origin_of(head)) is not None:  # of older code
        check_origin(origin, head, LEARNER, None, digest_of_videos(data.ids, training))
    pairs = sparse_pairs(data.labels, training, classes).tocoo()
    at = pairs.row.astype("int64") * classes + pairs.col
    order = at.argsort()
    reranker.counts = torch.from_numpy(data.labels.class_counts(classes, training)).float()
    reranker.pair_at = torch.from_numpy(at[order]).int()
    reranker.pair_counts = torch.from_numpy(pairs.data[order])
    network.reranker = reranker
    return about
