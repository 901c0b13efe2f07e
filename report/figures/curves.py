"""Learning curves of every training job, and what the frames of sample videos look like."""

import numpy as np

from report.figures.svg import Axis, Figure, Plot, absent
from report.run import Run
from yt8m.data.splits import uniform
from yt8m.inputs.settings import Inputs
from yt8m.records.values import dequantise

PANELS = 24  # models whose curves are drawn
LOOKED_AT = 200  # videos among which samples are chosen
SAMPLES = 3
PARTS = {"student": "student: last layers", "resnet": "student: ResNetLike"}


def learning(run: Run) -> tuple[list[Figure], int]:
    """(a small figure for each model and student, how many models are left out).

    Models that are shown when there are many: the best and the worst by GAP@20 of their folds.
    """
    gaps = {n: np.mean([job["gap_fold"] or 0 for job in jobs]) for n, jobs in run.reports.items()}
    names = sorted(run.models, key=lambda name: -gaps[name])
    left_out = max(len(names) - PANELS, 0)
    if left_out:
        names = names[: PANELS // 2] + names[-PANELS // 2 :]
    panels = [_panel(name, [job["epochs"] for job in run.reports[name]]) for name in names]
    for part, report in run.students.items():
        title = PARTS.get(part, part.replace("_", " ").replace("/", " "))
        if report.get("history"):
            panels.append(_panel(title, [report["history"]]))
    return panels, left_out


def _panel(title: str, histories: list[list[dict]]) -> Figure:
    """GAP@20 of the watched videos by epoch where it was taken, else the loss."""
    histories = [history for history in histories if history]
    what = "gap" if all("gap" in line for history in histories for line in history) else "loss"
    values = [[line[what] for line in history] for history in histories]
    flat = [value for line in values for value in line]
    if not flat:
        return absent(title, "no epoch was noted")
    low, high = min(flat), max(flat)
    spare = (high - low or abs(high) or 1) * 0.08
    longest = max(map(len, values))
    ticks = (1.0, float(longest)) if longest > 1 else (1.0,)
    axes = Axis("", 1, max(longest, 2), ticks=ticks), Axis("", low - spare, high + spare)
    plot = Plot(*axes, width=260, height=150)
    for line in values:
        plot.line(np.arange(1, len(line) + 1), line, "accent thin" if what == "gap" else "ink thin")
    return Figure(title, plot.svg(f"{title}: {what} by epoch"), "", "")


def scenes(run: Run) -> list[Figure]:
    """Cosine distance of neighbouring frames in sample videos (main paper, figure 1)."""
    title = "Scenes"
    if not run.store.has_frames:
        return [absent(title, "these records have no frames")]
    with_frames = np.flatnonzero(run.store.num_frames > 1)
    order = np.argsort(uniform(run.store.ids[with_frames], "report scenes"), kind="stable")
    rows = with_frames[order][:LOOKED_AT]
    if not len(rows):
        return [absent(title, "no video has more than one frame")]
    threshold = Inputs().scene_threshold
    found = [(row, distances(run, row)) for row in rows]
    cuts = np.array([(line > threshold).sum() for _, line in found])
    wanted = np.quantile(cuts, (0.25, 0.6, 0.95))
    figures = []
    for target in wanted[:SAMPLES]:
        best = min(range(len(found)), key=lambda i: (abs(cuts[i] - target), i))
        cuts[best] = -(10**6)  # each video once
        figures.append(_scene_figure(run, *found[best], threshold))
    return figures


def distances(run: Run, row: int) -> np.ndarray:
    """1 - cosine of each frame and the one before, all kinds side by side: (T - 1,)."""
    features, _ = run.store.frames(np.array([row]))
    frames = dequantise(np.concatenate(list(features.values()), axis=1))
    frames /= np.maximum(np.linalg.norm(frames, axis=1, keepdims=True), 1e-12)
    return 1 - (frames[1:] * frames[:-1]).sum(1)


def _scene_figure(run: Run, row: int, line: np.ndarray, threshold: float) -> Figure:
    name = run.store.ids[row].decode(errors="replace")
    high = max(float(line.max()), threshold) * 1.15
    axes = Axis("frame", 1, len(line) + 1), Axis("cosine distance", 0, high)
    plot = Plot(*axes, width=340, height=210)
    cuts = np.flatnonzero(line > threshold)
    for cut in cuts:
        plot.vertical(cut + 1, "accent faint")
    plot.line([1, len(line) + 1], [threshold, threshold], "soft dash")
    plot.line(np.arange(1, len(line) + 1), line, "ink")
    plot.dots(cuts + 1, line[cuts], "accent", None, 3)
    title = f"Video {name}: {len(cuts) + 1} {'scenes' if len(cuts) else 'scene'}"
    return Figure(title, plot.svg(title), "", f"{len(line) + 1} frames")
