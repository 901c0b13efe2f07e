"""A training step as training.fit makes it, against a plain float32 loop with dense targets."""

from pathlib import Path

import torch

from bench.speed.measure import Result, ratio
from bench.speed.networks import FRAMES, RESNETS, matrix_rate, steps
from yt8m.base import processor


def figures(toy: bool, folder: Path) -> list[Result]:
    """ResNetLike of width 2048, LSTM and NeXtVLAD of the papers' sizes with 300 frames."""
    processor.set_threads(torch.get_num_threads())  # as in every job; for both contestants
    seconds = 0.1 if toy else 20
    rate = matrix_rate(torch.device("cpu"), 64 if toy else 2048)
    found = []
    for workload in (*RESNETS, *FRAMES):
        timings, gflop = steps(workload, toy, seconds)
        note = f"{workload.batch / timings['ours'][0]:,.0f} examples/s, batch {workload.batch}"
        goal = 2 if workload.frames else 3.5
        found.append(ratio(f"{workload.name} / plain", timings, "ours", "plain", goal, note))
        if not workload.frames:
            share = 100 * gflop / timings["ours"][0] / rate
            note = f"{gflop:,.0f} GFLOP a step, bf16 products {rate:,.0f} GFLOP/s"
            name = f"{workload.name}: share of the bf16 matrix rate"
            found.append(Result(name, share, "%", 70, note=note))
    return found
