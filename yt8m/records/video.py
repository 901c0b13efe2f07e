"""One Example or SequenceExample to numpy: a video as every stage that reads records sees it.

../papers/record-format.txt: video-level (mean_rgb, mean_audio), frame-level (rgb, audio: uint8 a
frame) and segment-rated records, under the names that a Description accepts.
T frames, W width of a kind of features, S rated segments.
"""

from dataclasses import dataclass, field

import numpy as np

from yt8m.base.cli import InputError
from yt8m.records.description import MAX_CLASSES, Description
from yt8m.records.messages import Record
from yt8m.records.values import LOWEST, QUANTUM, explain_id, find_unfit, is_id
from yt8m.records.vocabulary import STATEMENT


@dataclass(slots=True)
class Video:
    """One record. None, or not in the dicts, where it has no such field.

    labels: uint16, sorted, each once; features: by kind, float32 (W,); frames: by kind, uint8
    (T, W); segments: start, end int32, label uint16, score float32, each (S,); statement: what the
    record states of its vocabulary, see `state_vocabulary`; group: the source, channel or upload
    that it is of.
    """

    id: bytes
    labels: np.ndarray | None = None
    features: dict[str, np.ndarray] = field(default_factory=dict)
    frames: dict[str, np.ndarray] = field(default_factory=dict)
    segments: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None = None
    statement: list[int] | None = None
    group: bytes | None = None

    @property
    def num_frames(self) -> int:
        """T; 0 without frames."""
        return len(next(iter(self.frames.values()), ()))


def video_level(video: Video) -> dict[str, np.ndarray]:
    """float32 (W,) of each kind; the mean of the dequantised frames where it has only those."""
    means = {kind: _mean(f) for kind, f in video.frames.items() if kind not in video.features}
    return video.features | means


def is_unfit(video: Video) -> bool:
    """Whether a video has such a value; frames have none."""
    return any(find_unfit(values[None])[0] for values in video.features.values())


def _mean(frames: np.ndarray) -> np.ndarray:
    total = np.zeros(frames.shape[1], np.float32)
    for start in range(0, len(frames), 257):  # 257 * 255 fits uint16, three times faster to sum
        total += np.add.reduce(frames[start : start + 257], axis=0, dtype=np.uint16)
    return total / np.float32(len(frames)) * QUANTUM + LOWEST


def parse(payload, description: Description, where: str) -> Video:
    """One payload of `read_records` to a Video. `where` begins the text of an InputError."""
    return read_video(Record(payload, where), description)


def read_video(record: Record, description: Description) -> Video:
    """A record to a Video."""
    features, frames, segments = {}, {}, None
    for name, kind in description.kinds.items():
        features[name] = _first(record.floats, kind.names)
        frames[name] = _first(record.frames, kind.frames) if record.lists else None
    if record.lists:
        segments = _segments(record, description)
    identity, labels = _id(record, description), _labels(record, description)
    if description.cut_frames:
        frames = cut_to_shortest(_present(frames))
    more = record.integers(STATEMENT), _group(record, description)
    video = Video(identity, labels, _present(features), _present(frames), segments, *more)
    arrays = [*video.features.values(), *video.frames.values()]
    if not arrays:
        names = ", ".join(sorted(record.names)) or "none"
        raise InputError(f"{record.where}: has none of the described features; it has {names}")
    if not all(array.size for array in arrays):
        raise InputError(f"{record.where}: has a feature without values; leave the video out")
    _check_frames(video, description.max_frames, record.where)
    return video


def _first(read, names: tuple[str, ...]):
    """What `read` finds under the first accepted name that a record has; None without any."""
    for name in names:
        found = read(name)
        if found is not None:
            return found
    return None


def _present(arrays: dict) -> dict[str, np.ndarray]:
    return {name: array for name, array in arrays.items() if array is not None}


def _id(record: Record, description: Description) -> bytes:
    values = _first(record.strings, description.ids) or ()
    # numpy's S arrays drop trailing zeros: dropped here too, so that both name the same video.
    identity = values[0].rstrip(b"\0") if len(values) == 1 else b""
    if not identity:
        names = " or ".join(description.ids)
        raise InputError(f"{record.where}: has no id; one string under {names} is needed")
    if not is_id(identity):
        raise InputError(f"{record.where}: {explain_id(identity)}")
    return identity


def _group(record: Record, description: Description) -> bytes | None:
    """One string or whole number; None without any, or where it is empty."""
    values = _first(record.strings_or_integers, description.group_names(record.context)) or ()
    if len(values) > 1:
        raise InputError(f"{record.where}: has {len(values)} groups; one is allowed")
    texts = (value if isinstance(value, bytes) else b"%d" % value for value in values)
    return b"".join(texts).rstrip(b"\0") or None


def _labels(record: Record, description: Description) -> np.ndarray | None:
    values = _first(record.integers, description.labels)
    if values is None:
        return None
    classes = sorted(set(values))
    check_classes(classes, MAX_CLASSES, record.where, description.classes)
    return np.array(classes, np.uint16)


def check_classes(classes: list[int], limit: int, where: str, known: int | None = None) -> None:
    """InputError unless `classes`, ascending, are below the limit. known: how many there are."""
    if classes and not 0 <= classes[0] <= classes[-1] < limit:
        wrong = classes[0] if classes[0] < 0 else classes[-1]
        raise InputError(
            f"{where}: label {wrong} is out of range; 0 to {(known or limit) - 1} are allowed "
            "(`classes` in dataset.toml or the vocabulary)"
        )


def cut_to_shortest(frames: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The first frames of each kind, as many as the kind with the fewest has."""
    shortest = min(map(len, frames.values()), default=0)
    return {kind: array[:shortest] for kind, array in frames.items()}


def _check_frames(video: Video, allowed: int, where: str) -> None:
    lengths = {len(frames) for frames in video.frames.values()}
    if len(lengths) > 1:
        kinds = " and ".join(video.frames)
        raise InputError(
            f"{where}: {kinds} differ in frames ({sorted(lengths)}); `cut_frames = true` in "
            "dataset.toml cuts them to the shortest"
        )
    if video.num_frames > allowed:
        raise InputError(
            f"{where}: has {video.num_frames} frames; 1 to {allowed} are allowed "
            "(`max_frames` in dataset.toml)"
        )


def _segments(record: Record, description: Description):
    starts = _first(record.integers, description.segment_start_times)
    if starts is None:
        return None
    ends = _first(record.integers, description.segment_end_times)
    classes = _first(record.integers, description.segment_labels)
    scores = _first(record.floats, description.segment_scores)
    columns = [[] if column is None else column for column in (starts, ends, classes, scores)]
    if any(len(column) != len(starts) for column in columns):
        raise InputError(
            f"{record.where}: segment start times, end times, labels and scores number "
            f"{', '.join(str(len(column)) for column in columns)}; they must agree"
        )
    check_classes(sorted(columns[2]), MAX_CLASSES, record.where, description.classes)
    _check_segments(*columns, record.where)
    types = (np.int32, np.int32, np.uint16, np.float32)
    return tuple(np.array(column, kind) for column, kind in zip(columns, types, strict=True))


def _check_segments(starts, ends, _, scores, where: str) -> None:
    for start, end, score in zip(starts, ends, scores, strict=True):
        if not 0 <= start < end < 1 << 31 or not np.isfinite(score):
            raise InputError(
                f"{where}: a segment goes from {start} to {end} s and has the score {score:g}; it "
                "must begin at 0 or later and end after it begins, and the score be a number"
            )
