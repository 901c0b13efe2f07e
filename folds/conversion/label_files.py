"""Labels from a CSV: columns `id` and `labels` (several, between spaces) or `label` (one a row).

Labels are class numbers or class names. In memory: ids and labels, some 50 bytes a video.
"""

import csv
import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from yt8m.base.cli import InputError
from yt8m.base.files import writing
from yt8m.records.description import MAX_CLASSES
from yt8m.records.labels import Labels
from yt8m.records.video import explain_id, is_id
from yt8m.records.vocabulary import Vocabulary

IDS = ("id", "video_id", "VideoId")
MANY, ONE = "labels", "label"
ROWS = 100_000  # read at a time
SHIFT = np.int64(16)  # a class is uint16


@dataclass(frozen=True)
class LabelFile:
    """The labels of the videos that a CSV names, and the label space.

    ids: S (N,), ascending; labels: of N videos; vocabulary: empty when nothing has names.
    """

    ids: np.ndarray
    labels: Labels
    classes: int
    vocabulary: Vocabulary

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """The row of each id, -1 where the file does not have it: int64 (n,)."""
        if not len(self.ids):
            return np.full(len(ids), -1)
        at = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        return np.where(self.ids[at] == ids, at, -1)


def read_labels(path: Path, vocabulary: Vocabulary) -> LabelFile:
    """Reads a CSV. Rows of one id are joined; a row without labels is a video that has none.

    vocabulary: names of classes, or empty. InputError on other columns, an empty id, or a label
    that is no class.
    """
    codes: dict[str, int] = {}
    ids, counts, numbered = [np.zeros(0, "S1")], [], []
    for videos, lists in _chunks(path):
        ids.append(as_ids(videos, path))
        counts += [len(texts) for texts in lists]
        numbered += [codes.setdefault(text, len(codes)) for texts in lists for text in texts]
    numbers, names = _classes(list(codes), vocabulary, path)
    unique, row = np.unique(np.concatenate(ids), return_inverse=True)
    keys = np.repeat(row.astype(np.int64), counts) << SHIFT
    keys = np.unique(keys | numbers[np.array(numbered, np.int64)])
    indptr = np.searchsorted(keys >> SHIFT, np.arange(len(unique) + 1)).astype(np.int64)
    classes = len(names) or int(numbers.max(initial=-1)) + 1
    if not classes or not len(unique):
        raise InputError(f"{path}: has no label at all; give --vocabulary, or no --labels")
    return LabelFile(unique, Labels(indptr, keys.astype(np.uint16)), classes, names)


def labels_for(ids: np.ndarray, labels: Path | None, names: Vocabulary):
    """(LabelFile, of no video without `labels`; the row in it of each id, -1 = unlabelled).
    InputError when an id appears twice, or none of them has labels."""
    if not len(ids):
        raise InputError("the features are of no video")
    values, counts = np.unique(ids, return_counts=True)
    if counts.max() > 1:
        first = values[counts > 1][0].decode(errors="replace")
        raise InputError(f"id {first!r} appears {counts.max()} times; each video may appear once")
    if labels is None:
        known = LabelFile(np.zeros(0, "S1"), Labels.from_lists([]), len(names), names)
        return known, known.rows(ids)
    known = read_labels(labels, names)
    rows = known.rows(ids)
    if (rows < 0).all():
        ours, theirs = (values[0].decode(errors="replace") for values in (ids, known.ids))
        text = f"none of its ids, such as {theirs!r}, is one of the features', such as {ours!r}"
        raise InputError(f"{labels}: {text}; spell them alike")
    return known, rows


def _chunks(path: Path):
    """(ids, list of labels of each), of many rows at a time."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, skipinitialspace=True)
        try:
            header = next(reader, [])
            at = next((header.index(name) for name in IDS if name in header), None)
            column = next((name for name in (MANY, ONE) if name in header), None)
            if at is None or column is None:
                raise InputError(
                    f"{path}: columns {' or '.join(IDS)}, and {MANY} or {ONE}, are needed; it has "
                    f"{', '.join(header) or 'none'}"
                )
            labels = header.index(column)
            while rows := [row for row in itertools.islice(reader, ROWS) if row]:
                odd = next((row for row in rows if len(row) != len(header)), None)
                if odd:
                    raise InputError(
                        f"{path}: {','.join(odd)!r} has {len(odd)} fields, the header "
                        f"{len(header)}; put spaces between labels, quotes around commas"
                    )
                texts = (row[labels] for row in rows)
                split = [t.split() if column == MANY else [t.strip()][: bool(t)] for t in texts]
                yield [row[at] for row in rows], split
        except (csv.Error, UnicodeError) as error:
            raise InputError(f"{path}: not a CSV in UTF-8 ({error})") from error


def as_ids(values, where) -> np.ndarray:
    """Ids as numpy's bytes, S (n,). InputError on one that records cannot have."""
    ids = [_bytes(value) for value in values]
    for row, identity in enumerate(ids):
        if not is_id(identity):
            raise InputError(f"{where}: row {row}: {explain_id(identity)}")
    return np.array(ids, "S")


def _bytes(value) -> bytes:
    if value is None:
        return b""
    return value if isinstance(value, bytes) else str(value).strip().encode()


def _classes(texts: list[str], vocabulary: Vocabulary, path: Path) -> tuple:
    """(class of each text, int64; names of all classes)."""
    if all(text.isascii() and text.isdecimal() for text in texts):
        limit = len(vocabulary) or MAX_CLASSES
        for text in texts:
            if len(text) > 5 or int(text) >= limit:
                raise InputError(f"{path}: label {text}; 0 to {limit - 1} are allowed")
        return np.array([int(text) for text in texts], np.int64), vocabulary
    if not len(vocabulary):
        vocabulary = Vocabulary(sorted(texts))
    known = {name: number for number, name in enumerate(vocabulary.names)}
    if len(known) > MAX_CLASSES:
        raise InputError(f"{path}: has {len(known):,} classes; {MAX_CLASSES:,} are allowed")
    for text in texts:
        if text not in known:
            raise InputError(f"{path}: label {text!r} is not a name in the vocabulary")
    return np.array([known[text] for text in texts], np.int64), vocabulary


def write_vocabulary(path: Path, vocabulary: Vocabulary) -> None:
    """Writes a CSV that `read_vocabulary` reads."""
    verticals = vocabulary.verticals
    with writing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["Index", "Name", *(["Vertical1"] if verticals else [])])
        for index, name in enumerate(vocabulary.names):
            writer.writerow([index, name, *([verticals[index]] if verticals else [])])
