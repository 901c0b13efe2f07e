"""Features of any origin, and labels, to YouTube-8M records, for `make all DATA=OUT`.

    python -m yt8m.convert OUT --rgb rgb.npy --feature title=title.npy --ids ids.txt --labels l.csv
    python -m yt8m.convert OUT --table clips.parquet --feature title=title --labels labels.csv
    python -m yt8m.convert --add OUT --rgb more.npy --ids more.txt --labels more.csv

Writes OUT/dataset.toml and OUT/video/ or OUT/frame/, which is complete or absent.
docs/data.md has every form of input. One video at a time is in memory, and all ids and labels.

Features, one of:
  --rgb FILE, --audio FILE   .npy: a row a video, with --ids; or .npz: an array a video, by id
  --feature NAME=FILE        any other kind of features, such as title=title.npy; several
  --table FILE               a parquet table; --feature NAME=COLUMN names its columns of lists
                             (rgb and audio by default), --id-column that of the ids
--ids              text file, one id a line, in the order of the rows of the .npy
--lengths          number of frames of each video, if an .npy has the frames of all videos in a row
--labels           CSV or parquet of ids and labels; leave it out for videos that an export predicts
                   a column `group` of it, or of the table: videos that the folds keep together
--label-column     columns of labels (default: label, labels, or columns of 0 and 1, one a class)
--label-separator  between labels of a cell: space, comma, semicolon, bar, none, or characters
--vocabulary       CSV of class numbers and names
--scale            factor for all values (1); frames are stored in 8 bits between -2 and 2
--cut-frames       where the kinds of a video differ in frames, keeps as many as the shortest has
--shard-videos     videos in one file of records
--add              adds videos to the folder OUT: its classes keep their numbers, new ones come last
"""

from pathlib import Path

import numpy as np

from folds.conversion.classes import list_classes
from folds.conversion.converter import PUBLISHED, Converter
from folds.conversion.folder import DataFolder, write_new
from folds.conversion.label_files import LabelFile, LabelOptions, labels_for
from folds.conversion.sources import Table, from_files
from folds.related.id_files import groups_for, has_groups
from yt8m.base.cli import InputError, log
from yt8m.base.files import require, working_in
from yt8m.records.description import GROUP, check_exists, check_kind
from yt8m.records.vocabulary import Vocabulary, read_vocabulary


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
    label_column: list[str] = (),
    label_separator: str | None = None,
    vocabulary: Path | None = None,
    scale: float | None = None,
    shard_videos: int = 1000,
    add: bool = False,
    cut_frames: bool = False,
) -> None:
    """Converts features and labels to records, in the new folder OUT, or adds them to it."""
    files = files_of({"rgb": rgb, "audio": audio}, named := kinds_of(feature), table)
    _check(shard_videos, scale, [*files.values(), ids, lengths, table, labels, vocabulary])
    source = Table(table, id_column, named, PUBLISHED) if table else from_files(files, ids, lengths)
    taken = GROUP in {name.casefold() for name in (*named.values(), *label_column)}
    groups = find_groups(source.ids, () if taken else (table, labels), id_column)
    options = LabelOptions(id_column, tuple(label_column), label_separator, vocabulary is None)

    def convert(names: Vocabulary, scale: float) -> Converter:
        known = read_classes(source.ids, labels, names, options)
        return Converter(source, *known, scale, groups, cut_frames)

    if not add:
        names = read_vocabulary(vocabulary) if vocabulary else Vocabulary([])
        write_new(out, converter := convert(names, scale or 1.0), shard_videos)
    else:
        check_exists(out)
        with working_in(out):
            folder = DataFolder.read(out)
            scale = folder.check_source(source, scale)
            converter = convert(folder.go_on(vocabulary), scale)
            folder.check_labels(converter.known)
            folder.add(converter)
    for line in (*converter.warnings(), *_describe(groups)):
        log(f"[convert] {line}")
    log(f"{out}: {_summary(converter.level, converter.known, converter.rows)}")


def _check(shard_videos: int, scale: float | None, files: list[Path | None]) -> None:
    if shard_videos < 1 or not (scale is None or 0 < scale < 1e9):
        raise InputError(f"--shard-videos {shard_videos} --scale {scale}: above 0 is allowed")
    for path in filter(None, files):
        require(path, "give one that exists")


def find_groups(ids: np.ndarray, tables: tuple, id_column: str) -> np.ndarray | None:
    """The groups of videos, of those tables (paths or None) that have any; None without one."""
    known = [path for path in tables if path and has_groups(path, id_column)]
    return groups_for(ids, known, id_column)


def _describe(groups: np.ndarray | None) -> list[str]:
    """A line on the groups, if there are any."""
    if groups is None:
        return []
    count, without = len(set(groups.tolist()) - {b""}), int((groups == b"").sum())
    return [f"{count:,} groups; {without:,} videos have none"]


def read_classes(ids: np.ndarray, labels: Path | None, names: Vocabulary, options: LabelOptions):
    """What `labels_for` gives; the classes are shown, with their numbers of videos."""
    known, rows = labels_for(ids, labels, names, options)
    if labels:
        counts = known.labels.take(rows[rows >= 0]).class_counts(known.classes)
        for line in list_classes(counts.tolist(), known.vocabulary.names):
            log(f"[convert] {line}")
    return known, rows


def files_of(given: dict[str, Path | None], named: dict[str, str], table: Path | None):
    """The files of features by kind; none with a table. InputError unless there is one source."""
    files = {kind: path for kind, path in given.items() if path}
    if bool(table) == bool(files or (named and not table)):
        options = "--rgb, --audio, --feature NAME=FILE (.npy or .npz), or --table alone"
        raise InputError(f"give features: {options}")
    return files | ({} if table else {kind: Path(path) for kind, path in named.items()})


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


def _summary(level: str, known: LabelFile, rows: np.ndarray) -> str:
    text = f"{len(rows):,} videos ({level} level), {(rows < 0).sum():,} of them without labels"
    unused = len(known.ids) - (rows >= 0).sum()
    text += f", {known.classes:,} classes" if known.classes else ""
    return text + (f"; {unused:,} ids of the labels have no features" if unused else "")
