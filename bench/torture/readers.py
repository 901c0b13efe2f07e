"""What reads each kind of binary file of a run, all of it."""

from collections.abc import Callable
from pathlib import Path

from distill.export.run import Exported
from stacking.learners.booster import read_booster
from yt8m.base.arrays import open_arrays
from yt8m.base.checksums import open_checked
from yt8m.base.paths import (
    BOOSTER,
    EXPORT_GRAPH,
    EXPORT_MANIFEST,
    EXPORT_WEIGHTS,
    PREDICTIONS,
    WEIGHTS,
    Artifacts,
)
from yt8m.training.weights import read_state

Files = list[tuple[Path, Callable[[], object]]]


def readers_of(run: Path) -> dict[str, Files]:
    """By kind, some files and what reads each."""
    files = Artifacts.of_run(run)
    export = files.export
    arrays = [files.folds, files.soft_labels, *sorted(run.rglob(PREDICTIONS))[:3]]
    weights, boosters = sorted(run.rglob(WEIGHTS))[:4], sorted(run.rglob(BOOSTER))[:3]
    store, rows = sorted(files.store.rglob("*.npy")), sorted(files.stack_rows(0).glob("*.npy"))
    return {
        "weights": [(path, lambda path=path: read_state(path)) for path in weights],
        "predictions, soft labels, folds": [(p, lambda p=p: open_arrays(p)) for p in arrays],
        "arrays of the store": [(path, lambda path=path: open_checked(path)) for path in store],
        "rows of the stack": [(path, lambda path=path: open_checked(path)) for path in rows],
        "boosters": [(path, lambda path=path: read_booster(path)) for path in boosters],
        "an export": [
            (export / EXPORT_WEIGHTS, lambda: Exported(export, "torch")),
            (export / EXPORT_GRAPH, lambda: Exported(export, "onnx")),
            (export / EXPORT_MANIFEST, lambda: Exported(export, "onnx")),
        ],
    }
