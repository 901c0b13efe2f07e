"""The decoded records: mapped arrays (base/arrays.py), read by rows. Written by folds/decode.py.

    store/manifest.json          sizes, class names, parts; written last: without it, no store
    store/rows-<key>/*.npy       ids, labels and, for each row, where its features are
    store/<kind>/<part>/*.npy    features of a group of shards; kind "video" or "frame"
    store/derived/               what is computed from them once: see yt8m/inputs/derived.py

A row is a video: in the order of the shards, of video/ where there are both kinds (then the rows
are the videos that both have). N videos, R rgb, A audio, T frames, S segments, n rows asked for.
"""

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from yt8m.base.arrays import let_go, open_array
from yt8m.base.cli import InputError
from yt8m.base.files import read_json
from yt8m.records.description import Description, Dims
from yt8m.records.labels import Labels

__all__ = ["Dims", "Segments", "Store"]

VERSION = 1
MANIFEST = "manifest.json"
DERIVED = "derived"  # folder of what is computed from a store: see yt8m/inputs/derived.py
SEGMENT_TYPES = {"start": np.int32, "end": np.int32, "label": np.uint16, "score": np.float32}


@dataclass(frozen=True)
class Segments:
    """Rated segments of several videos, in the order asked for; each array (S,).

    rows: the store's row, int64; start, end: seconds, int32; label: the class that was rated,
    uint16; score: what the raters said, float32, above 0 = the segment shows it.
    """

    rows: np.ndarray
    start: np.ndarray
    end: np.ndarray
    label: np.ndarray
    score: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: np.ndarray) -> "Segments":
        """Some of them."""
        return Segments(*(getattr(self, field.name)[index] for field in fields(self)))


class Store:
    """A complete store, opened for reading; everything stays on disk until rows are asked for.

    dims: Dims; ids: (N,) bytes; labels: Labels (N rows); labelled: bool (N,), false where the
    record has no labels field; num_frames: int32 (N,), 0 = none; has_frames; kinds: by "video" and
    "frame", where the features are; class_names: list[str] (C,); verticals: list[str] (C,), [] when
    unknown, and vertical_of: their numbers, int64 (C,), -1 where a class has none; description:
    Description of the records.
    """

    def __init__(self, folder: Path):
        """InputError when the store is missing, incomplete or of another version."""
        self.folder = Path(folder)
        if not (self.folder / MANIFEST).is_file():
            raise InputError(
                f"{self.folder}: no complete store here; run `make folds`, or "
                "`python -m folds.decode DATA STORE`"
            )
        manifest = read_json(self.folder / MANIFEST)
        if manifest.get("version") != VERSION:
            raise InputError(f"{self.folder}: of another version; delete it and run `make`")
        self.description = Description.model_validate(manifest["description"])
        self.class_names: list[str] = manifest["class_names"]
        self.verticals: list[str] = manifest["verticals"]
        known = sorted(set(self.verticals) - {""})
        self.vertical_of = np.array(
            [known.index(name) if name else -1 for name in self.verticals], np.int64
        )
        self.dims = Dims(**manifest["dims"] | {"verticals": len(known)})
        rows = self.folder / manifest["rows"]
        self.ids = self._load(rows / "ids.npy")
        self.labelled = self._load(rows / "labelled.npy")
        self.num_frames = self._load(rows / "num_frames.npy")
        self.labels = Labels(self._load(rows / "indptr.npy"), self._load(rows / "indices.npy"))
        self.kinds = {
            kind: _Kind(
                [self.folder / kind / part["name"] for part in parts],
                [part["videos"] for part in parts],
                self._load(rows / f"{kind}_rows.npy"),
            )
            for kind, parts in manifest["parts"].items()
        }

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def has_frames(self) -> bool:
        """Whether the records have frame-level features."""
        return "frame" in self.kinds

    def video(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Video-level features of `rows`, in that order: rgb float16 (n, R), audio float16 (n, A).

        Records with frames only: the means of their dequantised frames.
        """
        kind = self.kinds["video" if "video" in self.kinds else "frame"]
        rgb = kind.gather("rgb", rows, self.dims.rgb)
        return rgb, kind.gather("audio", rows, self.dims.audio)

    def frames(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Frames of `rows`, one video after the other in that order: rgb uint8 (sum of T, R),
        audio uint8 (sum of T, A), lengths int32 (n,). InputError without frames.
        """
        kind = self._frame_kind()
        lengths = self.num_frames[rows]
        rgb = kind.gather_runs("rgb_frames", rows, lengths, self.dims.rgb)
        return rgb, kind.gather_runs("audio_frames", rows, lengths, self.dims.audio), lengths

    def spans(self, rows, start: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`count` frames from frame `start` on of each of `rows`, one span after the other: rgb
        uint8 (sum of counts, R), audio. The spans must lie in their videos."""
        kind = self._frame_kind()
        rgb = kind.gather_runs("rgb_frames", rows, count, self.dims.rgb, start)
        return rgb, kind.gather_runs("audio_frames", rows, count, self.dims.audio, start)

    def segments(self, rows: np.ndarray) -> Segments:
        """The rated segments of `rows`; none where the records have none."""
        if not self.has_frames:
            nothing = (np.zeros(0, kind) for kind in SEGMENT_TYPES.values())
            return Segments(np.zeros(0, np.int64), *nothing)
        rows = np.asarray(rows, np.int64)
        owner, columns = self._frame_kind().segments(rows)
        return Segments(rows[owner], *columns)

    def _frame_kind(self) -> "_Kind":
        if not self.has_frames:
            raise InputError(
                f"{self.folder}: has no frames; frame-level models need frame-level records "
                "(DATA with a frame/ folder); take a plan of video-level models"
            )
        return self.kinds["frame"]

    def _load(self, path: Path) -> np.ndarray:
        return _opened(path, self.folder)


def _opened(path: Path, store: Path) -> np.ndarray:
    try:
        return open_array(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: is missing; delete the store and run `make`") from error
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"{store}: incomplete ({path.name}: {error}); delete it and run `make`"
        ) from error


class _Kind:
    """The parts of one kind of records. `rows` of the store are first located in the parts."""

    def __init__(self, parts: list[Path], videos: list[int], located: np.ndarray):
        """parts: folders, and the videos of each; located: int64 (N,), a row's place in all."""
        self.parts, self.videos, self.located = parts, videos, located
        self.ends = np.cumsum(videos)
        self.starts = self.ends - videos
        self._arrays: dict[tuple[int, str], np.ndarray] = {}

    def followed_by(self, other: "_Kind") -> "_Kind":
        """The rows of both."""
        located = np.concatenate([self.located, other.located + sum(self.videos)])
        return _Kind(self.parts + other.parts, self.videos + other.videos, located)

    def gather(self, name: str, rows: np.ndarray, width: int) -> np.ndarray:
        """float16 (n, W) of `rows`."""
        out = np.empty((len(rows), width), np.float16)
        if width:
            for part, where, local in self._by_part(rows):
                out[where] = self._array(part, name)[local]
        let_go()
        return out

    def gather_runs(
        self, name: str, rows, lengths: np.ndarray, width: int, skip: np.ndarray | int = 0
    ) -> np.ndarray:
        """uint8 (sum of lengths, W): `lengths` frames of each of `rows` after the first `skip`."""
        lengths = np.asarray(lengths, np.int64)
        skip = np.broadcast_to(skip, lengths.shape)
        ends = np.cumsum(lengths)
        out = np.empty((int(lengths.sum()), width), np.uint8)
        if not width:
            return out
        for part, where, local in self._by_part(rows):
            first = self._offsets(part, "lengths")[local] + skip[where]
            frames = self._array(part, name)
            # One contiguous copy a video: no index of every frame, and memory maps read ahead.
            spans = zip(first, ends[where] - lengths[where], lengths[where], strict=True)
            for source, target, count in spans:
                out[target : target + count] = frames[source : source + count]
        let_go()
        return out

    def segments(self, rows: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """(position in `rows` of each segment, its start, end, label and score)."""
        owners, columns = [], [[] for _ in SEGMENT_TYPES]
        for part, where, local in self._by_part(rows):
            offsets = self._offsets(part, "segments")
            counts = offsets[local + 1] - offsets[local]
            shift = np.repeat(offsets[local] - np.cumsum(counts) + counts, counts)
            taken = np.arange(counts.sum()) + shift
            owners.append(np.repeat(where, counts))
            for column, name in zip(columns, SEGMENT_TYPES, strict=True):
                column.append(self._array(part, f"segment_{name}")[taken])
        owner = np.concatenate([np.zeros(0, np.int64), *owners])
        order = np.argsort(owner, kind="stable")
        kinds = SEGMENT_TYPES.values()
        joined = (np.concatenate([np.zeros(0, k), *c]) for k, c in zip(kinds, columns, strict=True))
        return owner[order], [column[order] for column in joined]

    def _by_part(self, rows: np.ndarray):
        """(part, positions in `rows`, rows inside the part), ascending on disk."""
        located = self.located[rows]
        order = np.argsort(located, kind="stable")
        located = located[order]
        part_of = np.searchsorted(self.ends, located, side="right")
        cuts = np.flatnonzero(np.diff(part_of)) + 1
        for where, local in zip(np.split(order, cuts), np.split(located, cuts), strict=True):
            if len(where):
                part = int(np.searchsorted(self.ends, local[0], side="right"))
                yield part, where, local - self.starts[part]

    def _array(self, part: int, name: str) -> np.ndarray:
        """An array of a part, mapped when first used and kept so."""
        if (part, name) not in self._arrays:
            path = self.parts[part] / f"{name}.npy"
            self._arrays[part, name] = _opened(path, path.parents[2])
        return self._arrays[part, name]

    def _offsets(self, part: int, name: str) -> np.ndarray:
        """int64 (videos of the part + 1,): where each video's run begins, from its lengths."""
        key = (part, f"{name} offsets")
        if key not in self._arrays:
            counts = self._array(part, name)
            offsets = np.zeros(len(counts) + 1, np.int64)
            np.cumsum(counts, out=offsets[1:])
            self._arrays[key] = offsets
        return self._arrays[key]
