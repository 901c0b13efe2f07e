"""The error analysis of the main paper (its figures 4 and 5), of the export on the holdout.

Without a holdout, of the stack out of fold: it did not see the videos that judge it.
"""

from dataclasses import dataclass

import numpy as np

from report.figures.errors import Counts, count
from report.figures.svg import Axis, Figure, Plot, absent
from report.run import FOLD, Run
from yt8m.data.predictions import TOP_K

BINS = 20


@dataclass(frozen=True)
class Analysis:
    """counts of each class (C,); training: positives of each class among the training videos."""

    source: str
    counts: Counts
    training: np.ndarray


def analyse(run: Run) -> Analysis:
    """Counts the labels of what the run is judged by."""
    found, source = run.judged
    counts = count(found.classes[:, :TOP_K], run.labels_of(found.ids), run.num_classes)
    training = run.store.labels.take(run.splits.training).class_counts(run.num_classes)
    return Analysis(source, counts, training)


def figures(run: Run, analysis: Analysis) -> list[Figure]:
    """Those of the paper, in its order."""
    parts = (_heat_map, _against_samples, _distribution, _verticals)
    return [part(run, analysis) for part in parts]


def class_table(run: Run, analysis: Analysis) -> list[list]:
    """[name, training positives, positives here, TP, FP, FN, F1] of each class that occurs or is
    predicted; the most wrong or missed labels first."""
    counts = analysis.counts
    columns = (counts.positives, counts.true_positive, counts.false_positive, counts.false_negative)
    wrong = counts.false_positive + counts.false_negative
    table = []
    for index in np.argsort(-wrong, kind="stable").tolist():
        f1 = counts.f1[index]
        if np.isfinite(f1):
            figures = [int(column[index]) for column in columns]
            name = run.store.class_names[index]
            table.append([name, int(analysis.training[index]), *figures, round(float(f1), 4)])
    return table


def _heat_map(run: Run, analysis: Analysis) -> Figure:
    """Figure 4a: classes by precision and recall."""
    title = "Precision and recall of the classes"
    precision, recall = analysis.counts.precision, analysis.counts.recall
    known = np.isfinite(precision) & np.isfinite(recall)
    if not known.any():
        return absent(title, "no class has both a positive and a prediction here")
    edges = np.linspace(0, 1, BINS + 1)
    number, _, _ = np.histogram2d(recall[known], precision[known], (edges, edges))
    plot = Plot(Axis("precision", 0, 1), Axis("recall", 0, 1))
    titles = {
        (i, j): f"{number[i, j]:.0f} classes: precision {edges[j]:.2f} to {edges[j + 1]:.2f}, "
        f"recall {edges[i]:.2f} to {edges[i + 1]:.2f}"
        for i, j in zip(*np.nonzero(number), strict=True)
    }
    plot.line([0, 1], [0, 1], "soft dash")
    plot.cells(edges, edges, np.sqrt(number / number.max()), titles)
    reading = (
        f"Each cell holds the classes of that precision and recall, more colour = more (most: "
        f"{number.max():.0f}). Above the diagonal, false positives prevail; below, false negatives."
    )
    left = int((~known).sum())
    source = (
        f"{analysis.source}; {known.sum():,} classes, {left:,} without positives or predictions"
    )
    return Figure(title, plot.svg(title), reading, source)


def _against_samples(run: Run, analysis: Analysis) -> Figure:
    """Figure 4b: F1 of the classes against their training samples, and the median."""
    title = "F1 against the number of training samples"
    f1, training = analysis.counts.f1, analysis.training
    known = np.flatnonzero(np.isfinite(f1) & (training > 0) & (analysis.counts.positives > 0))
    if not len(known):
        return absent(title, "no class has positives both in training and here")
    low, high = max(training[known].min() * 0.9, 0.9), float(training[known].max()) * 1.1
    plot = Plot(Axis("training videos of the class", low, high, True), Axis("F1", 0, 1))
    names = [
        f"{run.store.class_names[i]}: F1 {f1[i]:.2f}, {training[i]:,} training videos"
        for i in known
    ]
    plot.dots(training[known], f1[known], "soft", names)
    order = known[np.argsort(training[known], kind="stable")]
    groups = [part for part in np.array_split(order, min(12, max(len(order) // 4, 1))) if len(part)]
    middle = [np.median(training[part]) for part in groups]
    plot.line(middle, [np.median(f1[part]) for part in groups], "accent")
    reading = "One dot is one class, the line their median: how much more examples help."
    legend = (("soft", "a class"), ("accent", "median of neighbouring classes"))
    return Figure(title, plot.svg(title), reading, analysis.source, legend)


def _distribution(run: Run, analysis: Analysis) -> Figure:
    """Figure 4c: how many classes have which F1."""
    title = "Classes by their F1"
    f1 = analysis.counts.f1[analysis.counts.positives > 0]
    if not len(f1):
        return absent(title, "no class has a positive here")
    edges = np.linspace(0, 1, BINS + 1)
    number, _ = np.histogram(f1, edges)
    top = float(number.max() * 1.08)
    plot = Plot(Axis("F1", 0, 1), Axis("classes", 0, top))
    spans = zip(number, edges[:-1], edges[1:], strict=True)
    titles = [f"{n} classes: F1 {a:.2f} to {b:.2f}" for n, a, b in spans]
    plot.columns(edges, number, "accent", titles)
    middle = float(np.median(f1))
    plot.vertical(middle, "ink dash")
    side = ("end", -6) if middle > 0.6 else ("start", 6)
    plot.text(middle, 0.93 * top, f"median {middle:.2f}", *side)
    reading = "Height = number of classes. Bars at the left are classes the system cannot tell yet."
    return Figure(title, plot.svg(title), reading, f"{analysis.source}; {len(f1):,} classes")


def _verticals(run: Run, analysis: Analysis) -> Figure:
    """Figure 5: accuracy of the verticals against their positives in one training fold."""
    title = "Accuracy across verticals"
    names = sorted(set(run.store.verticals) - {""})
    if not names:
        return absent(title, "the vocabulary of this data set names no verticals")
    counts = analysis.counts.of_groups(run.store.vertical_of, len(names))
    total = counts.true_positive + counts.false_positive + counts.false_negative
    known = np.flatnonzero((total > 0) & (counts.positives > 0))
    fold = run.store.labels.take(run.splits.rows(FOLD)).class_counts(run.num_classes)
    inside = run.store.vertical_of >= 0
    samples = np.bincount(run.store.vertical_of[inside], fold[inside], len(names))
    known = known[samples[known] > 0]
    if not len(known):
        return absent(title, "no vertical has a positive here")
    accuracy = counts.true_positive[known] / total[known]
    low, high = samples[known].min() * 0.75, samples[known].max() * 1.9
    across = Axis(f"positives in one fold (fold {FOLD})", low, high, True)
    plot = Plot(across, Axis("accuracy", 0, min(float(accuracy.max()) * 1.25, 1) or 1))
    texts = [f"{names[i]}: {a:.3f}" for i, a in zip(known, accuracy, strict=True)]
    plot.dots(samples[known], accuracy, "accent", texts, 4.5)
    plot.names(samples[known], accuracy, [names[i] for i in known])
    reading = (
        "Accuracy = TP / (TP + FP + FN) over the vertical's labels. To the right are the verticals "
        "with more examples."
    )
    return Figure(title, plot.svg(title), reading, analysis.source)
