"""Predictions for the page's browser: the worst mistakes, and a sample, in a bounded size.

Two groups: the holdout, ordered by the export's mistakes, and the training videos of fold FOLD,
ordered by how much their soft labels, which are out of fold, contradict their labels. Mistakes of a
video: the sum of its binary cross-entropy over the candidates. Models and stack are the versions
that never saw fold FOLD; no prediction that is shown is by a system that learnt from the video.
"""

import numpy as np

from report.clean_labels import clean_labels
from report.run import FOLD, Run, Sample, choose, sample, values_at
from stacking.table import FOLD_PREFIX, HOLDOUT_PREFIX
from yt8m.data.predictions import Predictions, sigmoid
from yt8m.training.metrics import cross_entropies

SHOWN = 6  # best classes of each system; and all labels
UNKNOWN = -1


def data(run: Run, videos: int) -> dict:
    """What the page's script reads: groups, models, names of classes, videos; per mille.

    videos: how many are in it, shared by the groups; half of each the worst, the rest a sample.
    """
    prefixes = [HOLDOUT_PREFIX, FOLD_PREFIX] if run.has_holdout else [FOLD_PREFIX]
    share = max(videos // len(prefixes), 1) if videos else 0
    groups, found = [], []
    for prefix in prefixes:
        lines, total = _group(run, prefix, share, len(groups))
        groups.append(
            {
                "name": "holdout" if prefix == HOLDOUT_PREFIX else f"training, fold {FOLD}",
                "by": "the export" if prefix == HOLDOUT_PREFIX else "the soft labels",
                "total": total,
                "shown": len(lines),
            }
        )
        found += lines
    used = sorted({row[0] for video in found for row in video["rows"]})
    return {
        "groups": groups,
        "models": run.models,
        "names": {index: run.store.class_names[index] for index in used},
        "clean": run.clean is not None,
        "videos": found,
    }


def _group(run: Run, prefix: str, share: int, number: int) -> tuple[list[dict], int]:
    """Videos of a group, the worst first: (videos, how many the group has)."""
    ids = np.array(run.rows(prefix).ids)
    judged = run.exported if prefix == HOLDOUT_PREFIX else run.stacked
    aligned = judged.align(ids)
    mistakes = cross_entropies(aligned.classes, aligned.logits, run.labels_of(ids))
    order = np.argsort(-mistakes, kind="stable")
    worst = order[: (share + 1) // 2]
    rest = np.sort(order[len(worst) :])
    others = rest[choose(ids[rest], share - len(worst))]
    chosen = np.concatenate([worst, others]).astype(np.int64)
    chosen = chosen[np.argsort(-mistakes[chosen], kind="stable")]
    if not len(chosen):
        return [], len(ids)
    student = judged.align(ids[chosen]) if prefix == HOLDOUT_PREFIX else None
    lines = _lines(run, sample(run, prefix, chosen), student)
    for line, place in zip(lines, chosen.tolist(), strict=True):
        line |= {"group": number, "mistake": round(float(mistakes[place]), 2)}
        line["worst"] = place in set(worst.tolist())
    return lines, len(ids)


def _lines(run: Run, group: Sample, student: Predictions | None) -> list[dict]:
    """Of each video: id, and rows [class, label, clean label, soft, student, models...]."""
    labels = run.labels_of(group.ids)
    clean = clean_labels(run.clean, group.ids) if run.clean else None
    models = _per_mille(np.moveaxis(group.logits, 0, 2))  # (n, M, m)
    soft = _per_mille(group.stack)
    at = None if student is None else _per_mille(values_at(student, group.classes, run.num_classes))
    lines = []
    for i, video in enumerate(group.ids):
        true, candidates = _row(labels, i), group.classes[i].tolist()
        real = _row(clean, i) if clean else set()
        systems = [soft[i]] if at is None else [soft[i], at[i]]
        best = {candidates[j] for x in systems for j in np.argsort(-x, kind="stable")[:SHOWN]}
        rows = []
        for index in best | true | real:
            score = UNKNOWN if student is None else _student_score(student, i, index)
            values = [UNKNOWN, score, *[UNKNOWN] * len(run.models)]
            if index in candidates:
                known = candidates.index(index)
                score = score if at is None else int(at[i, known])
                values = [int(soft[i, known]), score, *models[i, known].tolist()]
            rows.append([index, int(index in true), int(index in real), *values])
        rows.sort(key=lambda row: (-max(row[3], row[4]), row[0]))
        lines.append({"id": video.decode(errors="replace"), "rows": rows})
    return lines


def _student_score(student: Predictions, row: int, index: int) -> int:
    """The student's score of a class that is no candidate."""
    found = np.flatnonzero(student.classes[row] == index)
    return int(_per_mille(student.logits[row, found[:1]])[0]) if len(found) else UNKNOWN


def _row(labels, row: int) -> set[int]:
    return set(labels.indices[labels.indptr[row] : labels.indptr[row + 1]].tolist())


def _per_mille(logits: np.ndarray) -> np.ndarray:
    return np.rint(1000 * sigmoid(np.asarray(logits))).astype(np.int64)
