"""Trains a first-level model again, on the videos of all folds and their soft labels.

    python -m distill.refit CONFIG.json MODEL_CONFIG.json STORE FOLDS.npz SOFT_LABELS.npz OUT \
        --copy 0 --threads 1 [--unlabelled SOFT_LABELS.npz]

Such models are the extractors of a re-ranked student; its last layer, LightGBM over their
predictions (reranker.py), has learnt from the fold models' out-of-fold predictions. Copies of a
model differ by their seed; their logits are averaged. OUT gets report.json, then
weights.safetensors. The holdout is scored, and decides nothing.
"""

import io
import time
from contextlib import redirect_stderr
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from distill.config import DistillConfig, check_exportable
from distill.train import Job, files_of, lessons, report
from first_level.bundle.manifest import Member
from first_level.bundle.network import build_network
from first_level.config import ModelConfig, architecture, build
from yt8m.base import cli, processor
from yt8m.base.cli import InputError
from yt8m.base.config import read_snapshot
from yt8m.base.files import fingerprint, remove, working_in
from yt8m.data.splits import Splits, seed_of
from yt8m.data.store import Dims, Store
from yt8m.training.loop import save_weights


def main(
    config: Path,
    model_config: Path,
    store: Path,
    folds: Path,
    soft_labels: Path,
    out: Path,
    *,
    copy: int = 0,
    threads: int = 1,
    unlabelled: Path | None = None,
) -> None:
    """Trains copy --copy of MODEL_CONFIG's model on all training videos into the folder OUT."""
    processor.set_threads(threads)
    started = time.monotonic()
    settings, model = read_snapshot(config, DistillConfig), read_snapshot(model_config, ModelConfig)
    name = model_config.parent.name
    check_refittable(model, model_config)
    with working_in(out):
        data = Store(store)
        splits = Splits.read(folds, data.ids)
        soft, wanted = (soft_labels, unlabelled), settings.refit_targets()
        data, rows, targets = lessons("refit", settings, wanted, data, splits, *soft)
        files = [model_config, *files_of(store, folds, *soft)]
        source = fingerprint(settings.deciding("refit"), *files, name, copy)
        title = f"refit {name}" + (f" copy{copy}" if copy else "")
        check_graph(model, data.dims, model_config)
        job = Job(settings, data, rows, targets, out, title, source, model.inputs)
        torch.manual_seed(seed_of(settings.seed, "refit", name, copy))
        network = job.started(build(model, data.dims, model_config))
        history = job.fit(network, model.training, out)
        report(job, network, history, splits.holdout, time.monotonic() - started)
        save_weights(network, out / "weights.safetensors", {"source": source})
        remove(out / "checkpoint.pt")


def check_graph(model: ModelConfig, dims: Dims, where: Path) -> None:
    """InputError when a frame-level model has no graph for any number of videos and frames; found
    before it is trained, on an untrained one."""
    if architecture(model.arch, where).level != "frame":
        return
    from distill.export.onnx_graph import write_onnx  # its imports take seconds

    network = build_network([Member(kind="refit", refit=model)], model.inputs, dims)
    frames = model.inputs.dims(dims, "frame").max_frames
    # Before it fails, the exporter prints the whole network.
    with TemporaryDirectory() as folder, redirect_stderr(io.StringIO()):
        try:
            write_onnx(network, replace(dims, max_frames=frames), Path(folder) / "x", "float32")
        except Exception as error:  # of torch's exporter, or of the network as it is traced
            text = " ".join(str(error.__cause__ or error).split()[:24])
            raise InputError(
                f"{where}: {model.arch} cannot be exported as a graph ({text}); take it out of "
                "[refit] models in distill/configs"
            ) from error


def check_refittable(model: ModelConfig, where: Path) -> None:
    """InputError when an export could not make the model's inputs, or it is not made by itself."""
    for key in ("start", "teachers"):
        if getattr(model, key) is not None:
            raise InputError(
                f"{where}: has a table [{key}], so it cannot be refitted; name it in [refit] folds"
            )
    check_handed_over(model, where)


def check_handed_over(model: ModelConfig, where: Path) -> None:
    """InputError when an export could not make the model's inputs."""
    try:
        check_exportable(model.inputs)
    except ValueError as error:
        raise InputError(f"{where}: cannot be refitted: {error}") from error


if __name__ == "__main__":
    cli.run(main)
