"""Decodes a part: records to arrays in one folder, shard by shard, in bounded memory.

The folder has a temporary name until it is complete, so that it is complete or absent.
"""

import contextlib
from pathlib import Path

import numpy as np

from folds.parts import MANIFEST, Part, sizes_of
from yt8m.base.cli import InputError
from yt8m.base.files import write_json, writing
from yt8m.data.feature_files import SEGMENT_TYPES
from yt8m.data.store import VERSION
from yt8m.records.framing import new_digest
from yt8m.records.reader import Reader, Video, video_level

CHUNK = 256  # videos gathered before they are written,
HELD = 1 << 20  # or bytes of their frames: views of what was read, whose memory is then used again


def write_part(part: Part, folder: Path) -> dict:
    """Decodes a part into `folder`; returns its manifest: videos, what it was made from (`digests`
    of its shards, `needs`), videos of each shard, and what its records need at least of `classes`
    and `max_frames`.

    InputError for what is wrong in a record: see Reader.
    """
    with writing(folder) as temporary:
        temporary.mkdir(parents=True)
        counts, digests = [], []
        with contextlib.closing(_PartWriter(temporary, part)) as writer:
            reader = Reader(part.description, part.dims)
            for shard in part.shards:
                digest = new_digest()
                before = writer.videos
                for number, video in enumerate(reader.videos(shard.path, digest)):
                    writer.add(video, (shard.path, number))
                counts.append(writer.videos - before)
                digests.append(digest.hexdigest())
            writer.finish()
        manifest = {
            "version": VERSION,
            "videos": writer.videos,
            "counts": counts,
            "needs": part.needs,
            "digests": digests,
            "stamps": [shard.stamp for shard in part.shards],
            "classes": writer.classes,
            "longest": max(writer.lengths),
            "files": sizes_of(temporary),
        }
        write_json(temporary / MANIFEST, manifest)
    return manifest


Where = tuple[Path, int]  # a shard and the number of a record in it


class _PartWriter:
    """Appends videos to the arrays of one part."""

    def __init__(self, folder: Path, part: Part):
        self.folder, self.part = folder, part
        self.videos = self.classes = self.held = 0
        self.pending: list[Video] = []
        self.where: list[Where] = []  # of the pending ones
        self.ids: list[bytes] = []
        self.labels: list[np.ndarray] = []
        self.labelled: list[bool] = []
        self.lengths: list[int] = []
        self.segments: list[tuple | None] = []
        widths, framed = part.dims.features, part.kind == "frame"
        self.means = {
            kind: _Column(folder / f"{kind}.npy", width, "<f2")
            for kind, width in widths.items()
            if part.means or not framed
        }
        self.frames = {
            kind: _Column(folder / f"{kind}_frames.npy", width, "u1")
            for kind, width in widths.items()
            if framed and kind not in part.dims.frameless
        }

    def add(self, video: Video, where: Where) -> None:
        """InputError for a frame-level part's video without frames."""
        lacking = [kind for kind in self.frames if kind not in video.frames]
        if lacking:
            which = f" of {' and '.join(lacking)}" if video.frames else ""
            text = f"has no frames{which}, others have; keep both kinds apart"
            raise InputError(f"{where[0]}: record {where[1]}: {text}")
        labels = video.labels if video.labels is not None else np.zeros(0, np.uint16)
        self.videos += 1
        self.ids.append(video.id)
        self.labelled.append(video.labels is not None)
        self.labels.append(labels)
        self.lengths.append(video.num_frames)
        self.segments.append(video.segments)
        self.pending.append(video)
        self.where.append(where)
        self.held += sum(frames.nbytes for frames in video.frames.values())
        if len(self.pending) == CHUNK or self.held > HELD:
            self._flush()

    def _flush(self) -> None:
        """Writes the features of the pending videos."""
        if self.means and self.pending:
            levels = [video_level(video) for video in self.pending]
            for kind, column in self.means.items():
                column.append(self._finite(np.stack([level[kind] for level in levels])))
        for kind, column in self.frames.items():
            for video in self.pending:
                column.append(video.frames[kind])
        self.pending, self.where, self.held = [], [], 0

    def _finite(self, values: np.ndarray) -> np.ndarray:
        """float16 (n, W); InputError for NaN, infinity or what float16 cannot hold."""
        with np.errstate(over="ignore"):
            halves = values.astype(np.float16)
        finite = np.isfinite(halves).all(axis=1)
        if not finite.all():
            path, number = self.where[int(np.argmin(finite))]
            text = "a feature is not finite or beyond 65504; leave it out"
            raise InputError(f"{path}: record {number}: {text}")
        return halves

    def close(self) -> None:
        for column in (*self.means.values(), *self.frames.values()):
            column.file.close()

    def finish(self) -> None:
        """Writes what is pending, the final headers and the small arrays."""
        self._flush()
        for column in (*self.means.values(), *self.frames.values()):
            column.finish()
        self._save("ids", np.array(self.ids, "S"))
        self._save("labelled", np.array(self.labelled, bool))
        counts = [len(labels) for labels in self.labels]
        self._save("indptr", np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
        classes = np.concatenate([np.zeros(0, np.uint16), *self.labels])
        self._save("indices", classes)
        self.classes = _limit(classes)
        if self.part.kind == "frame":
            self._save_frame_level()

    def _save_frame_level(self) -> None:
        self._save("lengths", np.array(self.lengths, np.int32))
        rated = [segments for segments in self.segments if segments is not None]
        counts = [0 if segments is None else len(segments[0]) for segments in self.segments]
        self._save("segments", np.array(counts, np.int32))
        for column, (name, kind) in enumerate(SEGMENT_TYPES.items()):
            values = np.concatenate([np.zeros(0, kind), *(one[column] for one in rated)])
            self._save(f"segment_{name}", values)
            if name == "label":
                self.classes = max(self.classes, _limit(values))

    def _save(self, name: str, values: np.ndarray) -> None:
        np.save(self.folder / f"{name}.npy", values, allow_pickle=False)


def _limit(classes: np.ndarray) -> int:
    """How many classes there are at least."""
    return int(classes.max()) + 1 if len(classes) else 0


class _Column:
    """A two-dimensional .npy file that grows by rows; its header is written again at the end."""

    def __init__(self, path: Path, width: int, dtype: str):
        self.width, self.dtype, self.rows = int(width), np.dtype(dtype), 0
        self.file = open(path, "wb")
        self._header()

    def append(self, rows: np.ndarray) -> None:
        """rows: (n, W)."""
        self.file.write(np.ascontiguousarray(rows, self.dtype).data)
        self.rows += len(rows)

    def finish(self) -> None:
        self.file.seek(0)
        self._header()

    def _header(self) -> None:
        # numpy leaves room in the header for a first axis of any length.
        shape = (int(self.rows), self.width)
        header = {"descr": self.dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self.file, header)
