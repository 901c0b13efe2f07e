"""Which frames of a video a model sees: at most m = `max_frames` of n (main paper, section 2).

               in training                                            at prediction
stride         m at regular intervals, from the first one on          the same
first          the first m                                            the same
subsequence    m neighbouring ones from a random place on             the middle m
random_stride  m at regular intervals, from a random first one on     from half an interval on
random         m at random, each once, in order of time               stride
bootstrap      m at random with replacement, in order of time         stride
segments       means of the m segments between random cuts            of m equal segments
scenes         the middle frame of each scene: a cut is where the     the same
               cosine distance of neighbours passes `scene_threshold`
centroids      the nearest centroids, each once, by first appearance  the same (clusters.py)
subset_mean    one frame: the mean of m at random with weights that   the mean of all
               are uniform on the simplex

A video with n <= m keeps all its frames; bootstrap and subset_mean take n of them then. More than m
scenes or centroids are strided down to m. Random numbers come from torch's global CPU generator.
B videos, S stacked frames; S' frames are kept, an index (S',) says which.
"""

import torch
from torch import Tensor

from yt8m.inputs.frames import Frames, place_of, starts, sums, video_of
from yt8m.inputs.settings import Inputs

RANDOM = ("subsequence", "random_stride", "random", "bootstrap", "segments", "subset_mean")


def sample_frames(frames: Frames, inputs: Inputs, device: torch.device, training: bool) -> Frames:
    """What `inputs.sampling` (all but "centroids") keeps, dequantised, on `device`."""
    most = inputs.max_frames
    if inputs.sampling == "segments":
        return _segment_means(frames.on(device), most, training)
    if inputs.sampling == "subset_mean":
        return _subset_mean(frames, most, device, training)
    if inputs.sampling == "scenes":
        frames = frames.on(device)
        return stride_frames(frames.take(*scenes(frames, inputs.scene_threshold)), most)
    if inputs.sampling != "bootstrap" and int(frames.lengths.max()) <= most:
        return frames.on(device)
    index, kept = CHOICES[inputs.sampling](frames.lengths, most, training)
    return frames.take(index, kept).on(device)


def stride_frames(frames: Frames, most: int) -> Frames:
    """`frames`, strided down where there are more than `most` of a video."""
    if int(frames.lengths.max()) <= most:
        return frames
    return frames.take(*stride(frames.lengths, most))


def stride(lengths: Tensor, most: int, training: bool = False) -> tuple[Tensor, Tensor]:
    """(index of the frames kept, how many of each video); so do all the choices below."""
    return _spread(lengths, most, torch.zeros_like(lengths))


def first(lengths: Tensor, most: int, training: bool) -> tuple[Tensor, Tensor]:
    kept = lengths.clamp(max=most)
    return _shift(lengths, kept, place_of(kept)), kept


def subsequence(lengths: Tensor, most: int, training: bool) -> tuple[Tensor, Tensor]:
    kept = lengths.clamp(max=most)
    spare = lengths - kept
    begin = _below(spare + 1) if training else spare // 2
    return _shift(lengths, kept, place_of(kept) + begin.repeat_interleave(kept)), kept


def random_stride(lengths: Tensor, most: int, training: bool) -> tuple[Tensor, Tensor]:
    return _spread(lengths, most, _below(lengths) if training else lengths // 2)


def random(lengths: Tensor, most: int, training: bool) -> tuple[Tensor, Tensor]:
    return _without_replacement(lengths, most) if training else stride(lengths, most)


def bootstrap(lengths: Tensor, most: int, training: bool) -> tuple[Tensor, Tensor]:
    if not training:
        return stride(lengths, most)
    kept = lengths.clamp(max=most)
    return _shift(lengths, kept, _below(lengths.repeat_interleave(kept))).sort()[0], kept


CHOICES = {f.__name__: f for f in (stride, first, subsequence, random_stride, random, bootstrap)}


def scenes(frames: Frames, threshold: float) -> tuple[Tensor, Tensor]:
    """The middle frame of each scene: (index, scenes of each video).

    A scene begins where 1 - cos(frame, the one before) > threshold, all features side by side.
    """
    unit = torch.nn.functional.normalize(frames.joined, dim=1)
    begins = torch.ones(len(unit), dtype=torch.bool)
    begins[1:] = ((unit[1:] * unit[:-1]).sum(1) < 1 - threshold).cpu()
    begins[starts(frames.lengths)] = True
    begin = begins.nonzero()[:, 0]
    length = torch.cat([begin, torch.tensor([len(begins)])]).diff()
    counts = torch.zeros_like(frames.lengths)
    counts.index_add_(0, video_of(frames.lengths), begins.long())
    return begin + (length - 1) // 2, counts


def _segment_means(frames: Frames, most: int, training: bool) -> Frames:
    lengths = frames.lengths
    if training:
        begin, kept = _without_replacement(lengths, most, with_first=True)
    else:
        begin, kept = stride(lengths, most)
    return _means(frames, torch.cat([begin, lengths.sum()[None]]).diff(), kept)


def _subset_mean(frames: Frames, most: int, device: torch.device, training: bool) -> Frames:
    one = torch.ones_like(frames.lengths)
    if not training:
        return _means(frames.on(device), frames.lengths, one)
    frames = frames.take(*_without_replacement(frames.lengths, most)).on(device)
    # Exponential numbers over their sum are uniform on the simplex.
    weights = -torch.log1p(-torch.rand(len(frames), 1, dtype=torch.float64)) + 1e-12
    total = sums(weights, frames.lengths).repeat_interleave(frames.lengths, 0)
    shares = (weights / total).float().to(device)
    return frames.map(lambda part: sums(part * shares, frames.lengths), one)


def _means(frames: Frames, counts: Tensor, lengths: Tensor) -> Frames:
    """Means of `counts` neighbouring frames each; of every video there are then `lengths`."""
    scale = counts.to(frames.device)[:, None]
    return frames.map(lambda part: sums(part, counts) / scale, lengths)


def _spread(lengths: Tensor, most: int, phase: Tensor) -> tuple[Tensor, Tensor]:
    """Frames (j n + phase) // m for j < m of each video; 0 <= phase (B,) < n."""
    kept = lengths.clamp(max=most)
    n, m, late = (each.repeat_interleave(kept) for each in (lengths, kept, phase))
    return _shift(lengths, kept, (place_of(kept) * n + late) // m), kept


def _without_replacement(
    lengths: Tensor, most: int, with_first: bool = False
) -> tuple[Tensor, Tensor]:
    """`most` different frames of each video, in order. with_first: its first frame among them."""
    key = torch.rand(int(lengths.sum()), dtype=torch.float64)
    if with_first:
        key[starts(lengths)] = 0
    order = (key + video_of(lengths)).argsort(stable=True)  # by video, at random within one
    kept = lengths.clamp(max=most)
    return order[place_of(lengths) < kept.repeat_interleave(lengths)].sort()[0], kept


def _shift(lengths: Tensor, kept: Tensor, place: Tensor) -> Tensor:
    """Places (S',) in the videos -> index into the stack."""
    return place + starts(lengths).repeat_interleave(kept)


def _below(counts: Tensor) -> Tensor:
    """A random integer from 0 to count - 1 for each count."""
    return (torch.rand(counts.shape, dtype=torch.float64) * counts).long()
