"""What an export is given of videos: the mean over frames, or the frames in padded batches.

As keywords of Exported.top and its kin: rgb (N, R) and audio (N, A); or rgb (N, T, R), audio
(N, T, A), zero in the padding, and lengths (N,), how many frames are real. No torch.
N videos, T frames of the longest, R rgb, A audio.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from yt8m.data.store import Store
from yt8m.records.reader import dequantise

MOST = 8192  # frames of a batch, padding included: tens of MB
VIDEOS = 128  # videos whose frames are read at a time

Given = dict[str, np.ndarray]


def of_store(data: Store, rows: np.ndarray, frames: int) -> Iterator[Given]:
    """Of store rows, in order; frames: as in the manifest."""
    if not frames:
        rgb, audio = data.video(rows)
        yield {"rgb": rgb, "audio": audio}
        return
    for start in range(0, len(rows), VIDEOS):
        rgb, audio, lengths = data.frames(rows[start : start + VIDEOS])
        cuts = np.cumsum(lengths)[:-1]
        yield from of_videos(np.split(rgb, cuts), np.split(audio, cuts), frames)


def of_videos(rgb: Sequence, audio: Sequence, frames: int) -> Iterator[Given]:
    """Of videos: their (R,) and (A,) as float; or, if frames, uint8 (T, R) and (T, A)."""
    if not frames:
        yield {"rgb": np.stack(rgb), "audio": np.stack(audio)}
        return
    lengths = np.array([min(len(video), frames) for video in rgb])
    for part in _cut(lengths):
        yield {
            "rgb": _padded(rgb[part], lengths[part]),
            "audio": _padded(audio[part], lengths[part]),
            "lengths": lengths[part],
        }


def described(rgb: int, audio: int, frames: int) -> dict[str, str]:
    """What receivers.md says of it; rgb, audio: widths."""
    widths = f"for each video `rgb` ({rgb} values) and `audio` ({audio} values): the"
    values = "dequantised features, float32, not normalised"
    if not frames:
        return {
            "given": f"{widths} means over its frames of the {values}",
            "inputs": f"`rgb` (N, {rgb}) and `audio` (N, {audio})",
            "call": "rgb, audio, 20",
        }
    return {
        "given": f"{widths} {values}, of each of its frames in order, {frames} at most",
        "inputs": f"`rgb` (N, T, {rgb}), `audio` (N, T, {audio}) and `lengths` (N,), how many of "
        "the T frames each video has",
        "call": "rgb, audio, 20, lengths",
    }


def means(frames: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The mean over each video's real frames: (N, T, D) -> (N, D)."""
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


def _padded(videos: Sequence[np.ndarray], lengths: np.ndarray) -> np.ndarray:
    """float32 (N, T, D) of bytes; of a longer video frames at even steps, as training takes."""
    out = np.zeros((len(videos), lengths.max(), videos[0].shape[1]), np.float32)
    for row, video, length in zip(out, videos, lengths, strict=True):
        row[:length] = dequantise(video[np.arange(length) * len(video) // length])
    return out
