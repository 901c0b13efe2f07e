"""Videos as an export takes them: values of whole videos, or frames in padded batches. No torch.

N videos, T frames of the longest, W width of a kind of features.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from yt8m.data.store import Dims, Features, Videos
from yt8m.records.values import dequantise

MOST = 8192  # frames of a batch, padding included: tens of MB
VIDEOS = 128  # videos whose frames are read at a time


@dataclass(frozen=True)
class VideoBatch:
    """One batch of videos.

    features: by kind, (N, W) or, of a kind with frames, (N, T, W) with zeros as padding; lengths
    (N,): how many frames are real, None where the export takes no frames.
    """

    features: Features
    lengths: np.ndarray | None = None


def of_store(data: Videos, rows: np.ndarray, dims: Dims) -> Iterator[VideoBatch]:
    """Batches of store rows, in order; dims: of the export."""
    whole = [name for name in dims.features if not dims.max_frames or name in dims.frameless]
    if not dims.max_frames:
        yield VideoBatch(data.video(rows, whole))
        return
    framed = [name for name in dims.features if name not in whole]
    for start in range(0, len(rows), VIDEOS):
        part = rows[start : start + VIDEOS]
        frames, lengths = data.frames(part, framed)
        cuts = np.cumsum(lengths)[:-1]
        columns = {name: np.split(values, cuts) for name, values in frames.items()}
        yield from of_videos(columns | data.video(part, whole), dims)


def of_videos(columns: dict[str, Sequence[np.ndarray]], dims: Dims) -> Iterator[VideoBatch]:
    """Batches of videos.

    columns: by kind, each video's values: float (W,) or, if the export takes frames, uint8 (T, W).
    """
    columns = {name: columns[name] for name in dims.features}
    framed = [name for name in columns if dims.max_frames and name not in dims.frameless]
    if not framed:
        yield VideoBatch({name: np.stack(values) for name, values in columns.items()})
        return
    lengths = np.array([min(len(video), dims.max_frames) for video in columns[framed[0]]])
    for part in _cut(lengths):
        features = {
            name: pad(values[part], lengths[part]) if name in framed else np.stack(values[part])
            for name, values in columns.items()
        }
        yield VideoBatch(features, lengths[part])


def for_receivers(dims: Dims) -> dict[str, str]:
    """The inputs of an export, in the words of receivers.md."""
    frames, inputs, names = dims.max_frames, [], list(dims.features)
    for name, width in dims.features.items():
        framed = frames and name not in dims.frameless
        inputs.append(f"`{name}` ({'N, T' if framed else 'N'}, {width})")
    widths = " and ".join(f"`{name}` ({width} values)" for name, width in dims.features.items())
    values = "dequantised features, float32, not normalised"
    example = "{" + ", ".join(f'"{name}": {name}' for name in names) + "}"
    if not frames:
        return {
            "given": f"for each video {widths}: the means over its frames of the {values}",
            "inputs": " and ".join(inputs),
            "example": example,
        }
    whole = (
        f"; of {', '.join(dims.frameless)}, the values of the whole video" if dims.frameless else ""
    )
    return {
        "given": f"for each video {widths}: the {values}, of each of its frames in order, {frames} "
        f"at most{whole}",
        "inputs": f"{', '.join(inputs)} and `lengths` (N,), how many of the T frames each video "
        "has",
        "example": f"{example}, lengths=lengths",
    }


def means(features: Features, lengths: np.ndarray) -> Features:
    """Values of whole videos: of frames the mean over the real ones, (N, T, W) -> (N, W)."""
    return {name: x if x.ndim == 2 else _mean(x, lengths) for name, x in features.items()}


def _mean(frames: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    real = np.arange(frames.shape[1]) < lengths[:, None]
    return np.einsum("ntd,nt->nd", frames, (real / lengths[:, None]).astype(np.float32))


def _cut(lengths: np.ndarray) -> Iterator[slice]:
    """Neighbouring videos that have at most MOST frames when they are padded; one at least."""
    start = longest = 0
    for end, length in enumerate(lengths.tolist()):
        longest = max(longest, length)
        if end > start and (end + 1 - start) * longest > MOST:
            yield slice(start, end)
            start, longest = end, length
    yield slice(start, len(lengths))


def pad(videos: Sequence[np.ndarray], lengths: np.ndarray) -> np.ndarray:
    """Bytes of frames -> float32 (N, T, W); a longer video gives frames at even steps."""
    out = np.zeros((len(videos), lengths.max(), videos[0].shape[1]), np.float32)
    for row, video, length in zip(out, videos, lengths, strict=True):
        row[:length] = dequantise(video[np.arange(length) * len(video) // length])
    return out
