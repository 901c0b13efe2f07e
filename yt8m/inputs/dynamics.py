"""What changes in a video, without what stays the same (main paper, section 2).

centred    frames minus the video's mean
high_pass  the db3 wavelet's high-pass filter along time
pcp        the sparse part S of frames = L + S, L of low rank: Principal Component Pursuit

The paper found none of the three above a GAP of 0.5; they are here to be measured.
B videos, S stacked frames, T frames of the longest (padded), D width of a kind of features.
"""

from typing import Literal

import torch
from torch import Tensor

from yt8m.inputs.frames import Frames, place_of, starts, sums

# Daubechies' wavelet of three vanishing moments (Ten Lectures on Wavelets, 1992, table 6.1): the
# high-pass filter of its decomposition. What is constant, linear or quadratic in time gives zero.
DB3 = (
    -0.3326705529509569,
    0.8068915093133388,
    -0.4598775021193313,
    -0.13501102001039084,
    0.08544127388224149,
    0.035226291882100656,
)
STEPS = 100  # of PCP, at most; about 20 are taken
TOLERANCE = 1e-4  # of |frames - L - S| / |frames|; a byte's half step is 1e-2 of a feature's size


def apply_dynamics(frames: Frames, how: Literal["centred", "high_pass", "pcp"]) -> Frames:
    """What `inputs.dynamics` leaves of dequantised frames."""
    return {"centred": subtract_means, "high_pass": high_pass, "pcp": pcp}[how](frames)


def subtract_means(frames: Frames) -> Frames:
    """Each video's frames minus their mean."""
    lengths = frames.lengths

    def without_mean(part: Tensor) -> Tensor:
        means = sums(part, lengths) / lengths[:, None].to(part.device)
        return part - means.repeat_interleave(lengths.to(part.device), 0)

    return frames.map(without_mean)


def high_pass(frames: Frames) -> Frames:
    """y_t = sum_k DB3[k] x_(t + 2 - k), undecimated; beyond its ends a video is mirrored."""
    place = place_of(frames.lengths)
    lengths = frames.lengths
    first, n = (each.repeat_interleave(lengths) for each in (starts(lengths), lengths))
    sources = []
    for k in range(len(DB3)):
        at = (place + 2 - k) % (2 * n)  # a video and its mirror image, again and again
        sources.append((first + torch.minimum(at, 2 * n - 1 - at)).to(frames.device))

    def convolve(part: Tensor) -> Tensor:
        out = torch.zeros_like(part)
        for weight, source in zip(DB3, sources, strict=True):
            out.add_(part.index_select(0, source), alpha=weight)
        return out

    return frames.map(convolve)


def pcp(frames: Frames) -> Frames:
    """The sparse part of each video's frames, of each kind by itself."""
    features, mask = frames.pad()
    lengths = mask.sum(1)
    sparse = {
        name: sparse_part(part.double(), lengths)[mask].float() for name, part in features.items()
    }
    return Frames(sparse, frames.lengths)


def sparse_part(frames: Tensor, lengths: Tensor) -> Tensor:
    """The S of Principal Component Pursuit of each video: (B, T, D) float64, zero-padded.

    min |L|_* + w |S|_1 with L + S = frames, w = 1 / sqrt(max(T of the video, D)) (Candes et al.,
    2011), by the inexact augmented Lagrangian method (Lin et al., 2010): mu starts at
    1.25 / |frames|_2 and grows by half. A row of padding is zero in L and S at every step.
    """
    if not frames.numel():
        return frames
    w = lengths.clamp(min=frames.shape[2]).double().rsqrt()[:, None, None]
    largest = torch.linalg.eigvalsh(_gram(frames))[:, -1]  # square of the spectral norm
    spectral = largest.clamp(min=0).sqrt()[:, None, None].clamp(min=1e-12)
    y = frames / torch.maximum(spectral, frames.abs().amax((1, 2), keepdim=True) / w)
    mu, size = 1.25 / spectral, torch.linalg.matrix_norm(frames)
    sparse = torch.zeros_like(frames)
    going = torch.ones_like(mu, dtype=torch.bool)  # a video that is done no longer changes
    for _ in range(STEPS):
        low = _low_rank(frames - sparse + y / mu, 1 / mu)
        rest = frames - low + y / mu
        found = rest.sign() * (rest.abs() - w / mu).clamp(min=0)
        sparse = torch.where(going, found, sparse)
        error = frames - low - sparse
        going = going & (torch.linalg.matrix_norm(error) > TOLERANCE * size)[:, None, None]
        if not bool(going.any()):
            break
        y, mu = torch.where(going, y + mu * error, y), torch.where(going, 1.5 * mu, mu)
    return sparse


def _gram(x: Tensor) -> Tensor:
    """x x' or x' x, whichever is smaller: (B, n, n)."""
    return x @ x.mT if x.shape[1] <= x.shape[2] else x.mT @ x


def _low_rank(x: Tensor, threshold: Tensor) -> Tensor:
    """x with its singular values shrunk by `threshold` (B, 1, 1), from the smaller Gram matrix."""
    squares, vectors = torch.linalg.eigh(_gram(x))
    values = squares.clamp(min=1e-300).sqrt()
    kept = (1 - threshold[:, 0] / values).clamp(min=0)  # (B, n)
    projection = (vectors * kept[:, None]) @ vectors.mT
    return projection @ x if x.shape[1] <= x.shape[2] else x @ projection
