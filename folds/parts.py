"""Parts of a store: groups of shards decoded into one folder of .npy files each.

A part is written shard by shard under a temporary name (bounded memory) and renamed when complete,
so that it is there in full or not at all. Its name is a hash of what it depends on, so that parts
of unchanged shards are found again and the others are not.
"""

import contextlib
import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from folds.column import Column
from yt8m.base.arrays import open_array
from yt8m.base.cli import InputError
from yt8m.base.files import write_json, writing
from yt8m.data.store import SEGMENT_TYPES, VERSION
from yt8m.records.description import Description, Dims
from yt8m.records.reader import Columns, Reader, Video, video_level

SMALLEST = 16 << 20  # bytes of shards in a part; AudioSet has 4,070 shards of 10 KB
MOST_PARTS = 512  # memory maps must stay few; the full set has 3,844 shards of 500 MB
CHUNK = 256  # videos gathered before they are written,
HELD = 1 << 20  # or bytes of their frames: views of what was read, whose memory is then used again
MANIFEST = "part.json"


@dataclass(frozen=True)
class Shard:
    """A file of records and what tells whether it changed."""

    path: Path
    size: int
    mtime: int  # nanoseconds

    @classmethod
    def of(cls, path: Path) -> "Shard":
        status = path.stat()
        return cls(path, status.st_size, status.st_mtime_ns)

    @property
    def key(self) -> list:
        return [self.path.name, self.size, self.mtime]


@dataclass(frozen=True)
class Part:
    """A group of shards of one kind. means: store video-level means of the frames."""

    kind: str
    shards: tuple[Shard, ...]
    description: Description
    dims: Dims  # what every record must have
    means: bool

    @property
    def name(self) -> str:
        parts = [shard.key for shard in self.shards]
        what = [VERSION, self.kind, parts, self.description.model_dump(), asdict(self.dims)]
        text = json.dumps([*what, self.means], sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    @property
    def size(self) -> int:
        """Bytes of its shards."""
        return sum(shard.size for shard in self.shards)

    def folder(self, store: Path) -> Path:
        return store / self.kind / self.name

    def is_done(self, store: Path) -> bool:
        return (self.folder(store) / MANIFEST).is_file()


def group(shards: list[Shard]) -> list[tuple[Shard, ...]]:
    """Consecutive shards in groups of at least 16 MiB, and at most 512 groups."""
    target = max(SMALLEST, sum(shard.size for shard in shards) / MOST_PARTS)
    groups, current, size = [], [], 0
    for shard in shards:
        current.append(shard)
        size += shard.size
        if size >= target:
            groups.append(tuple(current))
            current, size = [], 0
    return [*groups, tuple(current)] if current else groups


def write_part(part: Part, folder: Path) -> dict:
    """Decodes a part into `folder`; returns its manifest (videos of each shard, longest video).

    InputError for what is wrong in a record: see records.stream.
    """
    with writing(folder) as temporary:
        temporary.mkdir(parents=True)
        counts = []
        with contextlib.closing(_PartWriter(temporary, part)) as writer:
            reader = Reader(part.description, part.dims)
            for shard in part.shards:
                before = writer.videos
                for run in reader.runs(shard.path):
                    where = (shard.path, writer.videos - before)  # of the first record of the run
                    if isinstance(run, Columns):
                        writer.add_columns(run, where)
                    else:
                        writer.add(run, where)
                counts.append(writer.videos - before)
            writer.finish()
        names = [shard.path.name for shard in part.shards]
        manifest = {"videos": writer.videos, "shards": names, "counts": counts}
        write_json(temporary / MANIFEST, manifest)
    return manifest


Where = tuple[Path, int]  # a shard and the number of a record in it


def _text(where: Where) -> str:
    return f"{where[0]}: record {where[1]}"


class _PartWriter:
    """Appends videos to the arrays of one part."""

    def __init__(self, folder: Path, part: Part):
        self.folder, self.part = folder, part
        self.videos = 0
        self.pending: list[Video] = []
        self.where: list[Where] = []  # of the pending ones
        self.held = 0
        self.ids: list[bytes] = []
        self.labels: list[np.ndarray] = []
        self.counts: list[int] = []  # labels of each video
        self.labelled: list[bool] = []
        self.lengths: list[int] = []
        self.segments: list[tuple | None] = []
        widths = {"rgb": part.dims.rgb, "audio": part.dims.audio}
        widths = {name: width for name, width in widths.items() if width}
        self.columns = {}
        if part.kind == "video" or part.means:
            self.columns = {n: Column(folder / f"{n}.npy", w, "<f2") for n, w in widths.items()}
        if part.kind == "frame":
            for name, width in widths.items():
                self.columns[f"{name}_frames"] = Column(folder / f"{name}_frames.npy", width, "u1")

    def add(self, video: Video, where: Where) -> None:
        """InputError for a frame-level part's video without frames."""
        if self.part.kind == "frame" and not video.num_frames:
            raise InputError(f"{_text(where)}: has no frames, others have; keep both kinds apart")
        labels = video.labels if video.labels is not None else np.zeros(0, np.uint16)
        self.videos += 1
        self.ids.append(video.id)
        self.labelled.append(video.labels is not None)
        self.labels.append(labels)
        self.counts.append(len(labels))
        self.lengths.append(video.num_frames)
        self.segments.append(video.segments)
        self.pending.append(video)
        self.where.append(where)
        self.held += sum(f.nbytes for f in (video.rgb_frames, video.audio_frames) if f is not None)
        if len(self.pending) == CHUNK or self.held > HELD:
            self._flush()

    def add_columns(self, run: Columns, where: Where) -> None:
        """Video-level records; where: the first one's."""
        path, number = where
        if self.part.kind == "frame":
            raise InputError(f"{_text(where)}: has no frames, others have; keep both kinds apart")
        self._flush()
        self.where = [(path, number + i) for i in range(len(run.ids))]
        self.videos += len(run.ids)
        self.ids += run.ids
        self.labelled += run.labelled.tolist()
        self.labels.append(run.labels.indices)
        self.counts += run.labels.counts().tolist()
        for name, column in self.columns.items():
            column.append(self._finite(getattr(run, name)))
        self.where = []

    def _flush(self) -> None:
        videos = self.pending
        if videos and ("rgb" in self.columns or "audio" in self.columns):
            pairs = [video_level(video) for video in videos]
            for name, values in zip(("rgb", "audio"), zip(*pairs, strict=True), strict=True):
                if name in self.columns:
                    self.columns[name].append(self._finite(np.stack(values)))
        for name in ("rgb_frames", "audio_frames"):
            if name in self.columns:
                for video in videos:
                    self.columns[name].append(getattr(video, name))
        self.pending, self.where, self.held = [], [], 0

    def _finite(self, values: np.ndarray) -> np.ndarray:
        """float16 (n, W); InputError for NaN, infinity or what float16 cannot hold."""
        with np.errstate(over="ignore"):
            halves = values.astype(np.float16)
        finite = np.isfinite(halves).all(axis=1)
        if not finite.all():
            where = _text(self.where[int(np.argmin(finite))])
            raise InputError(f"{where}: a feature is not finite or beyond 65504; leave it out")
        return halves

    def close(self) -> None:
        for column in self.columns.values():
            column.file.close()

    def finish(self) -> None:
        """Writes what is pending, the final headers and the small arrays."""
        self._flush()
        for column in self.columns.values():
            column.finish()
        self._save("ids", np.array(self.ids, "S"))
        self._save("labelled", np.array(self.labelled, bool))
        counts = np.array(self.counts, np.int64)
        self._save("indptr", np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
        self._save("indices", np.concatenate([np.zeros(0, np.uint16), *self.labels]))
        if self.part.kind == "frame":
            self._save("lengths", np.array(self.lengths, np.int32))
            rated = [segments for segments in self.segments if segments is not None]
            counts = [0 if s is None else len(s[0]) for s in self.segments]
            self._save("segments", np.array(counts, np.int32))
            for column, (name, kind) in enumerate(SEGMENT_TYPES.items()):
                values = [segments[column] for segments in rated]
                self._save(f"segment_{name}", np.concatenate([np.zeros(0, kind), *values]))

    def _save(self, name: str, values: np.ndarray) -> None:
        np.save(self.folder / f"{name}.npy", values, allow_pickle=False)


def load(part: Part, store: Path, name: str) -> np.ndarray:
    """One of the small arrays of a part that is done."""
    return open_array(part.folder(store) / f"{name}.npy")
