"""Records to videos: shards read in order, checked, few videos in memory at a time."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from yt8m.base.cli import InputError
from yt8m.records.description import MAX_CLASSES, Description, Dims
from yt8m.records.framing import read_records
from yt8m.records.layouts import Layouts
from yt8m.records.messages import Record
from yt8m.records.values import NOTHING
from yt8m.records.video import Video, check_classes, parse, read_video


class Reader:
    """Records of one description and of the sizes `dims`, which it insists on."""

    def __init__(self, description: Description, dims: Dims):
        self.description, self.dims = description, dims
        self.layouts = Layouts(description, dims.classes)

    def videos(self, shard: Path, digest=None) -> Iterator[Video]:
        """The records of a shard in order. digest: as for `read_records`.

        InputError names file and record: other sizes, a label out of range, another vocabulary than
        the first record states, or what `parse` finds.
        """
        statement = None
        for number, payload in enumerate(read_records(shard, digest)):
            video = self.read(payload, shard, number)
            statement = statement if number else video.statement
            if video.statement != statement and self.description.labels:
                text = "has labels of another vocabulary than record 0; keep them in own shards"
                raise InputError(f"{shard}: record {number}: {text}")
            yield video

    def read(self, payload: memoryview, shard: Path, number: int) -> Video:
        """One record, of that number in a shard."""
        video = self.layouts.read(payload)
        if video is None:
            return self._judge(payload, f"{shard}: record {number}")
        if len(video.features) < len(self.dims.features):
            check(video, self.dims, self.description, f"{shard}: record {number}")
        return video

    def _judge(self, payload: memoryview, where: str) -> Video:
        record = Record(payload, where)
        video = read_video(record, self.description)
        check(video, self.dims, self.description, where)
        if not record.lists:
            self.layouts.learn(payload, record.context)
        return video


def stream(
    shards: Iterable[Path], description: Description, dims: Dims | None = None
) -> Iterator[Video]:
    """The videos of many shards in order, few at a time in memory. As Reader.videos.

    dims: the sizes to insist on, by default `dims_of` the shards.
    """
    shards = list(shards)
    reader = Reader(description, dims or dims_of(shards, description))
    for shard in shards:
        yield from reader.videos(shard)


def dims_of(
    shards: Iterable[Path], description: Description, known: Mapping[str, int] | None = None
) -> Dims:
    """The sizes that all records of a data set must have: those of the first one and, for optional
    kinds of features that it lacks, of the first one that has them; max_frames 0.

    known: widths of optional kinds, which nothing then looks for.
    """
    optional = {name for name, kind in description.kinds.items() if kind.optional}
    known = {name: width for name, width in (known or {}).items() if name in optional}
    features: dict[str, int] = {}
    framed: set[str] = set()
    for where, video in _parse_all(shards, description):
        found = widths(video, where)
        for kind in found if not features else (optional & found.keys()) - features.keys():
            features[kind] = found[kind]
            framed |= {kind} & video.frames.keys()
        if optional <= features.keys() | known.keys():
            break
    features = known | features
    ordered = {kind: features[kind] for kind in description.kinds if kind in features}
    frameless = tuple(kind for kind in ordered if framed and kind not in framed)
    return Dims(ordered, description.classes or MAX_CLASSES, 0, frameless=frameless)


def _parse_all(shards: Iterable[Path], description: Description) -> Iterator[tuple[str, Video]]:
    for shard in shards:
        for number, payload in enumerate(read_records(shard)):
            where = f"{shard}: record {number}"
            yield where, parse(payload, description, where)


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
        check_classes(labels.tolist(), dims.classes, where)
    if video.segments is not None and len(video.segments[2]):
        check_classes(np.sort(video.segments[2]).tolist(), dims.classes, where)


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
