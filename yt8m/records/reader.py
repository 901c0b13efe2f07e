"""Records to videos: shards read in order, checked, few videos in memory at a time."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from yt8m.base.cli import InputError
from yt8m.records.description import Description, Dims, describe, find_shards
from yt8m.records.framing import read_records, write_records
from yt8m.records.layouts import Columns, Layouts, Run
from yt8m.records.video import (
    MAX_CLASS,
    Video,
    check,
    dequantise,
    frame_level,
    parse,
    video_level,
    widths,
)

__all__ = [
    "Columns",
    "Description",
    "Dims",
    "Reader",
    "Video",
    "dequantise",
    "describe",
    "find_shards",
    "frame_level",
    "parse",
    "read_records",
    "stream",
    "video_level",
    "widths",
    "write_records",
]


class Reader:
    """Records of one description and one size.

    dims: the sizes to insist on; None = those of the first record and `description.classes`.
    """

    def __init__(self, description: Description, dims: Dims | None = None):
        self.description, self.dims = description, dims
        self.layouts = Layouts(description)
        self.run: Run | None = None

    def runs(self, path: Path) -> Iterator[Columns | Video]:
        """The records of a shard in order, those alike and video-level together.

        InputError names file and record: other sizes, a label out of range, or what `parse` finds.
        """
        number, find = 0, self.layouts.find
        try:
            for number, payload in enumerate(read_records(path)):
                found = find(payload)
                if found is None:
                    yield from self._together(path, number)
                    yield self._one(payload, f"{path}: record {number}")
                    continue
                if self.run.add(*found):
                    yield from self._together(path, number + 1)
        except InputError:  # of the file, behind the records that were read
            yield from self._together(path, number + 1)
            raise
        yield from self._together(path, number + 1)

    def _together(self, path: Path, end: int) -> Iterator[Columns | Video]:
        """The run that ends before record `end`; read again, one by one, if a value is wrong."""
        if not self.run:
            return
        found, begin = self.run.columns(), end - len(self.run)
        self.run.clear()
        if found is not None:
            yield found
            return
        for number, payload in enumerate(islice(read_records(path), begin, end), begin):
            yield self._one(payload, f"{path}: record {number}")

    def _one(self, payload: memoryview, where: str) -> Video:
        video = parse(payload, self.description, where)
        if self.dims is None:
            classes = self.description.classes or MAX_CLASS + 1
            sizes = zip(("rgb", "audio"), widths(video, where), strict=True)
            self.dims = Dims({name: width for name, width in sizes if width}, classes, 0)
        if self.run is None:
            self.run = Run(self.dims)
        check(video, self.dims, where)
        self.layouts.learn(payload)
        return video


def stream(
    paths: Iterable[Path], description: Description, dims: Dims | None = None
) -> Iterator[Video]:
    """The videos of many shards in order, few at a time in memory. As Reader.runs."""
    reader = Reader(description, dims)
    for path in paths:
        for run in reader.runs(path):
            if isinstance(run, Video):
                yield run
            else:
                yield from _videos(run)


def _videos(run: Columns) -> Iterator[Video]:
    bounds = run.labels.indptr.tolist()
    for i, identity in enumerate(run.ids):
        labels = run.labels.indices[bounds[i] : bounds[i + 1]] if run.labelled[i] else None
        rgb = run.rgb[i].copy() if run.rgb.shape[1] else None
        audio = run.audio[i].copy() if run.audio.shape[1] else None
        yield Video(identity, labels, rgb, audio, None, None, None)
