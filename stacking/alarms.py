"""Figures that a leak would explain: gaps between fold and holdout far beyond what is usual.

A model that saw the videos that it judges is much better on them than on the holdout (or, if it saw
the holdout, much worse). How far fold and holdout lie apart is otherwise a matter of the videos,
and so nearly the same for all models. docs/trust.md says how the numbers below were chosen.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from yt8m.base.files import read_json
from yt8m.base.paths import CONFIG, Artifacts

FAR = 6.0  # robust standard deviations
VIDEO = 0.25  # of GAP@20: how far one video moves a difference of two models, about


def alarms_of(figures: dict, files: Artifacts, videos: int) -> list[str]:
    """What the figures of a stack's report say of leaks: a line for each, usually none.

    videos: of the smallest set that was judged.
    """
    members = figures["members"]
    folds, versions = (
        {name: own[key] for name, own in members.items()} for key in ("gap_folds", "gap_versions")
    )
    systems = {name: own for name, own in figures.items() if "gap_oof" in own} | members
    apart = {
        name: own["gap_oof"] - own["gap_holdout_single"]
        for name, own in systems.items()
        if None not in (own["gap_oof"], own["gap_holdout_single"])
    }
    taught = {name for name in members if _has_teachers(files.model(name) / CONFIG)}
    hard = {name: gap for name, gap in apart.items() if name in members.keys() - taught}
    heads = {name: gap for name, gap in apart.items() if name not in hard}
    return suspects(folds, versions, videos) + heads_beyond(heads, hard, videos)


def suspects_of(reports: Mapping[str, list[dict]]) -> list[str]:
    """The same of first-level models alone. reports: what the jobs of each wrote; models of older
    reports, which lack figures, are left out."""
    wanted = {"gap_fold", "gap_holdout", "out_of_fold", "holdout"}
    reports = {n: found for n, found in reports.items() if all(wanted <= r.keys() for r in found)}
    gaps = [
        {name: [report[key] for report in found] for name, found in reports.items()}
        for key in ("gap_fold", "gap_holdout")
    ]
    sizes = [
        report[key]["videos"]
        for found in reports.values()
        for report in found
        for key in ("out_of_fold", "holdout")
    ]
    return suspects(*gaps, min(sizes, default=0))


def warnings_of(alarms: list[str]) -> list[str]:
    """Lines below a table, on figures that a leak would explain."""
    return [line for alarm in alarms for line in ("", f"warning: {alarm}")]


def _has_teachers(config: Path) -> bool:
    return config.is_file() and bool(read_json(config).get("teachers"))


def suspects(
    fold: Mapping[str, Sequence[float | None]],
    holdout: Mapping[str, Sequence[float | None]],
    videos: int,
) -> list[str]:
    """A line for each model and fold whose gap is far from those of the other models there.

    fold, holdout: by model, GAP@20 of its versions on their own folds and on the holdout; videos:
    of the smallest set that was judged.
    """
    names, lines = list(fold), []
    known = [name for name in names if None not in (*fold[name], *holdout[name])]
    known = [name for name in known if len(fold[name]) == len(fold[known[0]])]  # all five are there
    if len(known) < 2 or not videos:
        return []
    gaps = np.array([np.subtract(fold[name], holdout[name]) for name in known])  # (m, 5)
    usual = np.quantile(gaps, 0.5, axis=0, method="lower")
    apart = gaps - usual
    spread = 1.4826 * np.quantile(np.abs(apart), 0.5, method="lower")
    spread = max(spread, error_of(videos))
    for at, k in zip(*np.nonzero(np.abs(apart) > FAR * spread), strict=True):
        lines.append(
            f"{known[at]} fold{k}: its GAP@20 on the fold is {gaps[at, k]:+.4f} from that on the "
            f"holdout, its peers' {usual[k]:+.4f} ({apart[at, k] / spread:+.0f} standard "
            "deviations); it may have seen the videos that it judges"
        )
    return lines


def heads_beyond(
    heads: Mapping[str, float | None], hard: Mapping[str, float | None], videos: int
) -> list[str]:
    """A line for each head or student whose gap exceeds that of every model on hard labels.

    heads, hard: by name, GAP@20 on folds minus GAP@20 on the holdout.
    """
    known = [gap for gap in hard.values() if gap is not None]
    if not known or not videos:
        return []
    most = max(known)
    return [
        f"{name}: its GAP@20 on folds is {gap:+.4f} from that on the holdout; models on labels "
        f"have {most:+.4f} at most: what it learnt from may have known the folds"
        for name, gap in heads.items()
        if gap is not None and gap - most > 2 * error_of(videos)
    ]


def error_of(videos: int) -> float:
    """About the standard error of a difference of two systems' GAP@20 on so many videos."""
    return VIDEO / math.sqrt(videos)
