"""The features and rated segments of a store's videos: arrays of its parts, read by rows.

N videos, n of them asked for, W width of a kind of features, S segments.
"""

from pathlib import Path

import numpy as np

from yt8m.base.arrays import let_go
from yt8m.base.checksums import CheckedRows, open_rows

SEGMENT_TYPES = {"start": np.int32, "end": np.int32, "label": np.uint16, "score": np.float32}


class FeatureFiles:
    """Where the features of videos are: in the parts of one kind of records."""

    def __init__(self, parts: list[Path], videos: list[int], located: np.ndarray):
        """parts: folders, and the videos of each; located: int64 (N,), a row's place in all."""
        self.parts, self.videos, self.located = parts, videos, located
        self.ends = np.cumsum(videos)
        self.starts = self.ends - videos
        self._arrays: dict[tuple[int, str], CheckedRows | np.ndarray] = {}

    def followed_by(self, other: "FeatureFiles") -> "FeatureFiles":
        """The rows of both."""
        located = np.concatenate([self.located, other.located + sum(self.videos)])
        return FeatureFiles(self.parts + other.parts, self.videos + other.videos, located)

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
        parts, begins = np.unique(part_of, return_index=True)
        pieces = (np.split(values, begins[1:]) for values in (order, located))
        for part, where, local in zip(parts.tolist(), *pieces, strict=False):  # no rows, one piece
            yield part, where, local - self.starts[part]

    def _array(self, part: int, name: str) -> CheckedRows:
        """An array of a part, mapped when first used and kept so."""
        if (part, name) not in self._arrays:
            self._arrays[part, name] = open_rows(self.parts[part] / f"{name}.npy")
        return self._arrays[part, name]

    def _offsets(self, part: int, name: str) -> np.ndarray:
        """int64 (videos of the part + 1,): where each video's run begins, from its lengths."""
        key = (part, f"{name} offsets")
        if key not in self._arrays:
            ends = np.cumsum(self._array(part, name).check_all(), dtype=np.int64)
            self._arrays[key] = np.append(0, ends)
        return self._arrays[key]
