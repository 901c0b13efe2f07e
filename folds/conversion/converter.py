"""Videos to serialised records, one at a time, and what became of their values.

T frames, W width of a kind of features.
"""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from folds.conversion.label_files import LabelFile
from folds.conversion.sources import FeatureSource
from yt8m.base.cli import InputError
from yt8m.records.description import GROUP
from yt8m.records.messages import example, sequence
from yt8m.records.values import QUANTUM, UNFIT, find_unfit, quantise
from yt8m.records.video import cut_to_shortest
from yt8m.records.vocabulary import CLASS_NAMES, STATEMENT, state_vocabulary

EDGE = 2.0  # frame features are stored in 255 steps from -2 to 2
LEAST_USED = EDGE / 4  # a smaller range than this deserves a --scale
PUBLISHED = ("rgb", "audio")  # kinds that YouTube-8M has, under names of its own


class Converter:
    """Serialises the videos of a source in order, and notes what became of their values."""

    def __init__(
        self,
        source: FeatureSource,
        known: LabelFile,
        rows: np.ndarray,
        scale: float,
        groups: np.ndarray | None = None,
        cut_frames: bool = False,
    ):
        """rows: int64 (N,), of each video in `known`, -1 = unlabelled; groups: bytes (N,), b"" for
        none; cut_frames: kinds that differ in frames are cut to the shortest."""
        self.groups, self.cut_frames = groups, cut_frames
        self.source, self.known, self.rows, self.scale = source, known, rows, scale
        self.videos = enumerate(source)
        self.names = known.vocabulary.names
        self.statement = {STATEMENT: state_vocabulary(self.names)} if self.names else {}
        self.widths: dict[str, int] = {}
        self.optional: set[str] = set()  # kinds that a video lacks
        self.level = "frame" if source.frames else "video"  # of the records
        self.longest = 0
        self.values, self.outside = Counter(), Counter()  # by kind, of the frames
        self.largest: dict[str, float] = {}

    def take(self, count: int) -> Iterator[bytes]:
        """The serialised records of the next `count` videos: a shard. Each record states which
        vocabulary numbers its labels, and the first one has the names."""
        stated = self.statement
        if self.names:
            stated = {**stated, CLASS_NAMES: [name.encode() for name in self.names]}
        for _, (row, arrays) in zip(range(count), self.videos, strict=False):
            identity = self.source.ids[row]
            where = f"video {identity.decode(errors='replace')}"
            ready = {kind: self._convert(kind, values, where) for kind, values in arrays.items()}
            self.optional |= self.source.kinds - ready.keys()
            features, stated = {"id": [bytes(identity)], **stated}, self.statement
            if self.rows[row] >= 0:
                labels, at = self.known.labels, self.rows[row]
                classes = labels.indices[labels.indptr[at] : labels.indptr[at + 1]]
                features["labels"] = classes.tolist()
            if self.groups is not None and self.groups[row]:
                features[GROUP] = [bytes(self.groups[row])]
            for kind in ready.keys() - self.source.frames:
                features[f"mean_{kind}"] = ready[kind]
            if self.source.frames:
                frames = {kind: ready[kind] for kind in ready if kind in self.source.frames}
                frames = self._check_lengths(frames, where)
                yield sequence(features, {frames_name(kind): f for kind, f in frames.items()})
            else:
                yield example(features)

    def _check_lengths(self, frames: dict[str, np.ndarray], where: str) -> dict[str, np.ndarray]:
        """The frames, cut if that is wanted."""
        frames = cut_to_shortest(frames) if self.cut_frames else frames
        lengths = {len(values) for values in frames.values()}
        if len(lengths) > 1:
            text = f"{' and '.join(frames)} differ in frames {sorted(lengths)}"
            raise InputError(f"{where}: {text}; --cut-frames cuts them to the shortest")
        if not lengths:
            raise InputError(f"{where}: has no frames, others have; leave it out")
        self.longest = max(self.longest, *lengths)
        return frames

    def _convert(self, kind: str, values: np.ndarray, where: str) -> np.ndarray:
        """float32 (W,) or uint8 (T, W). InputError on what no record can hold."""
        framed = kind in self.source.frames
        width = self.widths.setdefault(kind, values.shape[-1])
        if values.ndim != 1 + framed or not values.size or values.shape[-1] != width:
            wanted = f"(frames, {width})" if framed else f"({width},)"
            raise InputError(f"{where}: {kind} has shape {values.shape}, not {wanted}")
        if framed and values.dtype == np.uint8:
            return values  # quantised already
        if values.dtype.kind != "f":
            text = "floats are needed, or uint8 for frames that are quantised already"
            raise InputError(f"{where}: {kind} is {values.dtype}; {text}")
        with np.errstate(over="ignore"):
            scaled = values.astype(np.float32) * np.float32(self.scale)
        if find_unfit(scaled[None])[0]:
            raise InputError(f"{where}: {kind} {UNFIT} (--scale makes values smaller)")
        return self._quantise(kind, scaled) if framed else scaled

    def _quantise(self, kind: str, values: np.ndarray) -> np.ndarray:
        size = np.abs(values)
        self.values[kind] += size.size
        self.outside[kind] += int((size > EDGE).sum())
        self.largest[kind] = max(self.largest.get(kind, 0.0), float(size.max()))
        return quantise(values)

    def warnings(self) -> Iterator[str]:
        """What was lost, in lines."""
        if self.source.unread and not len(self.known.ids):
            yield f"the table's columns {', '.join(self.source.unread)} were not read; see --labels"
        for kind in sorted(self.source.kinds - self.widths.keys()):
            yield f"{kind}: no video has a value; this kind is left out"
        for kind, largest in self.largest.items():
            better = f"--scale {self.scale * EDGE / max(largest, 1e-9):.3g}"
            if self.outside[kind]:
                share = self.outside[kind] / self.values[kind]
                yield (
                    f"{kind}: {self.outside[kind]:,} values ({share:.2%}) lie outside [-2, 2] and "
                    f"were clipped, the largest is {largest:.3g}; {better} keeps all"
                )
            elif largest < LEAST_USED:
                steps = largest / float(QUANTUM)
                yield (
                    f"{kind}: no value is beyond {largest:.3g}, {steps:.0f} steps of the 8 bits "
                    f"that frames are stored in; {better} uses them all"
                )


def frames_name(kind: str) -> str:
    """The name of a kind's frames in a record."""
    return kind if kind in PUBLISHED else f"{kind}_frames"
