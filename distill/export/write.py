"""Students -> one folder that predicts anywhere: safetensors, JSON and ONNX, within a budget.

    python -m distill.export.write DISTILL CONFIG.json STORE FOLDS SOFT_LABELS OUT \
        --budget-mb 1000 --plan small

DISTILL holds the folders of the stage's jobs; CONFIG's `export` names the student. The export is
compared with the trained weights on real videos. OUT is complete or absent.
"""

import string
from pathlib import Path

from safetensors.torch import save_file

from distill.config import DistillConfig
from distill.export.batches import for_receivers
from distill.export.parity import ParitySample, check_parity, judge_network
from distill.export.steps import Steps, table_of
from distill.export.trained import Trained
from first_level.bundle.manifest import Manifest
from first_level.bundle.rounding import DTYPES, rounded_state
from first_level.bundle.sums import state_sums
from yt8m.base import cli, processor
from yt8m.base.cli import InputError, log
from yt8m.base.config import canonical, read_snapshot
from yt8m.base.files import working_in, write_json, writing
from yt8m.base.paths import (
    EXPORT_GRAPH,
    EXPORT_MANIFEST,
    EXPORT_PREDICT,
    EXPORT_README,
    EXPORT_STEPS,
    EXPORT_SUMS,
    EXPORT_TRAINED_ON,
    EXPORT_WEIGHTS,
)
from yt8m.data.origins import hashes_of, write_hashes
from yt8m.data.splits import Splits
from yt8m.data.store import Store

FILES = {EXPORT_WEIGHTS, EXPORT_GRAPH, EXPORT_MANIFEST, EXPORT_README, EXPORT_STEPS, EXPORT_PREDICT}
FILES |= {EXPORT_TRAINED_ON, EXPORT_SUMS}
FOR_RECEIVERS = Path(__file__).with_name("receivers.md")
ALONE = Path(__file__).with_name("alone.py")


def main(
    distill: Path,
    config: Path,
    store: Path,
    folds: Path,
    soft_labels: Path,
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
    splits = Splits.read(folds, data.ids)
    trained = Trained(distill, settings, data, splits, soft_labels)
    network, manifest = trained.read(name or settings.export, dtype, plan)
    sample = ParitySample.of(network, data, manifest.dims)
    steps = Steps(data, splits.holdout, manifest.dims, splits.groups)
    with working_in(out.parent), writing(out) as folder:
        folder.mkdir()
        save_file(rounded_state(network, dtype), folder / EXPORT_WEIGHTS, {"format": "pt"})
        judge_network(steps, network, dtype)
        del network  # each copy in float32 that is no longer needed makes room for the next
        (folder / EXPORT_WEIGHTS).chmod(0o644)  # safetensors writes for its owner alone
        (folder / EXPORT_MANIFEST).write_text(canonical(manifest))
        write_hashes(folder / EXPORT_TRAINED_ON, hashes_of(data.ids, splits.training))
        (folder / EXPORT_README).write_text(readme(manifest))
        _check_budget(folder, budget_mb, out, twice=onnx)
        parity = check_parity(sample, steps, folder, onnx, dtype, threads)
        write_receivers(steps, folder, onnx)
        size = _check_budget(folder, budget_mb, out)
    log(f"[export] {out}: {manifest.values:,} values, {size:,.1f} of {budget_mb:,.0f} MB; {parity}")


def write_receivers(steps: Steps, folder: Path, onnx: bool) -> None:
    """Says in a file of its own, and in the README, what each form of the student has; puts in
    what runs its graph; then states the checksums of all files."""
    if onnx:
        (folder / EXPORT_PREDICT).write_bytes(ALONE.read_bytes())
    lines = steps.lines()
    write_json(folder / EXPORT_STEPS, lines)
    with open(folder / EXPORT_README, "a") as file:
        file.write(f"\nOn videos that no stage has seen:\n\n{table_of(lines)}\n")
    state_sums(folder)


def readme(manifest: Manifest) -> str:
    """The README of the folder: receivers.md with this export's numbers."""
    return string.Template(FOR_RECEIVERS.read_text()).substitute(
        manifest.model_dump(mode="json", include={"plan", "classes", "dtype"}),
        **for_receivers(manifest.dims),
        revision=manifest.revision or "unknown",
        values=f"{manifest.values:,}",
        networks=len(manifest.members),
        **about_thresholds(manifest),
    )


def about_thresholds(manifest: Manifest) -> dict[str, str]:
    """What the README says of yes and no."""
    found = manifest.expected
    return {
        "threshold": f"{manifest.threshold:.2f}",
        "aim": "the largest F1"
        if found.aim == "f1"
        else "recall at a precision that was asked for",
        "precision": f"{found.precision:.0%}",
        "recall": f"{found.recall:.0%}",
    }


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
