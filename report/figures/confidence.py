"""How far probabilities can be trusted, and what a threshold on them gives.

Reliability looks at the candidates of a sample, thresholds at all labels of the system's videos.
"""

import numpy as np

from report.figures.svg import Axis, Figure, Plot
from report.run import Run, Sample, source_of, values_at
from yt8m.data.predictions import Predictions, sigmoid
from yt8m.records.labels import Labels

BINS = 10
FEW = 20  # labels; bins with fewer are not drawn
STEPS = np.linspace(0.01, 0.99, 99)  # thresholds


def figures(run: Run, group: Sample) -> list[Figure]:
    """Both figures; of the same videos if the run has a holdout."""
    return [reliability(run, group), thresholds(run)]


def reliability(run: Run, group: Sample) -> Figure:
    """Share of right labels at each predicted probability, before and after stacking."""
    title = "Can the probabilities be taken at their word?"
    systems = [("soft dash", "mean of the models", group.mean)]
    systems.append(("accent", "after stacking", sigmoid(group.stack)))
    if run.exported is not None:
        logits = values_at(run.exported.align(group.ids), group.classes, run.num_classes)
        systems.append(("ink", "export", sigmoid(logits)))
    plot = Plot(Axis("predicted probability", 0, 1), Axis("share that is labelled", 0, 1))
    plot.line([0, 1], [0, 1], "soft")
    legend = []
    for style, name, probability in systems:
        predicted, right, number = bins(probability.ravel(), group.labels.ravel())
        error = float((np.abs(predicted - right) * number).sum() / max(number.sum(), 1))
        legend.append((style, f"{name} (mean gap {error:.4f})"))
        enough = number >= FEW
        plot.line(predicted[enough], right[enough], style)
        texts = [
            f"{name}: {n:,} labels predicted as {a:.0%} likely, {b:.0%} are right"
            for a, b, n in zip(predicted[enough], right[enough], number[enough], strict=True)
        ]
        plot.dots(predicted[enough], right[enough], style.split()[0], texts, 2.6)
    reading = (
        "On the diagonal, 70 % of the labels predicted as 70 % likely are right. Below it, the "
        f"system is too sure; above, too timid. Bins with fewer than {FEW} labels are left out."
    )
    source = f"candidates of {source_of(run, len(group.ids))}"
    return Figure(title, plot.svg(title), reading, source, tuple(legend))


def bins(probability: np.ndarray, right: np.ndarray):
    """(mean probability, share that is right, number) of each of BINS bins that is not empty."""
    place = np.minimum((probability * BINS).astype(np.int64), BINS - 1)
    number = np.bincount(place, minlength=BINS)
    used = number > 0
    predicted = np.bincount(place, probability, BINS)[used] / number[used]
    return predicted, np.bincount(place, right, BINS)[used] / number[used], number[used]


def thresholds(run: Run) -> Figure:
    """Precision, recall and labels a video when everything above a threshold is a label."""
    title = "What a threshold gives"
    found, source = run.judged
    precision, recall = at_thresholds(found, run.labels_of(found.ids))
    plot = Plot(Axis("threshold on the probability", 0, 1), Axis("share", 0, 1))
    plot.line(STEPS, precision, "accent")
    plot.line(STEPS, recall, "ink")
    reading = (
        "Everything above the threshold is called a label. Precision: the share of these that is "
        "right. Recall: the share of the video’s labels that is called."
    )
    legend = (("accent", "precision"), ("ink", "recall"))
    return Figure(title, plot.svg(title), reading, source, legend)


def at_thresholds(found: Predictions, labels: Labels) -> tuple[np.ndarray, np.ndarray]:
    """(precision, recall) at STEPS, over all pairs of video and class; NaN below FEW pairs."""
    scores = found.scores.ravel()
    hits = labels.contains(found.classes).ravel()
    called = len(scores) - np.searchsorted(np.sort(scores), STEPS)
    right = hits.sum() - np.searchsorted(np.sort(scores[hits]), STEPS)
    precision = np.divide(right, called, out=np.full(len(STEPS), np.nan), where=called > 0)
    precision[called < FEW] = np.nan  # noise
    return precision, right / max(len(labels.indices), 1)
