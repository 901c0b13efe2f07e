"""What ran, what every system reached and what it cost, from the stages' reports."""

import importlib.metadata
import json
import os
import platform

import numpy as np

from report.run import Run
from yt8m.base import processor
from yt8m.base.files import read_json
from yt8m.base.paths import ABOUT, CONFIG, EXPORT_MANIFEST, EXPORT_WEIGHTS
from yt8m.base.tables import figures_of

PACKAGES = ("torch", "lightgbm", "numpy", "scipy", "scikit-learn", "onnx", "onnxruntime")


def flow(run: Run) -> list[dict]:
    """Stages: {name, number, what, details, seconds}, in order; seconds of all jobs together."""
    about = read_json(run.store.folder / ABOUT)
    dims, fold = run.store.dims, run.splits.fold
    shards = sum(map(len, about["content"]["shards"].values()))
    kinds = " and ".join(f"{kind}-level" for kind in run.store.kinds)
    jobs = [job for reports in run.reports.values() for job in reports]
    levels = [reports[0]["level"] for reports in run.reports.values()]
    stack, students = run.stack, run.students
    export = read_json(run.files.export / EXPORT_MANIFEST)
    networks = len(export["members"])
    size = (run.files.export / EXPORT_WEIGHTS).stat().st_size / 1e6
    return [
        _stage("folds", len(run.store), "videos", [
            f"{shards:,} shards, {about['shard_bytes'] / 1e6:,.0f} MB, {kinds}",
            f"{dims.classes:,} classes, {dims.sizes}",
            f"{(fold >= 0).sum():,} for training in 5 folds, {(fold == -1).sum():,} in the "
            f"holdout, {(fold == -2).sum():,} unlabelled",
        ]),
        _stage("first_level", len(run.models), "models", [
            f"{levels.count('video')} video-level, {levels.count('frame')} frame-level",
            f"{len(jobs):,} jobs: each model without each fold",
        ], sum(job["seconds"] for job in jobs)),
        _stage("stacking", stack["rows"], "rows", [
            f"{stack['candidates']} candidates a video, with {_percent(stack['recall'])} of labels",
            _learners(stack["rounds"], stack["learner"]),
        ], stack["seconds_rows"] + stack["seconds_train"]),
        _stage("distill", len(students), "networks", [
            f"{sum(part['parameters'] for part in students.values()) / 1e6:,.1f} M parameters",
            "trained on all folds, and a network over them; a ResNetLike on soft labels"
            if run.reranker_seconds
            else "trained on the stack's soft labels",
        ], sum(part["seconds"] for part in students.values()) + run.reranker_seconds),
        _stage("export", round(size, 1), "MB", [
            f"{networks:,} {'network' if networks == 1 else 'networks'}, "
            f"{export['values'] / 1e6:,.2f} M values as {export['dtype']}",
            "GAP@20 " + text_of(run.evaluation["gap20"]) if run.has_holdout else "no holdout",
        ]),
    ]  # fmt: skip


def _learners(rounds: list[int], learner: str) -> str:
    """What scores the rows."""
    boosters = f"5 boosters of {min(rounds)} to {max(rounds)} rounds" if rounds else ""
    networks = "" if learner == "trees" else "5 networks"
    return " and ".join(filter(None, (boosters, networks)))


def _stage(name: str, number, what: str, details: list[str], seconds=None) -> dict:
    return {"name": name, "number": number, "what": what, "details": details, "seconds": seconds}


def systems(run: Run) -> list[dict]:
    """The table: the summary's lines with the standard error over folds, BCE, membership."""
    stack = run.stack
    known = stack["members"] | {
        "mean of models": stack["mean"],
        "weighted mean": stack["weighted_mean"],
        "stack": stack["stack"],
    }
    lines = []
    for line in run.summary["systems"]:
        figures = known.get(line["system"], {})
        folds = [gap for gap in figures.get("gap_folds", []) if gap is not None]
        kind, member = "ensemble" if line["level"] == "ensemble" else "student", None
        if line["system"] in stack["members"]:
            kind, member = "model", "yes" if figures["gain"] > 0 else "unused"
        found = {
            place: figures_of(line, place, f"gap_{place}") for place in ("oof", "single", "five")
        }
        found |= {"error": standard_error(folds), "bce": figures.get("bce_oof")}
        lines.append(line | found | {"member": member, "kind": kind})
    return lines


def standard_error(values: list[float]) -> float | None:
    """Of the mean; None of fewer than two values."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None


def ladder(lines: list[dict], reranker_seconds: float = 0) -> list[dict]:
    """From the best single model to the export: GAP, size and cost of each step.

    Megabytes: what one would ship; an ensemble needs five versions of all its models. Seconds: of
    one core, including everything that had to be trained before.
    """
    models = [line for line in lines if line["kind"] == "model"]
    if not models:
        return []
    best = max(models, key=lambda line: line["gap_oof"] or 0)
    all_megabytes, all_seconds = (
        sum(line[key] or 0 for line in models) for key in ("megabytes", "seconds")
    )
    single = best["gap_single"] if best["gap_single"] is not None else best["gap_oof"]
    steps = [
        _step(f"best model: {best['system']}", single, best["megabytes"], best["seconds"] / 5),
        _step("its five folds averaged", best["gap_five"], 5 * best["megabytes"], best["seconds"]),
    ]
    for line in lines:
        if line["kind"] == "model":
            continue
        own, seconds = line["megabytes"], line["seconds"] or 0
        if line["kind"] == "ensemble":
            reached = line["gap_five"] if line["gap_five"] is not None else line["gap_oof"]
            own = 5 * all_megabytes + (own or 0)
            steps.append(_step(line["system"], reached, own, all_seconds + seconds))
            last = all_seconds + seconds
        else:
            if line["seconds"] is None:  # the export: all students, and what re-ranks them
                seconds = sum(x["seconds"] or 0 for x in lines if x["kind"] == "student")
                seconds += reranker_seconds
            steps.append(_step(line["system"], line["gap_single"], own, last + seconds))
    return steps


def _step(name: str, gap, megabytes, seconds) -> dict:
    return {"system": name, "gap": gap, "megabytes": megabytes, "seconds": seconds}


def settings(run: Run) -> list[tuple[str, str]]:
    """(name, JSON) of every configuration of the run."""
    files = [("stacking", run.files.stacking / CONFIG)]
    files.append(("distill", run.files.distill / CONFIG))
    files += [(name, run.files.model(name) / CONFIG) for name in run.models]
    data = json.dumps(run.store.description.model_dump(mode="json"), indent=1)
    return [("data set", data)] + [(name, path.read_text()) for name, path in files]


def machine() -> list[tuple[str, str]]:
    """(what, value) of the machine and the package versions."""
    cores, system = os.cpu_count() or 0, f"{platform.system()} {platform.machine()}"
    lines = [("machine", f"{processor.name()}, {cores} cores, {system}")]
    lines.append(("Python", platform.python_version()))
    for package in PACKAGES:
        try:
            lines.append((package, importlib.metadata.version(package)))
        except importlib.metadata.PackageNotFoundError:
            lines.append((package, "not installed"))
    return lines


def text_of(value, digits: int = 4) -> str:
    """A figure; a dash for None."""
    return "–" if value is None else f"{value:.{digits}f}"


def _percent(value) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def duration(seconds) -> str:
    """4 s, 3 min 20 s, 2 h 05 min."""
    if seconds is None:
        return "–"
    seconds = int(round(seconds))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds // 60 % 60:02d} min"
