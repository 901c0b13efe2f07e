"""Students -> one folder that predicts anywhere: safetensors, JSON and ONNX, within a budget.

    python -m distill.export STUDENT RESNET CONFIG.json STORE OUT --budget-mb 1000 --plan small

Give the folders of distill.train; CONFIG's `export` says which is exported. The folder is checked
against the trained float32 weights on real videos, then renamed into place: complete or absent.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from distill.build import Network, build_network, member_of
from distill.config import DistillConfig
from distill.exported import (
    DTYPES,
    FORMAT,
    GRAPH,
    MANIFEST,
    WEIGHTS,
    Exported,
    Manifest,
    rounded_state,
)
from distill.student import num_values
from distill.train import revision
from yt8m import cli
from yt8m.cli import InputError, log
from yt8m.config import canonical, read_snapshot
from yt8m.files import working_in, writing
from yt8m.store import Store
from yt8m.training import load_weights

FILES = {WEIGHTS, GRAPH, MANIFEST}
SAMPLE = 256  # videos of the parity check
# Largest difference of a score, and share of equal top-20 classes, that rounding may cost.
TOLERANCE = {"float32": 0.02, "float16": 0.02, "int8": 0.1}
SAME_TOP = {"float32": 0.95, "float16": 0.95, "int8": 0.9}


def main(
    students: list[Path],
    config: Path,
    store: Path,
    out: Path,
    *,
    budget_mb: float = 1000.0,
    dtype: str = "float16",
    name: str = "",
    plan: str = "custom",
    onnx: bool = True,
    threads: int = 1,
) -> None:
    """Exports the student(s) that CONFIG's `export` (or --name: student, resnet, both) names."""
    cli.set_threads(threads)
    settings, data = read_snapshot(config, DistillConfig), Store(store)
    if dtype not in DTYPES:
        raise InputError(f"--dtype {dtype}: not supported; allowed: {', '.join(DTYPES)}")
    if out.is_file() or (out.is_dir() and {p.name for p in out.iterdir()} - FILES):
        raise InputError(f"{out}: is there and is no export; give another name")
    network, manifest = trained(students, name or settings.export, settings, data, dtype, plan)
    with working_in(out.parent), writing(out) as folder:
        folder.mkdir()
        save_file(rounded_state(network, dtype), folder / WEIGHTS)
        (folder / WEIGHTS).chmod(0o644)  # safetensors writes for its owner alone
        (folder / MANIFEST).write_text(canonical(manifest))
        _check_budget(folder, budget_mb, out, twice=onnx)
        parity = check_parity(network, folder, data, onnx, dtype, threads)
        size = _check_budget(folder, budget_mb, out)
    log(f"[export] {out}: {manifest.values:,} values, {size:,.1f} of {budget_mb:,.0f} MB; {parity}")


def trained(
    folders: list[Path], chosen: str, settings: DistillConfig, data: Store, dtype: str, plan: str
) -> tuple[Network, Manifest]:
    """The chosen students with their trained float32 weights, and what describes them."""
    kinds = ("student", "resnet") if chosen == "both" else (chosen,)
    by_name = {folder.resolve().name: folder for folder in folders}
    for kind in kinds:
        if kind not in ("student", "resnet"):
            raise InputError(f"--name {kind}: not a student; allowed: student, resnet, both")
        if kind not in by_name:
            raise InputError(f"{kind}: its folder was not given; given: {', '.join(by_name)}")
    dims, members = data.dims, [member_of(kind, settings) for kind in kinds]
    network = build_network(members, settings.inputs, dims)
    for kind, model in zip(kinds, network.members, strict=True):
        load_weights(model, by_name[kind] / "weights.safetensors")
    manifest = Manifest(
        format=FORMAT,
        plan=plan,
        revision=revision(),
        rgb=dims.rgb,
        audio=dims.audio,
        classes=dims.classes,
        class_names=list(data.class_names),
        inputs=settings.inputs,
        members=members,
        dtype=dtype,
        values=num_values(network),
    )
    return network, manifest


def check_parity(
    network: Network, folder: Path, data: Store, onnx: bool, dtype: str, threads: int
) -> str:
    """Compares the folder's forms with the trained network on real videos; writes the ONNX form.

    AssertionError over tolerance: the export is then wrong, whatever its user did.
    """
    rows = np.unique(np.linspace(0, len(data.ids) - 1, SAMPLE).astype(np.int64))
    rgb, audio = (part.astype(np.float32) for part in data.video(rows))
    with torch.inference_mode():
        truth = network(torch.from_numpy(rgb), torch.from_numpy(audio))
    exported = Exported(folder)
    texts = [_compare(truth, exported.logits(rgb, audio), WEIGHTS, dtype)]
    if onnx:
        from distill.onnx_graph import run_onnx, write_onnx  # its imports take seconds

        write_onnx(exported.network, data.dims, folder / GRAPH, dtype)
        found = torch.from_numpy(run_onnx(folder / GRAPH, rgb, audio, threads))
        texts.append(_compare(truth, found, GRAPH, dtype))
    return "; ".join(texts)


def _compare(truth: torch.Tensor, found: torch.Tensor, name: str, dtype: str) -> str:
    difference = float((truth.sigmoid() - found.sigmoid()).abs().max())
    k = min(20, truth.shape[1])
    marks = [torch.zeros_like(truth).scatter_(1, x.topk(k).indices, 1) for x in (truth, found)]
    same = float((marks[0] * marks[1]).sum() / marks[0].sum())
    text = f"{name}: scores within {difference:.1e}, {same:.2%} of the top 20 equal"
    if not (difference <= TOLERANCE[dtype] and same >= SAME_TOP[dtype]):
        raise AssertionError(f"{text}; allowed: {TOLERANCE[dtype]:g} and {SAME_TOP[dtype]:.0%}")
    return text


def _check_budget(folder: Path, budget_mb: float, out: Path, twice: bool = False) -> float:
    """Size of the folder in MB (10^6 bytes); `twice`: with an ONNX form to come of equal size."""
    size = sum(path.stat().st_size for path in folder.iterdir()) * (2 if twice else 1) / 1e6
    if size > budget_mb:
        raise InputError(
            f"{out}: the export takes {size:,.1f} MB, over the budget of {budget_mb:,.1f} MB; "
            "raise BUDGET_MB (--budget-mb), leave ONNX out (--no-onnx), or lower `scale` in "
            "distill/configs and run `make distill export`"
        )
    return size


if __name__ == "__main__":
    cli.run(main)
