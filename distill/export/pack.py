"""Packs the booster of a re-ranked student for the export.

    python -m distill.export.pack STACKING_CONFIG.json MODEL.txt ROWS/rows.json STORE FOLDS OUT

The booster of stacking.train learnt from out-of-fold predictions of the same models. OUT gets
reranker.json, reranker.onnx (the trees) and reranker.safetensors (counts of classes and pairs).
"""

from pathlib import Path

from distill.export.reranker import About
from distill.export.trees import write_trees
from stacking.booster import read_booster_for
from stacking.config import Stacking
from stacking.label_features import sparse_pairs
from yt8m.base import cli
from yt8m.base.arrays import write_arrays
from yt8m.base.cli import log
from yt8m.base.config import canonical, read_snapshot
from yt8m.base.files import read_json, working_in, writing
from yt8m.base.paths import RERANKER, RERANKER_COUNTS, RERANKER_FILES, RERANKER_TREES
from yt8m.data.splits import Splits
from yt8m.data.store import Store


def main(config: Path, model: Path, rows: Path, store: Path, folds: Path, out: Path) -> None:
    """Packs a booster, and the label counts of all training videos, into the folder OUT."""
    settings, found = read_snapshot(config, Stacking), read_json(rows)
    booster, data = read_booster_for(model, found, rows), Store(store)
    training = Splits.read(folds, data.ids).training
    about = About(
        **{name: found[name] for name in ("models", "kept", "candidates")},
        **settings.model_dump(include={"rank_by", "neighbours", "smoothing"}),
        columns=booster.feature_name(),
        videos=len(training),
    )
    pairs = sparse_pairs(data.labels, training, data.dims.classes)
    with working_in(out):
        arrays = {name: getattr(pairs, name) for name in ("data", "indices", "indptr")}
        counts = data.labels.class_counts(data.dims.classes, training)
        write_arrays(out / RERANKER_COUNTS, arrays | {"counts": counts})
        with writing(out / RERANKER_TREES) as temporary:
            write_trees(booster, temporary)
        with writing(out / RERANKER) as temporary:
            temporary.write_text(canonical(about))
    size = sum((out / name).stat().st_size for name in RERANKER_FILES) / 1e6
    log(f"[reranker] {booster.num_trees()} trees over {len(about.models)} models, {size:.1f} MB")


if __name__ == "__main__":
    cli.run(main)
