"""Decodes a part: records to arrays in one folder, shard by shard, in bounded memory.

The folder has a temporary name until it is complete, so that it is complete or absent.
"""

import contextlib
from collections import Counter
from pathlib import Path

import numpy as np

from folds.parts import MANIFEST, Part, sizes_of
from yt8m.base.checksums import Sums, write_sums
from yt8m.base.cli import InputError
from yt8m.base.files import seal, write_json, writing
from yt8m.data.feature_files import SEGMENT_TYPES
from yt8m.data.store import VERSION
from yt8m.records.framing import new_digest
from yt8m.records.reader import Reader
from yt8m.records.values import UNFIT, find_unfit
from yt8m.records.video import Video, video_level

CHUNK = 256  # videos gathered before they are written,
HELD = 1 << 20  # or bytes of their frames: views of what was read, whose memory is then used again


def write_part(part: Part, folder: Path) -> dict:
    """Decodes a part into `folder`; returns its manifest: videos, what it was made from (`digests`
    of its shards, `needs`), videos of each shard, what its records need at least of `classes` and
    `max_frames`, and ids of the videos that were left out.

    InputError for what is wrong in a record: see Reader.
    """
    with writing(folder) as temporary:
        temporary.mkdir(parents=True)
        digests = []
        with contextlib.closing(_PartWriter(temporary, part)) as writer:
            reader = Reader(part.description, part.dims)
            for shard in part.shards:
                digest = new_digest()
                for number, video in enumerate(reader.videos(shard.path, digest)):
                    writer.add(video, (shard.path, number))
                digests.append(digest.hexdigest())
            writer.finish()
        write_sums(temporary, writer.sums())
        manifest = {
            "version": VERSION,
            "videos": len(writer.rows),
            "counts": [writer.counts[shard.path] for shard in part.shards],
            "needs": part.needs,
            "digests": digests,
            "stamps": [shard.stamp for shard in part.shards],
            "classes": writer.classes,
            "longest": max((row[2] for row in writer.rows), default=0),
            "files": sizes_of(temporary),
        }
        if writer.skipped:
            manifest["skipped"] = writer.skipped
        if writer.left_out:
            manifest["outside"] = {"segments": writer.left_out, "first": writer.outside}
        write_json(temporary / MANIFEST, seal(manifest))
    return manifest


Where = tuple[Path, int]  # a shard and the number of a record in it


class _PartWriter:
    """Appends videos to the arrays of one part."""

    def __init__(self, folder: Path, part: Part):
        self.folder, self.part = folder, part
        self.classes = self.held = self.left_out = 0
        self.outside = ""  # the first record that has a segment beyond its end
        self.pending: list[tuple[Video, Where]] = []
        self.rows: list[tuple] = []  # each video's id, labels, number of frames, segments, group
        self.counts: Counter[Path] = Counter()  # videos of each shard
        self.skipped: list[str] = []  # ids
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
        """InputError for a frame-level part's video without frames, or another part's with some."""
        if video.frames and self.part.kind == "video":
            text = "is frame-level, others are video-level; put them into frame/ and video/"
            raise InputError(f"{where[0]}: record {where[1]}: {text}")
        lacking = [kind for kind in self.frames if kind not in video.frames]
        if lacking:
            which = f" of {' and '.join(lacking)}" if video.frames else ""
            text = f"has no frames{which}, others have; put them into video/ and frame/"
            raise InputError(f"{where[0]}: record {where[1]}: {text}")
        self.pending.append((video, where))
        self.held += sum(frames.nbytes for frames in video.frames.values())
        if len(self.pending) == CHUNK or self.held > HELD:
            self._flush()

    def _inside(self, video: Video, where: Where):
        """The segments that begin before the video has ended; the others are counted."""
        if video.segments is None:
            return None
        inside = video.segments[0] < video.num_frames
        if not inside.all():
            self.outside = self.outside or f"{where[0]}: record {where[1]}"
            self.left_out += int((~inside).sum())
        return tuple(column[inside] for column in video.segments)

    def _flush(self) -> None:
        """Writes the pending videos, but those to leave out. InputError for a value that no stage
        takes."""
        stacked = {}
        if self.means and self.pending:
            levels = [video_level(video) for video, _ in self.pending]
            stacked = {kind: np.stack([level[kind] for level in levels]) for kind in self.means}
        kept = np.ones(len(self.pending), bool)
        for kind, values in stacked.items():
            unfit = find_unfit(values)
            if unfit.any() and not self.part.skip_bad:
                self._refuse(int(np.argmax(unfit)), kind)
            kept &= ~unfit
        for kind, values in stacked.items():
            self.means[kind].append(values[kept].astype(np.float16))
        for (video, where), keep in zip(self.pending, kept, strict=True):
            if not keep:
                self.skipped.append(video.id.decode())
                continue
            self.counts[where[0]] += 1
            segments = self._inside(video, where)
            self.rows.append((video.id, video.labels, video.num_frames, segments, video.group))
            for kind, column in self.frames.items():
                column.append(video.frames[kind])
        self.pending, self.held = [], 0

    def _refuse(self, place: int, kind: str) -> None:
        video, (path, number) = self.pending[place]
        text = f"id {video.id.decode()}: {kind} {UNFIT}; leave it out, or say --skip-bad"
        raise InputError(f"{path}: record {number}: {text} (make: SKIP_BAD=1)")

    def close(self) -> None:
        for column in (*self.means.values(), *self.frames.values()):
            column.file.close()

    def sums(self) -> dict[str, np.ndarray]:
        """Checksums of the files that grew."""
        columns = (*self.means.values(), *self.frames.values())
        return {Path(column.file.name).name: column.sums.end() for column in columns}

    def finish(self) -> None:
        """Writes what is pending, the final headers and the small arrays."""
        self._flush()
        for column in (*self.means.values(), *self.frames.values()):
            column.finish()
        columns = zip(*self.rows, strict=True) if self.rows else [()] * 5
        ids, labels, lengths, segments, groups = columns
        lists = [np.zeros(0, np.uint16) if classes is None else classes for classes in labels]
        ends = np.cumsum([len(classes) for classes in lists])
        arrays = {
            "ids": np.array(ids, "S"),
            "labelled": np.array([classes is not None for classes in labels], bool),
            "indptr": np.concatenate([[0], ends]).astype(np.int64),
            "indices": np.concatenate([np.zeros(0, np.uint16), *lists]),
        }
        if any(groups):
            arrays["groups"] = np.array([group or b"" for group in groups], "S")
        self.classes = _limit(arrays["indices"])
        if self.part.kind == "frame":
            arrays |= self._frame_level(lengths, segments)
        for name, values in arrays.items():
            np.save(self.folder / f"{name}.npy", values, allow_pickle=False)

    def _frame_level(self, lengths: tuple, segments: tuple) -> dict[str, np.ndarray]:
        rated = [columns for columns in segments if columns is not None]
        counts = [0 if columns is None else len(columns[0]) for columns in segments]
        arrays = {"lengths": np.array(lengths, np.int32), "segments": np.array(counts, np.int32)}
        for number, (name, kind) in enumerate(SEGMENT_TYPES.items()):
            values = np.concatenate([np.zeros(0, kind), *(columns[number] for columns in rated)])
            arrays[f"segment_{name}"] = values
        self.classes = max(self.classes, _limit(arrays["segment_label"]))
        return arrays


def _limit(classes: np.ndarray) -> int:
    """How many classes there are at least."""
    return int(classes.max()) + 1 if len(classes) else 0


class _Column:
    """A two-dimensional .npy file that grows by rows; its header is written again at the end."""

    def __init__(self, path: Path, width: int, dtype: str):
        self.width, self.dtype, self.rows = int(width), np.dtype(dtype), 0
        self.file, self.sums = open(path, "wb"), Sums()
        self._header()
        self.sums.add(bytes(self.file.tell()))

    def append(self, rows: np.ndarray) -> None:
        """rows: (n, W)."""
        data = np.ascontiguousarray(rows, self.dtype).data
        self.file.write(data)
        self.sums.add(data)
        self.rows += len(rows)

    def finish(self) -> None:
        self.file.seek(0)
        self._header()

    def _header(self) -> None:
        # numpy leaves room in the header for a first axis of any length.
        shape = (int(self.rows), self.width)
        header = {"descr": self.dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self.file, header)
