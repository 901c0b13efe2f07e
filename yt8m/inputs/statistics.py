"""Statistics of a video's frames, side by side (main paper, section 2; benchmark paper, 4.2.1).

mean, std (over n), min, max; median (of an even number: the mean of the two in the middle); top5:
the five largest of each dimension, the largest first (of fewer frames, the smallest again and
again); mode: the most frequent byte, ties to the smallest (what are no bytes, such as means, goes
to the nearest one first); length: one column, log(n) / log(360), n the video's number of frames in
the data whatever was skipped or sampled. So a kind of width D has 5 D columns for top5, 1 for
length and D for each of the others.
B videos, T frames of the longest, D width of a kind of features.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from yt8m.inputs.frames import SCALE, SHIFT, Frames
from yt8m.inputs.settings import BLOCKS

SORTED = ("median", "top5")


def summaries(frames: Frames, names: Sequence[str], seconds: Tensor) -> dict[str, Tensor]:
    """(B, columns) of each kind. seconds: (B,), each video's number of frames."""
    features, mask = frames.pad()
    seconds = seconds.to(mask.device)
    return {kind: _summary(part, mask, names, seconds) for kind, part in features.items()}


def widths(names: Sequence[str], columns: int) -> list[int]:
    """The width of each statistic among `columns` of a kind."""
    blocks = [0 if name == "length" else BLOCKS.get(name, 1) for name in names]
    width = (columns - ("length" in names)) // max(1, sum(blocks))
    return [1 if name == "length" else b * width for name, b in zip(names, blocks, strict=True)]


def _summary(values: Tensor, mask: Tensor, names: Sequence[str], seconds: Tensor) -> Tensor:
    """values (B, T, D), zero where mask (B, T) is false -> (B, columns)."""
    count = mask.sum(1)[:, None]  # (B, 1)
    outside = ~mask[..., None]
    ordered = None
    if any(name in SORTED for name in names):
        ordered = _ascending(values.masked_fill(outside, torch.inf))
    columns = []
    for name in names:
        match name:
            case "mean":
                column = values.sum(1) / count
            case "std":
                mean = values.sum(1, keepdim=True) / count[..., None]
                column = ((values - mean).square().masked_fill(outside, 0).sum(1) / count).sqrt()
            case "min":
                column = values.masked_fill(outside, torch.inf).amin(1)
            case "max":
                column = values.masked_fill(outside, -torch.inf).amax(1)
            case "median":
                column = (_at_rank(ordered, (count - 1) // 2) + _at_rank(ordered, count // 2)) / 2
            case "top5":
                ranks = (count - 1 - k for k in range(5))
                column = torch.cat([_at_rank(ordered, rank.clamp(min=0)) for rank in ranks], 1)
            case "mode":
                column = _mode(values, mask)
            case "length":
                column = seconds[:, None].float().log() / math.log(360)
        columns.append(column)
    return torch.cat(columns, 1)


def _ascending(values: Tensor) -> Tensor:
    """(B, T, D) -> (B, D, T), sorted over time: padding, which is infinite, comes last."""
    values = values.mT.contiguous()
    if values.is_cpu:
        return torch.from_numpy(np.sort(values.numpy(), 2))  # ten times as fast as torch's
    return values.sort(2)[0]


def _at_rank(ordered: Tensor, rank: Tensor) -> Tensor:
    """The value of rank (B, 1) in each video and dimension of (B, D, T): (B, D)."""
    return ordered.gather(2, rank[..., None].expand(-1, ordered.shape[1], 1))[..., 0]


def _mode(values: Tensor, mask: Tensor) -> Tensor:
    """The most frequent byte in each video and dimension of (B, T, D): (B, D)."""
    byte = ((values - SHIFT) / SCALE).round_().clamp_(0, 255).long().mT  # (B, D, T)
    counts = torch.zeros(*byte.shape[:2], 256, dtype=torch.int32, device=byte.device)
    counts.scatter_add_(2, byte, mask.int()[:, None].expand_as(byte))
    last = torch.arange(255, -1, -1, dtype=torch.int32, device=byte.device)
    best = (counts * 256 + last).amax(2)  # the largest count, then the smallest byte
    return (255 - best % 256).float() * SCALE + SHIFT
