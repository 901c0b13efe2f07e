"""Records to videos: shards read in order, checked, few videos in memory at a time."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from yt8m.records.description import MAX_CLASSES, Description, Dims
from yt8m.records.framing import read_records
from yt8m.records.layouts import Layouts
from yt8m.records.messages import Record
from yt8m.records.video import Video, check, parse, read_video, widths


class Reader:
    """Records of one description and of the sizes `dims`, which it insists on."""

    def __init__(self, description: Description, dims: Dims):
        self.description, self.dims = description, dims
        self.layouts = Layouts(description, dims.classes)

    def videos(self, shard: Path, digest=None) -> Iterator[Video]:
        """The records of a shard in order. digest: as for `read_records`.

        InputError names file and record: other sizes, a label out of range, or what `parse` finds.
        """
        for number, payload in enumerate(read_records(shard, digest)):
            yield self.read(payload, shard, number)

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
