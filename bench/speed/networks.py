"""Networks and generated batches that the benchmarks train, at YouTube-8M's sizes.

B batch, T frames.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from bench.speed.measure import Timings, in_turns
from first_level.models import lstm, netvlad
from yt8m.base import device as devices
from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch, Targets
from yt8m.networks.cpu import use_fast_layers
from yt8m.networks.resnet import ResNetLike
from yt8m.training import losses
from yt8m.training.adam import Adam
from yt8m.training.settings import Training
from yt8m.training.weights import start_from_frequencies

LABELS = 3  # of a video


@dataclass(frozen=True)
class Workload:
    """A network and the batch it is trained on. make: the network; at toy size a narrow one."""

    name: str
    make: Callable[[Dims, bool], nn.Module]
    batch: int
    frames: int = 0  # 0: video level

    def dims(self, toy: bool) -> Dims:
        frames = min(self.frames, 5) if toy else self.frames
        if toy:
            return Dims({"rgb": 16, "audio": 8}, 30, frames)
        return Dims({"rgb": 1024, "audio": 128}, 3862, frames)

    def model(self, toy: bool) -> nn.Module:
        """The network, untrained."""
        return self.make(self.dims(toy), toy)

    def data(self, toy: bool, device: torch.device) -> tuple[Batch, Targets]:
        """A batch of random features and labels."""
        dims, size = self.dims(toy), 4 if toy else self.batch
        generator = torch.Generator().manual_seed(0)
        shape = (size, dims.max_frames) if self.frames else (size,)
        features = {
            name: torch.randn(*shape, width, generator=generator)
            for name, width in dims.features.items()
        }
        mask = torch.ones(shape, dtype=torch.bool) if self.frames else None
        classes = torch.randint(0, dims.classes, (size * LABELS,), generator=generator)
        rows = torch.arange(size).repeat_interleave(LABELS)
        targets = Targets(rows, classes, torch.ones(len(rows)), (size, dims.classes))
        return Batch(features, mask).to(device), targets.to(device)


def resnet(blocks: int, dims: Dims, toy: bool) -> nn.Module:
    width = 8 if toy else 2048
    return ResNetLike(dims, width=width, tower_blocks=blocks, concat_blocks=blocks)


def recurrent(dims: Dims, toy: bool) -> nn.Module:
    return lstm.Model(dims, width=8, hidden=[8]) if toy else lstm.Model(dims)


def nextvlad(dims: Dims, toy: bool) -> nn.Module:
    clusters, hidden = (4, 8) if toy else (128, 2048)
    return netvlad.Model(dims, clusters=clusters, groups=8, hidden=hidden, gating=8)


RESNETS = tuple(Workload(f"resnet {n}/{n}", partial(resnet, n), 512) for n in (1, 4))
# Published sizes and batches, NeXtVLAD's on each of its two GPUs.
FRAMES = (Workload("lstm", recurrent, 128, 300), Workload("nextvlad", nextvlad, 80, 300))


def our_step(model: nn.Module, batch: Batch, targets: Targets, device: torch.device):
    """A function that makes one training step, as training.loop.fit does."""
    settings, model = Training(), use_fast_layers(model)
    groups = [{"params": list(model.parameters()), "weight_decay": settings.weight_decay}]
    optimizer = Adam(groups, settings.lr, decoupled=True)

    def step() -> None:
        with devices.autocast(device, "auto"):
            logits = model(batch)
        loss = losses.bce(logits, targets)
        optimizer.zero_grad()
        loss.backward()
        devices.clip_gradients(list(model.parameters()), settings.clip)
        optimizer.step()

    return step


def plain_step(model: nn.Module, batch: Batch, dense: Tensor):
    """The step of a tutorial: float32, dense targets, Adam."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step() -> None:
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(model(batch), dense).backward()
        optimizer.step()

    return step


def steps(workload: Workload, toy: bool, seconds: float) -> tuple[Timings, float]:
    """Times of our step and of the plain one on the CPU, and the GFLOP of a step."""
    device = torch.device("cpu")
    torch.manual_seed(0)
    batch, targets = workload.data(toy, device)
    ours, theirs = workload.model(toy), workload.model(toy)
    for model in (ours, theirs):  # else gradients are larger than in any training
        start_from_frequencies(model, np.full(targets.shape[1], len(batch)), 1000 * len(batch))
    contestants = {
        "ours": our_step(ours, batch, targets, device),
        "plain": plain_step(theirs, batch, targets.dense().clamp(max=1)),
    }
    timings = in_turns(contestants, seconds, 1 if toy else 2)
    return timings, step_gflop(ours, contestants["ours"], batch)


def step_gflop(model: nn.Module, step, batch: Batch) -> float:
    """10^9 floating-point operations of the matrices of a training step.

    torch counts products, but not those of recurrent layers. They are added: 2 for each weight and
    frame forward, twice as many backward.
    """
    with FlopCounterMode(display=False) as counter:
        step()
    recurrent = [m for m in model.modules() if isinstance(m, nn.RNNBase)]
    weights = sum(p.numel() for m in recurrent for p in m.parameters() if p.ndim == 2)
    frames = len(batch) if batch.mask is None else batch.mask.numel()
    return (counter.get_total_flops() + 6 * weights * frames) / 1e9


def matrix_rate(device: torch.device, size: int = 2048, rows: int = 512) -> float:
    """GFLOP/s of a bf16 product (rows, size) x (size, size), the best of several."""
    a, b = (torch.randn(n, size, device=device).bfloat16() for n in (rows, size))

    def product() -> None:
        F.linear(a, b)
        synchronise(device)

    seconds = in_turns({"product": product}, 0.2, 20)["product"][0]
    return 2 * rows * size * size / seconds / 1e9


def synchronise(device: torch.device) -> None:
    """Waits until the device has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
