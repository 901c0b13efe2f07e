"""Measures the rates that jobs.cost.plan uses, on one core of this machine, in about a minute.

    python -m bench.calibrate [--toy]

Writes bench/calibration.json, by CPU seconds: other work on the machine disturbs them little.
"""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from bench.speed import generated
from bench.speed.measure import circumstances, in_turns
from bench.speed.networks import RESNETS, Workload, steps
from bench.speed.parts import decode, rows
from folds.part_writer import write_part
from folds.parts import Part, Shard
from jobs.cost.stages import CALIBRATION, OTHER_COLUMNS
from stacking.config import Stacking
from yt8m.base import cli, processor
from yt8m.base.files import remove, write_json
from yt8m.records.description import Dims
from yt8m.records.framing import write_records

MODELS, KEPT = 20, 60


def main(out: Path = CALIBRATION, *, toy: bool = False) -> None:
    """Writes OUT (JSON)."""
    processor.set_threads(1)
    with tempfile.TemporaryDirectory(prefix="calibrate-") as folder:
        found = {
            **decoding(Path(folder), toy),
            **of_rows(Path(folder) / "rows", toy),
            **boosting(toy),
            **training(toy),
        }
    about = circumstances()
    write_json(out, {**{k: round(v, 1) for k, v in found.items()}, **about, "toy": toy})


def decoding(folder: Path, toy: bool) -> dict[str, float]:
    """Videos a second from records to the store's arrays."""
    rng, found = np.random.default_rng(0), {}
    for kind, make, count in (
        ("video", decode.video_record, 5000),
        ("frame", decode.frame_record, 150),
    ):
        count = 20 if toy else count
        path = folder / f"{kind}.tfrecord"
        write_records(path, (make(rng, i) for i in range(count)))
        dims = Dims(decode.WIDTHS, decode.CLASSES, 0)
        part = Part(kind, (Shard.of(path),), decode.NAMES, dims, kind == "frame")

        def write(part=part, target=folder / kind) -> None:
            remove(target)
            write_part(part, target)

        found[f"decode_{kind}_videos_per_s"] = count / cpu_seconds(write)
    return found


def cpu_seconds(run) -> float:
    """The least of two runs."""
    return in_turns({"ours": run}, 0, 2)["ours"][1]


def of_rows(folder: Path, toy: bool) -> dict[str, float]:
    """Values (columns times candidates) of rows a second."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    videos, models = (300, 2) if toy else (6000, MODELS)
    store, splits, truth = generated.world(videos, 400, rng)
    paths, names = generated.write_models(folder, models, store, truth, KEPT, rng)
    seconds = cpu_seconds(lambda: rows.build(folder / "out", paths, names, store, splits))
    here = int((splits.fold == 0).sum() + (splits.fold == -1).sum())
    values = here * Stacking().candidates * (models + OTHER_COLUMNS)
    return {"row_values_per_s": values / seconds}


def boosting(toy: bool) -> dict[str, float]:
    """Cells (rows times used columns) a second and round that LightGBM goes through."""
    import lightgbm

    rng = np.random.default_rng(0)
    count, columns, rounds = (500, 5, 3) if toy else (300_000, 40, 30)
    features = rng.standard_normal((count, columns), np.float32)
    labels = (features[:, 0] + rng.standard_normal(count) > 2).astype(np.float32)
    options = {"objective": "binary", "num_leaves": 63, "num_threads": 1, "verbosity": -1}
    data = lightgbm.Dataset(features, labels, params={**options, "max_bin": 255}).construct()
    seconds = cpu_seconds(lambda: lightgbm.train(options, data, rounds))
    return {"boosting_cells_per_s": count * columns * rounds / seconds}


def training(toy: bool) -> dict[str, float]:
    """GFLOP/s of the matrices in a training step of a ResNetLike and, from a step with two videos,
    parameters a second in what each step does to all of them."""
    torch.manual_seed(0)
    whole, few = (one_step(replace(RESNETS[0], batch=size), toy) for size in (512, 2))
    values = sum(p.numel() for p in RESNETS[0].model(toy).parameters())
    rate = (whole[1] - few[1]) / max(whole[0] - few[0], 1e-6)
    return {"training_gflop_per_s": rate, "updates_per_s": values / few[0]}


def one_step(workload: Workload, toy: bool) -> tuple[float, float]:
    """(CPU seconds, GFLOP) of a training step."""
    timings, gflop = steps(workload, toy, 0)
    return timings["ours"][1], gflop


if __name__ == "__main__":
    cli.run(main)
