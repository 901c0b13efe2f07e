"""The decoded records: mapped arrays (base/arrays.py), read by rows. Written by folds/decode.py.

    store/manifest.json          sizes, class names, parts; written last: without it, no store
    store/rows-<key>/*.npy       ids, labels and, for each row, where its features are
    store/<level>/<part>/*.npy   features of a group of shards, of records at level "video" or
                                 "frame": <kind>.npy and <kind>_frames.npy
    store/derived/               what is computed from them once: see yt8m/inputs/derived.py

A row is a video: in the order of the shards, of video/ where there are both kinds (then the rows
are the videos that both have). N videos, W width of a kind of features, T frames, S segments, n
rows asked for.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from yt8m.base.arrays import let_go, open_array
from yt8m.base.cli import InputError
from yt8m.base.files import read_json
from yt8m.records.description import Description, Dims
from yt8m.records.labels import Labels

__all__ = ["Dims", "Features", "Segments", "Store", "Videos"]

VERSION = 2
MANIFEST = "manifest.json"
DERIVED = "derived"  # folder of what is computed from a store: see yt8m/inputs/derived.py
Features = dict[str, np.ndarray]  # by kind, in the order of Dims.features
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


@dataclass(eq=False)
class Videos:
    """Videos with their labels; features stay on disk until rows are asked for.

    folder: where what is computed from them belongs; ids: (N,) bytes; labels: Labels (N rows);
    labelled: bool (N,), false where the record has no labels field; num_frames: int32 (N,), 0 =
    none; vertical_of: the number of each class's vertical, int64 (C,), -1 where it has none; kinds:
    by "video" and "frame", where the features are.
    """

    folder: Path
    dims: Dims
    ids: np.ndarray
    labels: Labels
    labelled: np.ndarray
    num_frames: np.ndarray
    vertical_of: np.ndarray
    kinds: dict[str, "Located"]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def has_frames(self) -> bool:
        """Whether the records have frame-level features."""
        return "frame" in self.kinds

    def video(self, rows: np.ndarray, names: Iterable[str] | None = None) -> Features:
        """Video-level features of `rows`, in that order: float16 (n, W) of each kind.

        names: of the kinds that are wanted; all by default. Where records have frames only, they
        are the means of the dequantised frames.
        """
        parts = self.kinds["video" if "video" in self.kinds else "frame"]
        widths = self.dims.features
        names = widths if names is None else names
        return {name: parts.gather(name, rows, widths[name]) for name in names}

    def frames(
        self, rows: np.ndarray, names: Iterable[str] | None = None
    ) -> tuple[Features, np.ndarray]:
        """Frames of `rows`, one video after the other in that order: uint8 (sum of T, W) of each
        kind that has frames, or of those that are named; lengths int32 (n,). InputError without
        frames.
        """
        lengths = self.num_frames[rows]
        return self.spans(rows, 0, lengths, names), lengths

    def spans(
        self, rows, start: np.ndarray | int, count: np.ndarray, names: Iterable[str] | None = None
    ) -> Features:
        """`count` frames from frame `start` on of each of `rows`, one span after the other: uint8
        (sum of counts, W) of each kind. The spans must lie in their videos."""
        parts, dims = self._frame_parts(), self.dims
        if names is None:
            names = [name for name in dims.features if name not in dims.frameless]
        return {
            name: parts.gather_runs(f"{name}_frames", rows, count, dims.features[name], start)
            for name in names
        }

    def segments(self, rows: np.ndarray) -> Segments:
        """The rated segments of `rows`; none where the records have none."""
        if not self.has_frames:
            nothing = (np.zeros(0, kind) for kind in SEGMENT_TYPES.values())
            return Segments(np.zeros(0, np.int64), *nothing)
        rows = np.asarray(rows, np.int64)
        owner, columns = self._frame_parts().segments(rows)
        return Segments(rows[owner], *columns)

    def _frame_parts(self) -> "Located":
        if not self.has_frames:
            raise InputError(
                f"{self.folder}: has no frames; frame-level models need frame-level records "
                "(DATA with a frame/ folder); take a plan of video-level models"
            )
        return self.kinds["frame"]


class Store(Videos):
    """A complete store on disk. Beside what Videos has:

    class_names: list[str] (C,); verticals: list[str] (C,), [] when unknown; description:
    Description of the records.
    """

    def __init__(self, folder: Path):
        """InputError when the store is missing, incomplete or of another version."""
        manifest = _read_manifest(Path(folder))
        self.description = Description.model_validate(manifest["description"])
        self.class_names: list[str] = manifest["class_names"]
        self.verticals: list[str] = manifest["verticals"]
        known = sorted(set(self.verticals) - {""})
        super().__init__(**_columns(Path(folder), manifest, known))


def _read_manifest(folder: Path) -> dict:
    if not (folder / MANIFEST).is_file():
        raise InputError(
            f"{folder}: no complete store here; run `make folds`, or "
            "`python -m folds.decode DATA STORE`"
        )
    manifest = read_json(folder / MANIFEST)
    if manifest.get("version") != VERSION:
        raise InputError(f"{folder}: written by another version; delete it and run `make`")
    return manifest


def _columns(folder: Path, manifest: dict, known: list[str]) -> dict:
    """The fields of Videos. known: names of the verticals, sorted."""

    def load(name: str) -> np.ndarray:
        return _opened(folder / manifest["rows"] / f"{name}.npy", folder)

    kinds = {}
    for kind, parts in manifest["parts"].items():
        folders = [folder / kind / part["name"] for part in parts]
        kinds[kind] = Located(folders, [part["videos"] for part in parts], load(f"{kind}_rows"))
    dims = Dims(**manifest["dims"], verticals=len(known))
    dims = replace(dims, frameless=tuple(dims.frameless))
    numbers = [known.index(name) if name else -1 for name in manifest["verticals"]]
    return {
        "folder": folder,
        "dims": dims,
        "ids": load("ids"),
        "labels": Labels(load("indptr"), load("indices")),
        "labelled": load("labelled"),
        "num_frames": load("num_frames"),
        "vertical_of": np.array(numbers, np.int64),
        "kinds": kinds,
    }


def _opened(path: Path, store: Path) -> np.ndarray:
    try:
        return open_array(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: is missing; delete the store and run `make`") from error
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"{store}: incomplete ({path.name}: {error}); delete it and run `make`"
        ) from error


class Located:
    """Where the features of videos are: in the parts of one kind of records."""

    def __init__(self, parts: list[Path], videos: list[int], located: np.ndarray):
        """parts: folders, and the videos of each; located: int64 (N,), a row's place in all."""
        self.parts, self.videos, self.located = parts, videos, located
        self.ends = np.cumsum(videos)
        self.starts = self.ends - videos
        self._arrays: dict[tuple[int, str], np.ndarray] = {}

    def followed_by(self, other: "Located") -> "Located":
        """The rows of both."""
        located = np.concatenate([self.located, other.located + sum(self.videos)])
        return Located(self.parts + other.parts, self.videos + other.videos, located)

    def gather(self, name: str, rows: np.ndarray, width: int) -> np.ndarray:
        """float16 (n, W) of `rows`."""
        out = np.empty((len(rows), width), np.float16)
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
