"""One line for each system of a run, from single models to the export.

    python -m report.summary artifacts/small artifacts/small/summary.json

Gathers what the stages reported; computes nothing anew. GAP@20, mAP, Hit@1 and PERR: `oof` pools
the training videos, each predicted by a model that never saw its fold; `single` and `five` are on
the holdout, which no stage saw: the mean over five fold models, and the five models' average. A
student is one model, trained on all folds' soft labels: it has no out-of-fold figure. `gap_oof`,
`gap_single` and `gap_five` are their GAPs.
"""

from pathlib import Path

from report.students import extractor_folders, refitted_models
from yt8m.base import cli
from yt8m.base.files import read_json, write_json
from yt8m.base.paths import (
    BOOSTER,
    CONFIG,
    EXPORT_MANIFEST,
    EXPORT_WEIGHTS,
    HEAD,
    REPORT,
    Artifacts,
)
from yt8m.base.receipts import commits_of
from yt8m.base.tables import FIGURES, figures_of, mean_figures
from yt8m.data.splits import NUM_FOLDS

FOLDS = range(NUM_FOLDS)


def main(run: Path, out: Path) -> None:
    """Writes OUT from the reports in the folder RUN."""
    files = Artifacts.of_run(run)
    stack = read_json(files.stacking / REPORT)
    systems = [_member(files, name, figures) for name, figures in stack["members"].items()]
    systems.sort(key=lambda line: line["gap_oof"] or 0)
    for name, text in (("mean", "mean of models"), ("weighted_mean", "weighted mean")):
        systems.append(_line(text, "ensemble", _places(stack[name])))
    learnt = [files.stack_fold(k) / name for k in FOLDS for name in (BOOSTER, HEAD)]
    megabytes = sum(path.stat().st_size for path in learnt if path.is_file()) / 1e6
    seconds = stack["seconds_rows"] + stack["seconds_train"]
    systems.append(_line("stack", "ensemble", _places(stack["stack"]), megabytes, seconds))
    systems += [*_students(files), _export(files)]
    write_json(
        out,
        {
            "run": str(run),
            "videos": stack["videos"],
            "holdout_videos": stack["holdout_videos"],
            "commits": commits_of(run),
            "systems": systems,
            "alarms": stack.get("alarms", []),
        },
    )


def _line(system, level, places: dict[str, dict], megabytes=None, seconds=None) -> dict:
    """places: figures by oof, single and five."""
    line = {"system": system, "level": level}
    for place in ("oof", "single", "five"):
        line[place] = places.get(place, dict.fromkeys(FIGURES))
        line[f"gap_{place}"] = line[place]["gap20"]
    return line | {"megabytes": megabytes, "seconds": seconds}


def _places(figures: dict) -> dict[str, dict]:
    """The figures of a system of the stack's report."""
    return {
        "oof": figures_of(figures, "out_of_fold", "gap_oof"),
        "single": figures_of(figures, "holdout_single", "gap_holdout_single"),
        "five": figures_of(figures, "holdout", "gap_holdout"),
    }


def _member(files: Artifacts, name: str, figures: dict) -> dict:
    """A first-level model: megabytes of one, seconds of all five on their threads."""
    reports = [read_json(files.model_fold(name, k) / REPORT) for k in FOLDS]
    seconds = sum(report["seconds"] for report in reports)
    return _line(name, reports[0]["level"], _places(figures), reports[0]["megabytes"], seconds)


def _students(files: Artifacts) -> list[dict]:
    """The students as trained (float32), on the videos of all folds: one model each.

    A re-ranked student is the export itself, so its refitted models are listed; of copies the mean.
    """
    settings = read_json(files.distill / CONFIG)
    copies = refitted_models(settings["refit"]).items()
    lines = [_student(files, folders, f"refitted {name}") for name, folders in copies]
    if not settings["refit"]["models"]:
        parts = extractor_folders(settings)
        lines.append(_student(files, ["student"], "student: six extractors", parts))
    return [*lines, _student(files, ["resnet"], "student: ResNetLike")]


def _student(files: Artifacts, copies: list[str], text: str, parts=()) -> dict:
    """Mean figures of copies of a student, megabytes of one, seconds of all and of its parts."""
    found = [read_json(files.distill / folder / REPORT) for folder in copies]
    seconds = [read_json(files.distill / part / REPORT)["seconds"] for part in parts]
    seconds += [report["seconds"] for report in found]
    level = found[0].get("level", "video")  # older runs know of no other
    single = mean_figures([figures_of(report, "holdout", "gap_holdout") for report in found])
    return _line(text, level, {"single": single}, found[0]["megabytes"], sum(seconds))


def _export(files: Artifacts) -> dict:
    """What is handed over, as it is on disk."""
    parts = [files.export / EXPORT_WEIGHTS, *files.export.glob("reranker.*")]
    level = "frame" if read_json(files.export / EXPORT_MANIFEST).get("frames") else "video"
    single = {name: read_json(files.evaluation).get(name) for name in FIGURES}
    megabytes = sum(path.stat().st_size for path in parts) / 1e6
    return _line("export", level, {"single": single}, megabytes)


if __name__ == "__main__":
    cli.run(main)
