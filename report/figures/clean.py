"""On generated records: how close noisy labels, soft labels and the student come to the clean ones.

Precision and recall of all (video, class) pairs above a threshold that moves, over all classes.
"""

from dataclasses import dataclass

import numpy as np

from report.clean_labels import clean_labels, compare
from report.figures.svg import Axis, Figure, Plot
from report.run import FOLD, Run
from yt8m.base.paths import PREDICTIONS
from yt8m.data.predictions import Predictions
from yt8m.records.labels import Labels
from yt8m.training.metrics import ranked_hits

POINTS = 150
STYLES = ("accent", "ink", "soft dash")


@dataclass(frozen=True)
class Group:
    """Systems on the same videos; compared: figures of clean_labels.compare, by name."""

    title: str
    source: str
    clean: Labels
    systems: dict[str, Predictions]
    compared: dict[str, dict[str, float]]


def groups(run: Run) -> list[Group]:
    """Training videos, and the holdout if the run has one; none on real records."""
    if run.clean is None:
        return []
    ids = run.store.ids[run.splits.training]
    soft = Predictions.read(run.files.soft_labels).align(ids)
    source = f"{len(ids):,} training videos, soft labels out of fold; all classes"
    found = [_group(run, "Training videos: what the student learns from", source, {"soft": soft})]
    if run.exported is not None:
        ids = run.exported.ids
        best = max(run.models, key=lambda model: run.stack["members"][model]["gap_oof"] or 0)
        path = run.files.model_fold(best, FOLD) / PREDICTIONS
        systems = {
            "export": run.exported,
            "stack": run.stacked.align(ids),
            f"best model, {best}": Predictions.read(path).align(ids),
        }
        source = (
            f"{len(ids):,} videos of the holdout, which no stage saw; model and stack by the "
            f"versions that never saw fold {FOLD}"
        )
        found.append(_group(run, "Holdout: what comes out", source, systems))
    return found


def _group(run: Run, title: str, source: str, systems: dict[str, Predictions]) -> Group:
    ids = next(iter(systems.values())).ids
    noisy, clean = run.labels_of(ids), clean_labels(run.clean, ids)
    compared = {name: compare(found, noisy, clean) for name, found in systems.items()}
    return Group(title, source, clean, systems, compared)


def figure(group: Group) -> Figure:
    """Precision against recall of each system, and the noisy labels as one point."""
    plot = Plot(Axis("recall of the clean labels", 0, 1), Axis("precision", 0, 1))
    legend = []
    for style, (name, found) in zip(STYLES, group.systems.items(), strict=False):
        plot.line(*curve(found, group.clean), style)
        legend.append((style, "soft labels" if name == "soft" else name))
    first = next(iter(group.compared.values()))
    recall, noisy, better = first["recall"], first["noisy_precision"], first["soft_precision"]
    plot.dots([recall], [noisy], "ink", ["the labels as they were given"], 5)
    plot.text(recall, noisy, f"noisy labels {noisy:.3f}", "end", -9)
    plot.dots([recall], [better], "accent", [f"{better:.3f} at the same recall"], 5)
    plot.text(recall, better, f"{better:.3f}", "start", 8)
    reading = (
        "Right and up is better. “Noisy labels” are the labels as they were given: a line above "
        "them has fewer wrong labels at the same recall."
    )
    return Figure(group.title, plot.svg(group.title), reading, group.source, tuple(legend))


def lines(group: Group) -> list[dict]:
    """Rows of a table: the noisy labels and each system at their recall."""
    first = next(iter(group.compared.values()))
    rows = [{"system": "noisy labels", "precision": first["noisy_precision"]}]
    for name, found in group.compared.items():
        text = "soft labels" if name == "soft" else name
        rows.append({"system": text, "precision": found["soft_precision"]})
    return [row | {"group": group.title, "recall": first["recall"]} for row in rows]


def curve(found: Predictions, clean: Labels) -> tuple[np.ndarray, np.ndarray]:
    """(recall, precision) as the threshold falls over all kept pairs; at most POINTS of them."""
    _, hits = ranked_hits(found.classes, found.logits, clean, found.classes.shape[1])
    right = np.cumsum(hits)
    places = np.unique(np.geomspace(max(len(hits) // 2000, 1), len(hits), POINTS).astype(int)) - 1
    return right[places] / max(len(clean.indices), 1), right[places] / (places + 1)
