"""One GPU: whether networks compute the same as on the CPU, and how fast.

    python -m bench.gpu OUT.json [--device cuda] [--toy]

Measures ResNetLike 4/4, LSTM and NeXtVLAD at 300 frames, extractor E, the last layers of the
student and the whole student's predictions: the largest difference of the scores from the CPU's in
float32, videos a second, and the share of the device's measured rate of bf16 products. OUT.json has
them, with commit and date. `--device cpu --toy` shows that the script runs.
"""

import copy
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import nn

from bench.speed.measure import Result, circumstances, in_turns
from bench.speed.networks import (
    FRAMES,
    RESNETS,
    Workload,
    matrix_rate,
    our_step,
    step_gflop,
    synchronise,
)
from yt8m.base import cli
from yt8m.base import device as devices
from yt8m.base.cli import InputError, log
from yt8m.base.files import write_json
from yt8m.base.tables import table
from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch
from yt8m.networks.extractors import Extractor, WithHead
from yt8m.networks.student import Student

TOLERANCE = 5e-3  # of a score: products may be rounded to 10 bits (TF32) on a GPU


def extractor(dims: Dims, toy: bool) -> nn.Module:
    return WithHead(Extractor("e", dims, 0.01 if toy else 1.0), dims.classes, 0.3)


def student(dims: Dims, toy: bool) -> nn.Module:
    return Student(dims, 0.01 if toy else 1.0, 0.3)


WORKLOADS = (
    RESNETS[1],
    *(replace(workload, batch=256) for workload in FRAMES),
    Workload("extractor e", extractor, 1024),
    Workload("student", student, 1024),
)


def main(out: Path, *, device: str = "cuda", toy: bool = False) -> None:
    """Writes OUT.json and prints the table.

    InputError when the device is absent, or when a network's scores differ from the CPU's.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: no GPU is available; --device cpu --toy tries the script")
    where = torch.device(device)
    rate = matrix_rate(where, 64 if toy else 8192, 64 if toy else 8192)
    figures = [Result("bf16 products", rate / 1e3, "TFLOP/s")]
    for workload in WORKLOADS:
        figures += of_workload(workload, where, toy, rate)
    name = torch.cuda.get_device_name(where) if device == "cuda" else "CPU"
    found = [asdict(figure) for figure in figures]
    write_json(out, {"device": name, "toy": toy, **circumstances(), "figures": found})
    rows = [[f.name, f"{f.value:.4g} {f.unit}", f.note] for f in figures]
    log("\n".join(table(["figure", name, "note"], rows)))


def of_workload(workload: Workload, device: torch.device, toy: bool, rate: float) -> list[Result]:
    """Difference from the CPU, training and prediction of one network."""
    torch.manual_seed(0)
    batch, targets = workload.data(toy, device)
    model = workload.model(toy)
    difference = from_cpu(model, batch, device)
    if not difference <= TOLERANCE:
        raise InputError(
            f"{workload.name}: scores differ by {difference:.1e} from the CPU's, more than "
            f"rounding ({TOLERANCE:g}); do not train on this device"
        )
    model.to(device).train()
    step = our_step(model, batch, targets, device)
    seconds = seconds_of(step, device, toy)
    gflop, size = step_gflop(model, step, batch), len(batch)
    predicting = seconds_of(lambda: predict(model, batch, device), device, toy)
    return [
        Result(f"{workload.name}: difference of scores from the CPU", difference),
        Result(f"{workload.name}: training", size / seconds, "videos/s", note=f"batch {size}"),
        Result(f"{workload.name}: share of the bf16 rate", 100 * gflop / seconds / rate, "%"),
        Result(f"{workload.name}: prediction", size / predicting, "videos/s", note="bf16"),
    ]


@torch.inference_mode()
def from_cpu(model: nn.Module, batch: Batch, device: torch.device) -> float:
    """Largest difference of a score of eight videos, both in float32."""
    mask = None if batch.mask is None else batch.mask[:8]
    few = Batch({name: x[:8] for name, x in batch.features.items()}, mask)
    model.eval()
    on_device = copy.deepcopy(model).to(device)(few).sigmoid().cpu()
    return float((on_device - model(few.to(torch.device("cpu"))).sigmoid()).abs().max())


@torch.inference_mode()
def predict(model: nn.Module, batch: Batch, device: torch.device) -> None:
    model.eval()
    with devices.autocast(device, "auto"):
        model(batch)


def seconds_of(run, device: torch.device, toy: bool) -> float:
    """Seconds of one call: the best of a few runs of ten calls."""

    def ten() -> None:
        for _ in range(1 if toy else 10):
            run()
        synchronise(device)

    best = in_turns({"ten": ten}, 0 if toy else 3, 1 if toy else 3)["ten"][0]
    return best / (1 if toy else 10)


if __name__ == "__main__":
    cli.run(main)
