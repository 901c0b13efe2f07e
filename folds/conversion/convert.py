"""Features of any origin, and labels, to YouTube-8M records, for `make all DATA=OUT`.

    python -m yt8m.convert OUT --rgb rgb.npy --feature title=title.npy --ids ids.txt --labels l.csv
    python -m yt8m.convert OUT --table clips.parquet --feature title=title --labels labels.csv

Writes OUT/dataset.toml and OUT/video/ or OUT/frame/, which is complete or absent.
docs/data.md has every form of input. One video at a time is in memory, and all ids and labels.
"""

import contextlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from folds.conversion.label_files import LabelFile, labels_for, write_vocabulary
from folds.conversion.sources import FeatureSource, Table, from_files
from yt8m.base.cli import InputError, log
from yt8m.base.files import require, working_in, writing
from yt8m.base.paths import DESCRIPTION_FILE
from yt8m.records.description import PATTERNS, Description, check_kind
from yt8m.records.framing import write_records
from yt8m.records.messages import example, sequence
from yt8m.records.video import QUANTUM, UNFIT, find_unfit, quantise
from yt8m.records.vocabulary import Vocabulary, read_vocabulary

EDGE = 2.0  # frame features are stored in 255 steps from -2 to 2
LEAST_USED = EDGE / 4  # a smaller range than this deserves a --scale
MAX_FRAMES = Description().max_frames
PUBLISHED = ("rgb", "audio")  # kinds that YouTube-8M has, under names of its own


def main(
    out: Path,
    *,
    rgb: Path | None = None,
    audio: Path | None = None,
    feature: list[str] = (),
    ids: Path | None = None,
    lengths: Path | None = None,
    table: Path | None = None,
    id_column: str = "id",
    labels: Path | None = None,
    vocabulary: Path | None = None,
    scale: float = 1.0,
    shard_videos: int = 1000,
) -> None:
    """Converts features and labels of any origin to records, in the new folder OUT.

    Then `make all PLAN=... DATA=OUT` trains on them. docs/data.md shows every form of input.

    Features, one of:
      --rgb FILE, --audio FILE   .npy: a row a video, with --ids; or .npz: an array a video, by id
      --feature NAME=FILE        any other kind of features, such as title=title.npy; several
      --table FILE               a parquet table; --feature NAME=COLUMN names its columns of lists
                                 (rgb and audio by default), --id-column that of the ids
    --ids           text file, one id a line, in the order of the rows of the .npy
    --lengths       number of frames of each video, if an .npy has the frames of all videos in a row
    --labels        CSV of ids and labels; leave it out for videos that an export shall predict
    --vocabulary    CSV of class numbers and names
    --scale         factor for all values; frames are stored in 8 bits between -2 and 2
    --shard-videos  videos in one file of records
    """
    if shard_videos < 1 or not 0 < scale < 1e9:
        raise InputError(f"--shard-videos {shard_videos} --scale {scale}: above 0 is allowed")
    named = kinds_of(feature)
    files = files_of({"rgb": rgb, "audio": audio}, named, table)
    for path in filter(None, (*files.values(), ids, lengths, table, labels, vocabulary)):
        require(path, "give one that exists")
    source = Table(table, id_column, named, PUBLISHED) if table else from_files(files, ids, lengths)
    names = read_vocabulary(vocabulary) if vocabulary else Vocabulary([])
    known, rows = labels_for(source.ids, labels, names)
    _write(out, Converter(source, known, rows, scale), shard_videos)


def files_of(given: dict[str, Path | None], named: dict[str, str], table: Path | None):
    """The files of features by kind; none with a table. InputError unless there is one source."""
    files = {kind: path for kind, path in given.items() if path}
    if bool(table) == bool(files or (named and not table)):
        options = "--rgb, --audio, --feature NAME=FILE (.npy or .npz), or --table alone"
        raise InputError(f"give features: {options}")
    return files | ({} if table else {kind: Path(path) for kind, path in named.items()})


def _write(out: Path, converter: "Converter", shard_videos: int) -> None:
    """Writes all that OUT holds."""
    level = "frame" if converter.source.frames else "video"
    with working_in(out), _new_folder(out / level) as folder:
        shards = -(-len(converter.rows) // shard_videos)
        for shard in range(shards):
            name = f"converted-{shard:05d}-of-{shards:05d}.tfrecord"
            write_records(folder / name, converter.take(shard_videos))
        _write_description(out, converter)
    for line in converter.warnings():
        log(f"[convert] {line}")
    log(f"{out}: {_summary(level, converter.known, converter.rows)}")


def kinds_of(features: list[str]) -> dict[str, str]:
    """By kind of features, the file or column that NAME=VALUE gives it."""
    found: dict[str, str] = {}
    for text in features:
        kind, _, value = text.partition("=")
        if not value or kind in found:
            raise InputError(f"--feature {text}: one NAME=FILE (or COLUMN) a name is needed")
        try:
            found[check_kind(kind)] = value
        except ValueError as error:
            raise InputError(f"--feature {text}: {error}") from error
    return found


class Converter:
    """Serialises the videos of a source in order, and notes what became of their values."""

    def __init__(self, source: FeatureSource, known: LabelFile, rows: np.ndarray, scale: float):
        """rows: int64 (N,), of each video in `known`, -1 = unlabelled."""
        self.source, self.known, self.rows, self.scale = source, known, rows, np.float32(scale)
        self.videos = enumerate(source)
        self.widths: dict[str, int] = {}
        self.optional: set[str] = set()  # kinds that a video lacks
        self.longest = 0
        self.values, self.outside = Counter(), Counter()  # by kind, of the frames
        self.largest: dict[str, float] = {}

    def take(self, count: int) -> Iterator[bytes]:
        """The serialised records of the next `count` videos."""
        for _, (row, arrays) in zip(range(count), self.videos, strict=False):
            identity = self.source.ids[row]
            where = f"video {identity.decode(errors='replace')}"
            ready = {kind: self._convert(kind, values, where) for kind, values in arrays.items()}
            self.optional |= self.source.kinds - ready.keys()
            features = {"id": [bytes(identity)]}
            if self.rows[row] >= 0:
                labels, at = self.known.labels, self.rows[row]
                classes = labels.indices[labels.indptr[at] : labels.indptr[at + 1]]
                features["labels"] = classes.tolist()
            for kind in ready.keys() - self.source.frames:
                features[f"mean_{kind}"] = ready[kind]
            if self.source.frames:
                frames = {kind: ready[kind] for kind in ready if kind in self.source.frames}
                self._check_lengths(frames, where)
                yield sequence(features, {frames_name(kind): f for kind, f in frames.items()})
            else:
                yield example(features)

    def _check_lengths(self, frames: dict[str, np.ndarray], where: str) -> None:
        lengths = {len(values) for values in frames.values()}
        if len(lengths) > 1:
            kinds = " and ".join(frames)
            raise InputError(f"{where}: {kinds} differ in frames {sorted(lengths)}")
        if not lengths:
            raise InputError(f"{where}: has no frames, others have; leave it out")
        self.longest = max(self.longest, *lengths)

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
            scaled = values.astype(np.float32) * self.scale
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
        for kind in sorted(self.source.kinds - self.widths.keys()):
            yield f"{kind}: no video has a value; this kind is left out"
        for kind, largest in self.largest.items():
            better = f"--scale {float(self.scale) * EDGE / max(largest, 1e-9):.3g}"
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


@contextlib.contextmanager
def _new_folder(folder: Path):
    """A folder that takes the place of `folder` when the block ends well. InputError if that holds
    records which no conversion wrote."""
    present = [path for pattern in PATTERNS for path in folder.glob(pattern)]
    foreign = [path for path in present if not path.name.startswith("converted-")]
    if foreign:
        raise InputError(f"{min(foreign)}: was not written by a conversion; choose another folder")
    with writing(folder) as temporary:
        temporary.mkdir()
        yield temporary


def _write_description(out: Path, converter: Converter) -> None:
    classes, names = converter.known.classes, converter.known.vocabulary
    if len(names):
        write_vocabulary(out / "vocabulary.csv", names)
    lines = ["# Written by folds/conversion/convert.py; feature names are YouTube-8M's."]
    lines.append(f"name = {json.dumps(out.resolve().name)}")
    lines += [f"classes = {classes}"] if classes else []
    lines += ['vocabulary = "vocabulary.csv"'] if len(names) else []
    lines += [f"max_frames = {converter.longest}"] if converter.longest > MAX_FRAMES else []
    for kind in sorted(converter.widths, key=(*PUBLISHED, *converter.widths).index):
        framed = kind in converter.source.frames and kind not in PUBLISHED
        table = [f'frames = ["{frames_name(kind)}"]'] if framed else []
        table += ["optional = true"] if kind in converter.optional else []
        lines += [f"[features.{kind}]", *table] if table or kind not in PUBLISHED else []
    with writing(out / DESCRIPTION_FILE) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _summary(level: str, known: LabelFile, rows: np.ndarray) -> str:
    text = f"{len(rows):,} videos ({level} level), {(rows < 0).sum():,} of them without labels"
    unused = len(known.ids) - (rows >= 0).sum()
    text += f", {known.classes:,} classes" if known.classes else ""
    return text + (f"; {unused:,} ids of the labels have no features" if unused else "")
