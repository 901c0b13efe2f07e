"""Features of any origin, and labels, to YouTube-8M records, for `make all DATA=OUT`.

    python -m yt8m.convert OUT --rgb rgb.npy --audio audio.npy --ids ids.txt --labels labels.csv
    python -m yt8m.convert OUT --table clips.parquet --labels labels.csv

Writes OUT/dataset.toml and OUT/video/ or OUT/frame/, which is there in full or not at all.
docs/data.md has every form of input. One video at a time is in memory, and all ids and labels.
"""

import contextlib
import json
from pathlib import Path

import numpy as np

from folds.label_files import LabelFile, read_labels, write_vocabulary
from folds.sources import Ragged, Stacked, Table
from yt8m.base import cli
from yt8m.base.cli import InputError, log
from yt8m.base.files import working_in, writing
from yt8m.records.description import PATTERNS, Description
from yt8m.records.framing import write_records
from yt8m.records.video import QUANTUM
from yt8m.records.vocabulary import Vocabulary, read_vocabulary
from yt8m.records.writer import example, floats, integers, quantise, sequence, strings

EDGE = 2.0  # frame features are stored in 255 steps from -2 to 2
LEAST_USED = EDGE / 4  # a smaller range than this deserves a --scale
MAX_FRAMES = Description().max_frames


def main(
    out: Path,
    *,
    rgb: Path | None = None,
    audio: Path | None = None,
    ids: Path | None = None,
    lengths: Path | None = None,
    table: Path | None = None,
    id_column: str = "id",
    rgb_column: str = "rgb",
    audio_column: str = "audio",
    labels: Path | None = None,
    vocabulary: Path | None = None,
    scale: float = 1.0,
    shard_videos: int = 1000,
) -> None:
    """Writes records, and a dataset.toml beside them, into the folder OUT.

    --rgb, --audio: .npy with --ids (and --lengths), or .npz of an array an id; or --table: parquet
    with --id-column, --rgb-column, --audio-column. --labels: CSV, id and labels; --vocabulary: CSV
    of class names; --scale: factor of features; --shard-videos: in one file.
    """
    if shard_videos < 1 or not 0 < scale < 1e9:
        raise InputError(f"--shard-videos {shard_videos} --scale {scale}: above 0 is allowed")
    columns = {"rgb": rgb_column, "audio": audio_column}
    source = _source({"rgb": rgb, "audio": audio}, ids, lengths, table, id_column, columns)
    known, rows, names = _labels(source.ids, labels, vocabulary)
    converter = Converter(source, known, rows, scale)
    classes = known.classes if known else len(names)
    kind = "frame" if source.frames else "video"
    with working_in(out), _new_folder(out / kind) as folder:
        shards = -(-len(rows) // shard_videos)
        for shard in range(shards):
            name = f"converted-{shard:05d}-of-{shards:05d}.tfrecord"
            write_records(folder / name, converter.take(shard_videos))
        _write_description(out, classes, names, converter.longest)
    for line in converter.warnings():
        log(f"[convert] {line}")
    log(f"{out}: {_told(source, known, rows, classes)}")


def _labels(ids: np.ndarray, labels: Path | None, vocabulary: Path | None):
    """(LabelFile or None; the row in it of each id, -1 = unlabelled; names of classes)."""
    if not len(ids):
        raise InputError("the features are of no video")
    values, counts = np.unique(ids, return_counts=True)
    if counts.max() > 1:
        first = values[counts > 1][0].decode(errors="replace")
        raise InputError(f"id {first!r} is there {counts.max()} times; each video may be once")
    names = read_vocabulary(vocabulary) if vocabulary else Vocabulary([])
    if labels is None:
        return None, np.full(len(ids), -1), names
    known = read_labels(labels, names)
    rows = known.rows(ids)
    if (rows < 0).all():
        here, there = (values[0].decode(errors="replace") for values in (ids, known.ids))
        text = f"none of its ids, such as {there!r}, is one of the features', such as {here!r}"
        raise InputError(f"{labels}: {text}; spell them alike")
    return known, rows, known.vocabulary


def _source(paths, ids, lengths, table, id_column, columns):
    paths = {name: path for name, path in paths.items() if path}
    if bool(paths) == bool(table):
        raise InputError("give features: --rgb and/or --audio (.npy or .npz), or --table")
    if table:
        return Table(table, id_column, columns)
    suffixes = {path.suffix for path in paths.values()}
    if suffixes not in ({".npy"}, {".npz"}):
        said = ", ".join(map(str, paths.values()))
        raise InputError(f"{said}: all .npy or all .npz is allowed (parquet: --table)")
    if suffixes == {".npy"}:
        return Stacked(paths, ids, lengths)
    if ids or lengths:
        raise InputError(f"{ids or lengths}: a .npz has ids and lengths of its own; leave it out")
    return Ragged(paths)


class Converter:
    """Serialises the videos of a source in order, and notes what became of their values."""

    def __init__(self, source, known: LabelFile | None, rows: np.ndarray, scale: float):
        """rows: int64 (N,), of each video in `known`, -1 = unlabelled."""
        self.source, self.known, self.rows, self.scale = source, known, rows, np.float32(scale)
        self.videos = enumerate(source)
        self.widths: dict[str, int] = {}
        self.longest = 0
        self.values: dict[str, int] = {}
        self.outside: dict[str, int] = {}
        self.largest: dict[str, float] = {}

    def take(self, count: int):
        """The serialised records of the next `count` videos."""
        for _, (row, arrays) in zip(range(count), self.videos, strict=False):
            identity = self.source.ids[row]
            where = f"video {identity.decode(errors='replace')}"
            ready = {n: self._checked(n, values, where) for n, values in arrays.items()}
            features = {"id": strings([bytes(identity)])}
            if self.rows[row] >= 0:
                said = self.known.labels
                at = self.rows[row]
                features["labels"] = integers(said.indices[said.indptr[at] : said.indptr[at + 1]])
            if self.source.frames:
                lengths = {len(values) for values in ready.values()}
                if len(lengths) > 1:
                    raise InputError(f"{where}: rgb and audio differ in frames {sorted(lengths)}")
                self.longest = max(self.longest, *lengths)
                yield sequence(features, ready)
            else:
                features |= {f"mean_{name}": floats(values) for name, values in ready.items()}
                yield example(features)

    def _checked(self, name: str, values: np.ndarray, where: str) -> np.ndarray:
        """float32 (W,) or uint8 (T, W). InputError on what no record can hold."""
        expected = 2 if self.source.frames else 1
        width = self.widths.setdefault(name, values.shape[-1])
        if values.ndim != expected or not values.size or values.shape[-1] != width:
            wanted = f"(frames, {width})" if self.source.frames else f"({width},)"
            raise InputError(f"{where}: {name} has shape {values.shape}, not {wanted}")
        if self.source.frames and values.dtype == np.uint8:
            return values  # quantised already
        if values.dtype.kind != "f":
            text = "floats are needed, or uint8 for frames that are quantised already"
            raise InputError(f"{where}: {name} is {values.dtype}; {text}")
        with np.errstate(over="ignore"):
            scaled = values.astype(np.float32) * self.scale
            held = np.isfinite(scaled.astype(np.float16)).all()
        if not held:
            text = "a value is not finite or beyond 65504 (--scale makes values smaller)"
            raise InputError(f"{where}: {name}: {text}")
        return self._quantised(name, scaled) if self.source.frames else scaled

    def _quantised(self, name: str, values: np.ndarray) -> np.ndarray:
        size = np.abs(values)
        self.values[name] = self.values.get(name, 0) + size.size
        self.outside[name] = self.outside.get(name, 0) + int((size > EDGE).sum())
        self.largest[name] = max(self.largest.get(name, 0.0), float(size.max()))
        return quantise(values)

    def warnings(self):
        """What quantisation has cost, in lines."""
        for name, largest in self.largest.items():
            better = f"--scale {float(self.scale) * EDGE / max(largest, 1e-9):.3g}"
            if self.outside[name]:
                share = self.outside[name] / self.values[name]
                yield (
                    f"{name}: {self.outside[name]:,} values ({share:.2%}) lie outside [-2, 2] and "
                    f"were clipped, the largest is {largest:.3g}; {better} keeps all"
                )
            elif largest < LEAST_USED:
                steps = largest / float(QUANTUM)
                yield (
                    f"{name}: no value is beyond {largest:.3g}, {steps:.0f} steps of the 8 bits "
                    f"that frames are stored in; {better} uses them all"
                )


@contextlib.contextmanager
def _new_folder(folder: Path):
    """A folder that takes the place of `folder` when the block ends well. InputError if that holds
    records which no conversion wrote."""
    there = [path for pattern in PATTERNS for path in folder.glob(pattern)]
    foreign = [path for path in there if not path.name.startswith("converted-")]
    if foreign:
        raise InputError(f"{min(foreign)}: is not of a conversion; choose another folder")
    with writing(folder) as temporary:
        temporary.mkdir()
        yield temporary


def _write_description(out: Path, classes: int, names: Vocabulary, longest: int) -> None:
    if len(names):
        write_vocabulary(out / "vocabulary.csv", names)
    lines = ["# Written by folds/convert.py; feature names are YouTube-8M's."]
    lines.append(f"name = {json.dumps(out.resolve().name)}")
    lines += [f"classes = {classes}"] if classes else []
    lines += ['vocabulary = "vocabulary.csv"'] if len(names) else []
    lines += [f"max_frames = {longest}"] if longest > MAX_FRAMES else []
    with writing(out / "dataset.toml") as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _told(source, known: LabelFile | None, rows: np.ndarray, classes: int) -> str:
    level = "frame" if source.frames else "video"
    text = f"{len(rows):,} videos ({level} level), {(rows < 0).sum():,} of them without labels"
    if known:
        unused = len(known.ids) - (rows >= 0).sum()
        text += f", {classes:,} classes"
        text += f"; {unused:,} ids of the labels have no features" if unused else ""
    return text


if __name__ == "__main__":
    cli.run(main)
