"""One Example or SequenceExample to numpy: a video as every stage that reads records sees it.

../papers/record-format.txt: video-level (mean_rgb, mean_audio), frame-level (rgb, audio: uint8 a
frame) and segment-rated records, under the names that a Description accepts.
T frames, W width of a kind of features, S rated segments.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from yt8m.base.cli import InputError
from yt8m.records.description import MAX_CLASSES, Description, Dims
from yt8m.records.messages import Record
from yt8m.records.vocabulary import STATEMENT

# Frames of YouTube-8M are quantised to 255 steps from -2 to 2; those of every kind are stored so.
QUANTUM = np.float32(4 / 255)
LOWEST = np.float32(4 / 512 - 2)
NOTHING = 127  # the frame value next to 0
LARGEST = 65504  # the largest float16, in which stores keep values of whole videos
ROUNDED_TO_INFINITY = 65520  # from here on a float16 is infinite
UNFIT = f"has a value that is not finite or beyond {LARGEST}"
MOST_ID = 1024  # bytes: an array of ids is as wide as the longest


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


def dequantise(quantised: np.ndarray) -> np.ndarray:
    """uint8 frame features to float32: q * 4/255 + 4/512 - 2, in [-1.992, 2.008]."""
    return quantised.astype(np.float32) * QUANTUM + LOWEST


def quantise(values: np.ndarray) -> np.ndarray:
    """float32 -> uint8: the official dequantisation in reverse; beyond [-2, 2] is clipped."""
    return np.clip(np.rint((values - LOWEST) / QUANTUM), 0, 255).astype(np.uint8)


def video_level(video: Video) -> dict[str, np.ndarray]:
    """float32 (W,) of each kind; the mean of the dequantised frames where it has only those."""
    means = {kind: _mean(f) for kind, f in video.frames.items() if kind not in video.features}
    return video.features | means


def find_unfit(values: np.ndarray) -> np.ndarray:
    """Which videos have a value that no stage takes, since float16 cannot hold it: (N, ...) -> bool
    (N,). The same rule for training and for predicting."""
    axes = tuple(range(1, values.ndim))
    with np.errstate(invalid="ignore"):  # NaN is neither above nor below
        low, high = values.min(axes), values.max(axes)
        return ~((low > -ROUNDED_TO_INFINITY) & (high < ROUNDED_TO_INFINITY))


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
        frames = _cut_frames(_present(frames))
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


def is_id(identity: bytes) -> bool:
    """Whether every stage can take it for an id, the file of predictions too: 1 to 1,024 bytes of
    UTF-8 without a zero."""
    if not 0 < len(identity) <= MOST_ID or 0 in identity:
        return False
    try:
        return identity.isascii() or bool(identity.decode())
    except UnicodeDecodeError:
        return False


def explain_id(identity: bytes) -> str:
    """What an error says of bytes that are no id."""
    rest = "..." if len(identity) > 40 else ""
    text = f"1 to {MOST_ID:,} bytes of UTF-8 without a zero byte are allowed"
    return f"{identity[:40]!r}{rest} cannot be an id; {text}"


def _labels(record: Record, description: Description) -> np.ndarray | None:
    values = _first(record.integers, description.labels)
    if values is None:
        return None
    classes = sorted(set(values))
    _check_classes(classes, MAX_CLASSES, record.where, description.classes)
    return np.array(classes, np.uint16)


def _check_classes(classes: list[int], limit: int, where: str, known: int | None = None) -> None:
    """`classes` ascending; known: how many there are, of fewer than the limit."""
    if classes and not 0 <= classes[0] <= classes[-1] < limit:
        wrong = classes[0] if classes[0] < 0 else classes[-1]
        raise InputError(
            f"{where}: label {wrong} is out of range; 0 to {(known or limit) - 1} are allowed "
            "(`classes` in dataset.toml or the vocabulary)"
        )


def _cut_frames(frames: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
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
    _check_classes(sorted(columns[2]), MAX_CLASSES, record.where, description.classes)
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


def widths(video: Video, where: str) -> dict[str, int]:
    """W of each kind that a video has. InputError if its means and its frames disagree."""
    found = {kind: len(values) for kind, values in video.features.items()}
    for kind, frames in video.frames.items():
        width = frames.shape[1]
        if found.setdefault(kind, width) != width:
            raise InputError(
                f"{where}: means and frames differ in width ({found[kind]}, {width} of {kind})"
            )
    return found


def check(video: Video, dims: Dims, description: Description, where: str) -> None:
    """Fills in zeros for optional kinds of features that a video lacks; InputError for other
    widths, or a class that is not below `dims.classes`."""
    found, kinds = widths(video, where), description.kinds
    lacking = [kind for kind in dims.features if kind not in found and kinds[kind].optional]
    expected = {kind: width for kind, width in dims.features.items() if kind not in lacking}
    if found != expected:
        raise InputError(f"{where}: {_explain_widths(found, expected, dims)}")
    _fill(video, {kind: dims.features[kind] for kind in lacking}, dims.frameless)
    labels = video.labels
    if labels is not None and len(labels) and labels[-1] >= dims.classes:
        _check_classes(labels.tolist(), dims.classes, where)
    if video.segments is not None and len(video.segments[2]):
        _check_classes(np.sort(video.segments[2]).tolist(), dims.classes, where)


def _explain_widths(found: dict[str, int], expected: dict[str, int], dims: Dims) -> str:
    """What is wrong with the kinds of features that a video has."""
    both, odd = expected.keys() & found.keys(), expected.keys() ^ found.keys()
    if not odd or any(found[kind] != expected[kind] for kind in both):
        sizes = Dims(found, 0, 0).sizes
        return f"has {sizes} wide, not {dims.sizes}; is it of another data set?"
    names, first = " and ".join(sorted(odd)), min(odd)
    text = f"lacks {names}" if odd <= expected.keys() else f"has {names}, which the first one lacks"
    return f"{text}; `optional = true` in [features.{first}] of dataset.toml fills in zeros"


def _fill(video: Video, lacking: Mapping[str, int], frameless) -> None:
    for kind, width in lacking.items():
        video.features[kind] = np.zeros(width, np.float32)
        if video.frames and kind not in frameless:
            video.frames[kind] = np.full((video.num_frames, width), NOTHING, np.uint8)
