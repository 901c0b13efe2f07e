"""One Example or SequenceExample to numpy: a video as every stage that reads records sees it.

../papers/record-format.txt: video-level (mean_rgb, mean_audio), frame-level (rgb, audio: uint8 a
frame) and segment-rated records, under the names that a Description accepts.
R rgb, A audio, T frames, S rated segments.
"""

from dataclasses import dataclass

import numpy as np

from yt8m.base.cli import InputError
from yt8m.records.description import Description, Dims, parse_message
from yt8m.records.fields import MessageRecord, Mistyped, WireRecord, first
from yt8m.records.wire import Unusual

QUANTUM = np.float32(4 / 255)
LOWEST = np.float32(4 / 512 - 2)
MAX_CLASS = 65535  # classes are stored as uint16


@dataclass(slots=True)
class Video:
    """One record. None where it has no such field.

    labels: uint16, sorted, each once; rgb, audio: float32 (R,), (A,); rgb_frames, audio_frames:
    uint8 (T, R), (T, A); segments: start, end int32, label uint16, score float32, each (S,).
    """

    id: bytes
    labels: np.ndarray | None
    rgb: np.ndarray | None
    audio: np.ndarray | None
    rgb_frames: np.ndarray | None
    audio_frames: np.ndarray | None
    segments: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None

    @property
    def num_frames(self) -> int:
        """T; 0 without frames."""
        frames = self.rgb_frames if self.rgb_frames is not None else self.audio_frames
        return 0 if frames is None else len(frames)


def dequantise(quantised: np.ndarray) -> np.ndarray:
    """uint8 frame features to float32: q * 4/255 + 4/512 - 2, in [-1.992, 2.008]."""
    return quantised.astype(np.float32) * QUANTUM + LOWEST


def video_level(video: Video) -> tuple[np.ndarray, np.ndarray]:
    """(rgb float32 (R,), audio float32 (A,)); the mean of the dequantised frames when only those
    are there; width 0 where a modality is absent."""
    return _mean(video.rgb, video.rgb_frames), _mean(video.audio, video.audio_frames)


def frame_level(video: Video) -> tuple[np.ndarray, np.ndarray]:
    """(rgb uint8 (T, R), audio uint8 (T, A)) of a video that has frames; width 0 where a modality
    is absent."""
    nothing = np.zeros((video.num_frames, 0), np.uint8)
    parts = (video.rgb_frames, video.audio_frames)
    return tuple(nothing if part is None else part for part in parts)


def _mean(values: np.ndarray | None, frames: np.ndarray | None) -> np.ndarray:
    if values is not None:
        return values
    if frames is None:
        return np.zeros(0, np.float32)
    total = np.zeros(frames.shape[1], np.float32)
    for start in range(0, len(frames), 257):  # 257 * 255 fits uint16, three times faster to sum
        total += np.add.reduce(frames[start : start + 257], axis=0, dtype=np.uint16)
    return total / np.float32(len(frames)) * QUANTUM + LOWEST


def parse(payload, description: Description, where: str) -> Video:
    """One payload of `read_records` to a Video. `where` begins the text of an InputError."""
    try:
        record = WireRecord(memoryview(payload))
        video = _video(record, description, where)
        record.check_unread()
        return video
    except (Unusual, InputError):  # what is wrong, protobuf says: a record may be wrong in two ways
        record = MessageRecord(parse_message(payload, where))
    try:
        return _video(record, description, where)
    except Mistyped as error:
        raise InputError(f"{where}: {error}") from error


def _video(record, description: Description, where: str) -> Video:
    rgb = first(record.floats, description.rgb)
    audio = first(record.floats, description.audio)
    rgb_frames = audio_frames = segments = None
    if record.lists:
        rgb_frames = first(record.frames, description.rgb_frames)
        audio_frames = first(record.frames, description.audio_frames)
        segments = _segments(record, description, where)
    identity = _id(record, description, where)
    labels = _labels(record, description, where)
    video = Video(identity, labels, rgb, audio, rgb_frames, audio_frames, segments)
    arrays = [a for a in (rgb, audio, rgb_frames, audio_frames) if a is not None]
    if not arrays:
        names = ", ".join(sorted(record.names)) or "none"
        raise InputError(f"{where}: has none of the described features; it has {names}")
    if not all(a.size for a in arrays):
        raise InputError(f"{where}: a feature is there but has no values")
    if record.lists:
        _check_frames(video, description.max_frames, where)
    return video


def _id(record, description: Description, where: str) -> bytes:
    values = first(record.strings, description.ids) or ()
    # numpy's S arrays drop trailing zeros: dropped here too, so that both name the same video.
    identity = values[0].rstrip(b"\0") if len(values) == 1 else b""
    if not identity:
        names = " or ".join(description.ids)
        raise InputError(f"{where}: has no id; one string under {names} is needed")
    return identity


def _labels(record, description: Description, where: str) -> np.ndarray | None:
    values = first(record.integers, description.labels)
    if values is None:
        return None
    classes = sorted(set(values))
    _check_classes(classes, MAX_CLASS + 1, where)
    return np.array(classes, np.uint16)


def _check_classes(classes: list[int], limit: int, where: str) -> None:
    """`classes` ascending."""
    if classes and not 0 <= classes[0] <= classes[-1] < limit:
        wrong = classes[0] if classes[0] < 0 else classes[-1]
        raise InputError(
            f"{where}: label {wrong} is out of range; 0 to {limit - 1} are allowed "
            "(`classes` in dataset.toml or the vocabulary)"
        )


def _check_frames(video: Video, allowed: int, where: str) -> None:
    lengths = {len(f) for f in (video.rgb_frames, video.audio_frames) if f is not None}
    if len(lengths) > 1:
        raise InputError(f"{where}: rgb and audio differ in frames ({sorted(lengths)})")
    if lengths and max(lengths) > allowed:
        raise InputError(
            f"{where}: has {max(lengths)} frames; 1 to {allowed} are allowed "
            "(`max_frames` in dataset.toml)"
        )


def _segments(record, description: Description, where: str):
    starts = first(record.integers, description.segment_start_times)
    if starts is None:
        return None
    ends = first(record.integers, description.segment_end_times)
    classes = first(record.integers, description.segment_labels)
    scores = first(record.floats, description.segment_scores)
    columns = [[] if column is None else column for column in (starts, ends, classes, scores)]
    if any(len(column) != len(starts) for column in columns):
        raise InputError(
            f"{where}: segment start times, end times, labels and scores number "
            f"{', '.join(str(len(column)) for column in columns)}; they must agree"
        )
    _check_classes(sorted(columns[2]), MAX_CLASS + 1, where)
    kinds = (np.int32, np.int32, np.uint16, np.float32)
    return tuple(np.array(column, kind) for column, kind in zip(columns, kinds, strict=True))


def widths(video: Video, where: str) -> tuple[int, int]:
    """(R, A) of a video. InputError if its means and its frames disagree."""
    rgb = _width(video.rgb, video.rgb_frames, where)
    return rgb, _width(video.audio, video.audio_frames, where)


def _width(mean: np.ndarray | None, frames: np.ndarray | None, where: str) -> int:
    if mean is None or frames is None:
        known = mean if frames is None else frames
        return 0 if known is None else known.shape[-1]
    if len(mean) != frames.shape[1]:
        raise InputError(
            f"{where}: means and frames differ in width ({len(mean)}, {frames.shape[1]})"
        )
    return len(mean)


def check(video: Video, dims: Dims, where: str) -> None:
    """InputError for other widths, or a class that is not below `dims.classes`."""
    found = widths(video, where)
    if found != (dims.rgb, dims.audio):
        raise InputError(
            f"{where}: has rgb {found[0]} and audio {found[1]} wide, not {dims.rgb} and "
            f"{dims.audio}; is it of another data set?"
        )
    labels = video.labels
    if labels is not None and len(labels) and labels[-1] >= dims.classes:
        _check_classes(labels.tolist(), dims.classes, where)
    if video.segments is not None and len(video.segments[2]):
        _check_classes(np.sort(video.segments[2]).tolist(), dims.classes, where)
