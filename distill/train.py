"""Trains one part of the students on soft labels; each part is one process and one make target.

    python -m distill.train CONFIG.json STORE FOLDS.npz SOFT_LABELS.npz OUT --part a --threads 1 \
        [--unlabelled SOFT_LABELS.npz]

Paper section 3. Parts: a..f, the extractors (OUT is extractor_<letter>); last, the layers over the
six frozen extractors, read from OUT's siblings; resnet, the single ResNetLike student.
--unlabelled: soft labels of the videos of UNLABELLED, which then train it beside the others.
OUT gets report.json, then weights.safetensors. The holdout is scored, and decides nothing.
"""

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from distill.config import DistillConfig, member_of
from distill.targets import SoftTargets
from first_level.bundle.network import build_member, level_of
from yt8m.base import cli, processor
from yt8m.base.cli import InputError, log
from yt8m.base.config import read_snapshot
from yt8m.base.files import fingerprint, remove, working_in, write_json
from yt8m.base.run_log import seconds_of
from yt8m.data.splits import UNLABELLED, Splits, seed_of, uniform
from yt8m.data.store import MANIFEST, Store, Videos
from yt8m.data.unlabelled import FOLDER, joined
from yt8m.inputs.batch import Source
from yt8m.inputs.settings import Inputs
from yt8m.networks.extractors import LAYOUTS, Extractor, WithHead
from yt8m.networks.student import Student, num_values
from yt8m.training import metrics
from yt8m.training.loop import fit, load_weights, predict, save_weights, start_from_frequencies
from yt8m.training.settings import Training

PARTS = (*LAYOUTS, "last", "resnet")
EXTRACTOR_FOLDS, LAST_FOLDS = (0, 1, 2, UNLABELLED), (3, 4)  # extractor_videos = "split"
FINE_TUNE = "fine_tune"  # folder of that phase: its checkpoint and log.jsonl


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
) -> None:
    """Trains --part a, b, c, d, e, f, last or resnet of the students into the folder OUT."""
    if part not in PARTS:
        raise InputError(f"--part {part}: no such part; allowed: {', '.join(PARTS)}")
    processor.set_threads(threads)
    started = time.monotonic()
    settings = read_snapshot(config, DistillConfig)
    with working_in(out):
        data = Store(store)
        splits = Splits.read(folds, data.ids)
        soft = (soft_labels, unlabelled)
        data, rows, targets = lessons(part, settings, settings.targets, data, splits, *soft)
        said = settings.deciding("resnet" if part == "resnet" else "student")
        files = [*files_of(store, folds, *soft), *_extractor_files(out, part)]
        source = fingerprint(said, *files, part)
        name = f"distill {part}"
        job = Job(settings, data, rows, targets, out, name, source, settings.inputs)
        model, history = job.train(part)
        report(job, model, history, splits.holdout, time.monotonic() - started)
        kept = model.extractor if isinstance(model, WithHead) else model
        save_weights(kept, out / "weights.safetensors", {"source": source})
        remove(out / "checkpoint.pt")
        remove(out / FINE_TUNE / "checkpoint.pt")


def lessons(part: str, settings, wanted, data: Store, splits: Splits, soft_labels, unlabelled):
    """(store, rows, targets) of a part, whose targets are as `wanted` says; with the videos of
    UNLABELLED, which are rows behind those of `data`, if their soft labels are given."""
    if unlabelled:
        data, splits = joined(data, splits)
    rows, classes = rows_of(part, settings, splits), data.dims.classes
    soft = SoftTargets(soft_labels, data.ids, data.labels, rows, classes, wanted, unlabelled)
    return data, rows, soft


def files_of(store: Path, folds: Path, soft_labels: Path, unlabelled) -> list[Path]:
    """Files whose content decides what is learnt, and from which videos."""
    files = [store / MANIFEST, folds, soft_labels]
    return files + ([store / FOLDER / MANIFEST, unlabelled] if unlabelled else [])


def rows_of(part: str, settings: DistillConfig, splits: Splits) -> np.ndarray:
    """The training videos of a part (or "refit"), as store rows, and all unlabelled ones that there
    are. InputError when there are none."""
    rows = np.concatenate([splits.training, splits.unlabelled])
    if settings.extractor_videos == "split" and part not in ("resnet", "refit"):
        taken = LAST_FOLDS if part == "last" else EXTRACTOR_FOLDS
        rows = np.flatnonzero(np.isin(splits.fold, taken))
    if len(rows) < 2:
        raise InputError(f"--part {part}: {len(rows)} training videos; give more records")
    return rows


@dataclass(frozen=True)
class Job:
    """What training a part needs."""

    settings: DistillConfig
    store: Videos
    rows: np.ndarray
    targets: SoftTargets
    out: Path
    name: str
    made_from: str  # fingerprint of all inputs: no checkpoint of others is gone on from
    inputs: Inputs

    def train(self, part: str) -> tuple[nn.Module, list[dict]]:
        """(the trained model, a line for each epoch)."""
        settings, dims = self.settings, self.inputs.dims(self.store.dims, "video")
        torch.manual_seed(seed_of(settings.seed, "distill", part))
        if part in LAYOUTS:
            extractor = Extractor(part, dims, settings.scale)
            model = WithHead(extractor, dims.classes, settings.extractor_dropout)
            return model, self.fit(self.started(model), settings.extractors, self.out)
        if part == "resnet":
            model = build_member(member_of("resnet", settings), dims)
            return model, self.fit(self.started(model), settings.resnet.training, self.out)
        model = build_member(member_of("student", settings), dims, settings.dropout)
        return model, self._train_last(self.started(model))

    def started(self, model: nn.Module) -> nn.Module:
        """The model with its classifier at the frequencies of the labels."""
        labelled = self.rows[self.store.labelled[self.rows]]
        counts = self.store.labels.class_counts(self.store.dims.classes, labelled)
        start_from_frequencies(model, counts, len(labelled))
        return model

    def _train_last(self, model: Student) -> list[dict]:
        for letter, path in zip(LAYOUTS, _extractor_files(self.out, "last"), strict=True):
            load_weights(model.extractors[letter], path)
        history = self.fit(model, self.settings.last_layers, self.out)
        if self.settings.fine_tune.epochs:
            model.freeze(False)
            history += self.fit(model, self.settings.fine_tune, self.out / FINE_TUNE)
            model.freeze(True)
        return history

    def fit(self, model: nn.Module, training: Training, folder: Path) -> list[dict]:
        """training.fit; with patience, on an inner split of these videos."""
        seed = seed_of(self.settings.seed, self.name, training.seed)
        training = training.model_copy(update={"seed": seed})
        folder.mkdir(exist_ok=True)
        rows, watched = self.rows, None
        if training.needs_inner:
            inner = uniform(self.store.ids[rows], "distill inner") < training.inner
            inner &= self.store.labelled[rows]
            rows, watched = rows[~inner], rows[inner]
        source = Source(self.store, level_of(model), self.inputs)
        return fit(
            model, source, rows, self.targets, training, folder, self.name, watched, self.made_from
        )


def holdout_figures(model: nn.Module, inputs: Inputs, store: Videos, rows, folder: Path) -> dict:
    """All six figures of a model on store rows; None each when there are no rows."""
    found = predict(model, Source(store, level_of(model), inputs), rows, 20, folder=folder)
    return metrics.evaluate(
        found.classes, found.logits, store.labels.take(rows, folder), store.dims.classes
    )


def revision() -> str | None:
    """The git revision of this code, "+" added if files differ from it; None outside git."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def report(job: Job, model, history, holdout, seconds: float) -> None:
    """Writes report.json and logs the result. seconds: of this process."""
    seconds = seconds_of(history, seconds)
    figures = holdout_figures(model, job.inputs, job.store, holdout, job.out)
    values = num_values(model.extractor if isinstance(model, WithHead) else model)
    about = {
        "part": job.name.removeprefix("distill "),
        "level": level_of(model),
        "gap_holdout": figures["gap20"],
        "holdout": figures,
        "training_videos": len(job.rows),
        "parameters": sum(p.numel() for p in model.parameters()),
        "values": values,
        "megabytes": values * 4 / 1e6,
        "seconds": round(seconds, 1),
        "peak_memory_mb": round(cli.peak_memory_mb()),
        "history": history,
        "config": job.settings.model_dump(mode="json"),
        "revision": revision(),
    }
    write_json(job.out / "report.json", about)
    gap = "no holdout" if figures["gap20"] is None else f"GAP@20 {figures['gap20']:.4f} (holdout)"
    log(f"[{job.name}] {gap}, {values:,} values, {seconds:.1f} s")


def _extractor_files(out: Path, part: str) -> list[Path]:
    """The weights that the last layers build on; InputError when one is missing."""
    if part != "last":
        return []
    paths = [out.parent / f"extractor_{letter}" / "weights.safetensors" for letter in LAYOUTS]
    for path in paths:
        if not path.is_file():
            raise InputError(f"{path}: no such file; run `make distill` to train the extractors")
    return paths


if __name__ == "__main__":
    cli.run(main)
