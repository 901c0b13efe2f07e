"""Trains one part of the students on soft labels; each part is one process and one make target.

    python -m distill.train CONFIG.json STORE FOLDS SOFT_LABELS OUT --part a --threads 1 \
        [--unlabelled SOFT_LABELS] [--fold 2]

Paper section 3. Parts: a to f, the extractors (OUT is extractor_<letter>); last, the layers over
the six frozen extractors, read from OUT's siblings; resnet, the single ResNetLike student.
--unlabelled: soft labels of the videos of UNLABELLED, which then train the part too. --fold: a
copy of an extractor that does not learn from this fold of a new split (out_of_fold.py). OUT gets
report.json, then weights.safetensors. The holdout is scored, and decides nothing.
"""

import time
from pathlib import Path

from distill.config import DistillConfig
from distill.job import Lessons, StudentJob
from distill.out_of_fold import extractor_files
from yt8m.base import cli, processor
from yt8m.base.cli import InputError
from yt8m.base.config import read_snapshot
from yt8m.base.files import fingerprint, working_in
from yt8m.data.splits import NUM_FOLDS
from yt8m.networks.extractors import LAYOUTS

PARTS = (*LAYOUTS, "last", "resnet")


def main(
    config: Path,
    store: Path,
    folds: Path,
    soft_labels: Path,
    out: Path,
    *,
    part: str = "last",
    threads: int = 1,
    unlabelled: Path | None = None,
    fold: int | None = None,
) -> None:
    """Trains --part a, b, c, d, e, f, last or resnet of the students into the folder OUT."""
    if part not in PARTS:
        raise InputError(f"--part {part}: no such part; allowed: {', '.join(PARTS)}")
    processor.set_threads(threads)
    started = time.monotonic()
    settings = read_snapshot(config, DistillConfig)
    allowed = range(NUM_FOLDS) if part in LAYOUTS and settings.extractor_videos == "folds" else ()
    if fold is not None and fold not in allowed:
        raise InputError(
            f"--fold {fold} --part {part}: no such copy; with extractor_videos = "
            f'"folds" parts {", ".join(LAYOUTS)} have copies 0 to {NUM_FOLDS - 1}'
        )
    with working_in(out):
        files = store, folds, soft_labels
        lessons = Lessons.open(part, settings, settings.targets, files, unlabelled, fold)
        decisive = settings.deciding("resnet" if part == "resnet" else "student")
        extractors = extractor_files(out, settings) if part == "last" else []
        name = part if fold is None else f"{part} fold{fold}"
        source = fingerprint(decisive, *lessons.files, *extractors, name)
        job = StudentJob(settings, lessons, out, f"distill {name}", source, settings.inputs)
        job.finish(*job.train(part), started)


if __name__ == "__main__":
    cli.run(main)
