"""Floating-point operations of a network, counted without memory for its values."""

from collections.abc import Callable

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch

VIDEOS = 2


def gflop_forward(make: Callable[[], nn.Module], dims: Dims, frames: int) -> tuple[float, str, int]:
    """(10^9 operations of a forward pass of one video, level, parameters) of the network that
    `make` builds.

    dims: as it sees the data; frames: of the video. Where a pass without values is not possible,
    twice each matrix weight and frame is taken. Recurrent layers, which torch does not count, are
    added so.
    """
    with torch.device("meta"):
        model = make().eval()
        level = getattr(model, "level", "video")
        steps = min(frames, dims.max_frames) if level == "frame" else 1
        shape = (VIDEOS, steps) if level == "frame" else (VIDEOS,)
        mask = torch.empty(shape, dtype=torch.bool) if level == "frame" else None
        features = {name: torch.empty(*shape, width) for name, width in dims.features.items()}
        batch = Batch(features, mask)
    parameters = sum(p.numel() for p in model.parameters())
    matrices = {id(p): p.numel() for p in model.parameters() if p.ndim > 1}
    recurrent = sum(
        p.numel()
        for part in model.modules()
        if isinstance(part, nn.RNNBase)
        for p in part.parameters()
        if p.ndim > 1
    )
    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(batch)
        flop = counter.get_total_flops() / VIDEOS + 2 * recurrent * steps
    except NotImplementedError:  # what depends on values, such as where a mask is true
        flop = 2 * sum(matrices.values()) * steps
    return flop / 1e9, level, parameters
