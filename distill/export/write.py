"""Students -> one folder that predicts anywhere: safetensors, JSON and ONNX, within a budget.

    python -m distill.export.write DISTILL CONFIG.json STORE OUT --budget-mb 1000 --plan small

DISTILL holds the folders of the stage's jobs; CONFIG's `export` names the student. The export is
compared with the trained weights on real videos. OUT is complete or absent.
"""

import string
from dataclasses import replace
from pathlib import Path

from safetensors.torch import save_file

from distill.config import DistillConfig, member_of
from distill.export.batches import for_receivers
from distill.export.parity import ParitySample, check_parity
from distill.export.reranking import REMEDY, add_reranker
from distill.refittable import check_inputs, check_refittable
from first_level.bundle.manifest import FORMAT, ExportedKind, Manifest, Member
from first_level.bundle.network import Network, build_network
from first_level.bundle.rounding import DTYPES, rounded_state
from first_level.config import ModelConfig
from yt8m.base import cli, processor
from yt8m.base.cli import InputError, log
from yt8m.base.config import canonical, read_snapshot
from yt8m.base.files import require, working_in, writing
from yt8m.base.paths import (
    CONFIG,
    EXPORT_GRAPH,
    EXPORT_MANIFEST,
    EXPORT_README,
    EXPORT_WEIGHTS,
    WEIGHTS,
    Artifacts,
)
from yt8m.base.receipts import commit
from yt8m.data.splits import NUM_FOLDS
from yt8m.data.store import Store
from yt8m.networks.student import num_values
from yt8m.training.weights import load_weights

FILES = {EXPORT_WEIGHTS, EXPORT_GRAPH, EXPORT_MANIFEST, EXPORT_README}
FOR_RECEIVERS = Path(__file__).with_name("receivers.md")


def main(
    distill: Path,
    config: Path,
    store: Path,
    out: Path,
    *,
    budget_mb: float = 1000.0,
    dtype: str = "",
    name: str = "",
    plan: str = "custom",
    onnx: bool = True,
    threads: int = 1,
) -> None:
    """Exports the student(s) that CONFIG's `export` (or --name: student, resnet, both) names.

    With refitted models in CONFIG, "student" is the re-ranked one. --dtype overrides CONFIG's.
    """
    processor.set_threads(threads)
    settings, data = read_snapshot(config, DistillConfig), Store(store)
    dtype = dtype or settings.dtype
    if dtype not in DTYPES:
        raise InputError(f"--dtype {dtype}: not supported; allowed: {', '.join(DTYPES)}")
    if out.is_file() or (out.is_dir() and {p.name for p in out.iterdir()} - FILES):
        raise InputError(f"{out}: already exists and is not an export; choose another folder")
    network, manifest = read_trained(distill, name or settings.export, settings, data, dtype, plan)
    sample = ParitySample.of(network, data, manifest.dims)
    with working_in(out.parent), writing(out) as folder:
        folder.mkdir()
        save_file(rounded_state(network, dtype), folder / EXPORT_WEIGHTS)
        del network  # each copy in float32 that is no longer needed makes room for the next
        (folder / EXPORT_WEIGHTS).chmod(0o644)  # safetensors writes for its owner alone
        (folder / EXPORT_MANIFEST).write_text(canonical(manifest))
        (folder / EXPORT_README).write_text(readme(manifest))
        _check_budget(folder, budget_mb, out, twice=onnx)
        parity = check_parity(sample, folder, onnx, dtype, threads)
        size = _check_budget(folder, budget_mb, out)
    log(f"[export] {out}: {manifest.values:,} values, {size:,.1f} of {budget_mb:,.0f} MB; {parity}")


def read_trained(
    distill: Path, chosen: str, settings: DistillConfig, data: Store, dtype: str, plan: str
) -> tuple[Network, Manifest]:
    """The chosen students with their trained float32 weights, and their manifest."""
    parts = parts_of(distill, chosen, settings)
    members = [member for member, _ in parts]
    reranked = any(member.kind == "refit" for member in members)
    dims = data.dims  # the norms of all kinds are columns of a re-ranker
    if not reranked:
        kinds = settings.inputs.kinds(dims, "video")
        dims = replace(dims, features={name: dims.features[name] for name in kinds})
    network = build_network(members, settings.inputs, dims)
    by_frame = any(network.by_frame)
    for model, (_, folder) in zip(network.members, parts, strict=True):
        load_weights(model, require(folder / WEIGHTS, REMEDY))
    about = add_reranker(network, distill.parent, data) if reranked else None
    manifest = Manifest(
        format=FORMAT,
        plan=plan,
        revision=commit(),
        features=[
            ExportedKind(name=name, width=width, frames=by_frame and name not in dims.frameless)
            for name, width in dims.features.items()
        ],
        classes=dims.classes,
        class_names=list(data.class_names),
        inputs=settings.inputs,
        members=members,
        dtype=dtype,
        values=num_values(network),
        frames=settings.inputs.dims(dims, "frame").max_frames if by_frame else 0,
        reranker=about,
    )
    return network, manifest


def parts_of(distill: Path, chosen: str, settings: DistillConfig) -> list[tuple[Member, Path]]:
    """What the chosen student(s) are made of, and the folders of their weights."""
    if chosen not in ("student", "resnet", "both"):
        raise InputError(f"--name {chosen}: not a student; allowed: student, resnet, both")
    if chosen == "both" and settings.refit.models:
        raise InputError("--name both: re-ranked students have no mean; allowed: student, resnet")
    if chosen == "student" and settings.refit.models:
        return [
            (refit_member(distill, name, settings), folder)
            for name in settings.refit.models
            for folder in versions(distill, name, settings)
        ]
    kinds = ("student", "resnet") if chosen == "both" else (chosen,)
    return [(member_of(kind, settings), distill / kind) for kind in kinds]


def versions(distill: Path, name: str, settings: DistillConfig) -> list[Path]:
    """The folders of a model's weights: of its copies, or of its fold models."""
    files = Artifacts.of_run(distill.parent)
    if name in settings.refit.folds:
        return [files.model_fold(name, k) for k in range(NUM_FOLDS)]
    return [files.refit(name, copy) for copy in range(settings.refit.copies)]


def refit_member(distill: Path, name: str, settings: DistillConfig) -> Member:
    """A refitted model, or one of its fold models, as its own snapshot describes it."""
    where = Artifacts.of_run(distill.parent).model(name) / CONFIG
    model = read_snapshot(require(where, REMEDY), ModelConfig)
    if name in settings.refit.folds:
        check_inputs(model, where)
    else:
        check_refittable(model, where)
    return Member(kind="refit", name=name, refit=model)


def readme(manifest: Manifest) -> str:
    """The README of the folder: receivers.md with this export's numbers."""
    return string.Template(FOR_RECEIVERS.read_text()).substitute(
        manifest.model_dump(mode="json", include={"plan", "classes", "dtype"}),
        **for_receivers(manifest.dims),
        revision=manifest.revision or "unknown",
        values=f"{manifest.values:,}",
        networks=len(manifest.members),
    )


def _check_budget(folder: Path, budget_mb: float, out: Path, twice: bool = False) -> float:
    """Size of the folder in MB (10^6 bytes). twice: an ONNX form of equal size will follow."""
    size = sum(path.stat().st_size for path in folder.iterdir()) * (2 if twice else 1) / 1e6
    if size > budget_mb:
        raise InputError(
            f"{out}: the export takes {size:,.1f} MB, over the budget of {budget_mb:,.1f} MB; "
            "raise BUDGET_MB (--budget-mb), set DTYPE=int8 (--dtype), leave ONNX out (--no-onnx), "
            "or lower `scale` in distill/configs and run `make distill export`"
        )
    return size


if __name__ == "__main__":
    cli.run(main)
