"""Windows of a few seconds, each taken for a video: what the segment task learns from and predicts.

A frame is a second, so a segment's times are numbers of frames. W windows, S rated segments.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from first_level.config import PlannedModel
from yt8m.base.cli import InputError
from yt8m.data.store import Dims, Features, Segments, Store
from yt8m.inputs.settings import Level

# Inputs that make something else of a video's frames, which a few seconds cannot give.
OF_VIDEOS = ("centred", "high_pass", "pcp", "centroids", "subset_mean")


@dataclass(frozen=True)
class Windows:
    """Windows of a store's videos, with what Source and predict ask of a store.

    rows: of the store, integers (W,); start, end: seconds, int64 (W,); context: further frames on
    either side, as far as the video goes. A window that begins after its video has ended is
    moved to the last frames; one that ends after it is cut.
    """

    store: Store
    rows: np.ndarray
    start: np.ndarray
    end: np.ndarray
    context: int = 0

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def dims(self) -> Dims:
        """As the store's: a model is built for those."""
        return self.store.dims

    @property
    def vertical_of(self) -> np.ndarray:
        """As the store's."""
        return self.store.vertical_of

    @property
    def num_frames(self) -> np.ndarray:
        """int32 (W,), with those of the context."""
        return self._spans(np.arange(len(self)))[1].astype(np.int32)

    @cached_property
    def ids(self) -> np.ndarray:
        """b"id:start" of every window, as in the 2019 challenge."""
        return np.char.add(self.store.ids[self.rows], np.char.add(b":", self.start.astype("S")))

    def frames(
        self, windows: np.ndarray, names: Iterable[str] | None = None
    ) -> tuple[Features, np.ndarray]:
        """As Store.frames, of windows."""
        first, count = self._spans(windows)
        return self.store.spans(self.rows[windows], first, count, names), count

    def _spans(self, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(first frame, number of frames) of windows."""
        start, end = self.start[windows], self.end[windows]
        length = self.store.num_frames[self.rows[windows]].astype(np.int64)
        start = np.where(start < length, start, length - (end - start))
        first = np.clip(start - self.context, 0, length - 1)
        return first, np.clip(end + self.context, first + 1, length) - first


def every_window(store: Store, rows: np.ndarray, seconds: int, context: int = 0) -> Windows:
    """All windows of these videos: one every `seconds` from 0 on, the last as short as it comes,
    and those of the rated segments, wherever they begin. Sorted by video, then by start."""
    count = -(-store.num_frames[rows].astype(np.int64) // seconds)
    of = np.repeat(np.arange(len(rows)), count)
    start = (np.arange(len(of)) - np.repeat(np.cumsum(count) - count, count)) * seconds
    rated = store.segments(rows)
    order = np.argsort(rows, kind="stable")
    rated_of = order[np.searchsorted(rows[order], rated.rows)]
    keys = np.concatenate([rated_of, of]) << 32 | np.concatenate([rated.start, start])
    _, first = np.unique(keys, return_index=True)  # a rated one before the grid's of that start
    ends = np.concatenate([rated.end, start + seconds])[first].astype(np.int64)
    keys = keys[first]
    return Windows(store, rows[keys >> 32], keys & 0xFFFFFFFF, ends, context)


def rated_windows(segments: Segments, store: Store, context: int) -> Windows:
    """A window for each rated segment; one rated for two classes appears twice."""
    start, end = (column.astype(np.int64) for column in (segments.start, segments.end))
    return Windows(store, segments.rows, start, end, context)


def check_segments(settings: PlannedModel, level: Level, data: Store, where: Path) -> None:
    """InputError when a model, its inputs or the data are not for segments."""
    if settings.segments is None:
        raise InputError(f"{where}: has no [segments]; add the table to the model's TOML")
    if level != "frame":
        raise InputError(f"{where}: {settings.arch} is video-level; only frame-level models fit")
    for name in ("dynamics", "sampling"):
        value = getattr(settings.inputs, name)
        if value in OF_VIDEOS:
            raise InputError(f"{where}: inputs.{name} = {value!r} is of whole videos; leave it out")
    if not len(data.segments(np.arange(len(data.ids)))):
        raise InputError(
            f"{data.folder}: has no rated segments; give DATA segment-rated records (a segment/ "
            "folder beside frame/), or leave [segments] out"
        )
    for identity in data.ids:
        if re.search(rb'[\s,"]', identity):
            text = f"id {identity.decode()!r} cannot stand in a list of segments"
            raise InputError(f"{data.folder}: {text}; no space, comma or quote is allowed")
