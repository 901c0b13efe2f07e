"""Labels from a table, a CSV or parquet: a column `id`, and labels in one of three forms.

`labels`: several in a cell; `label`: one a cell; neither of them: a column of 0 and 1 a class.
Labels are class numbers or class names; folds/conversion/cells.py says how cells are read. In
memory: ids and labels, some 50 bytes a video, and every cell that differs from the others.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from folds.conversion.cells import Cell, is_number, separator_of, split_cells
from folds.conversion.classes import number_labels
from folds.conversion.ids import as_ids
from folds.conversion.tables import TableColumns, read_rows
from yt8m.base.cli import InputError
from yt8m.records.labels import Labels
from yt8m.records.vocabulary import Vocabulary

ROWS = 100_000  # read at a time
SHIFT = np.int64(16)  # a class is uint16


@dataclass(frozen=True)
class LabelFile:
    """The labels of the videos that a table names, and the label space.

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


@dataclass(frozen=True)
class LabelOptions:
    """What the user says of a table of labels. columns: of labels; separator: as of
    `separator_of`; grows: whether names may be added to the vocabulary."""

    id_column: str = "id"
    columns: tuple[str, ...] = ()
    separator: str | None = None
    grows: bool = False


def read_labels(
    path: Path, vocabulary: Vocabulary, options: LabelOptions = LabelOptions()
) -> LabelFile:
    """Reads a table. Rows of one id are joined; a row without labels is a video that has none.

    vocabulary: names of classes, or empty. InputError on other columns, an empty id, a label that
    is no class, or a cell that has two readings.
    """
    columns, chunks = read_rows(path, ROWS, options.id_column, options.columns)
    codes: dict[Cell, int] = {}
    ids, coded = [np.zeros(0, "S1")], []
    for videos, cells in chunks:
        ids.append(as_ids(videos, path))
        numbers = [[codes.setdefault(cell, len(codes)) for cell in column] for column in cells]
        coded.append(np.array(numbers, np.int64))
    labels, classes, names = _labels_of(list(codes), columns, path, vocabulary, options)
    unique, row = np.unique(np.concatenate(ids), return_inverse=True)
    keys = [np.zeros(0, np.int64)]
    for column in np.concatenate(coded, axis=1) if coded else ():
        taken = labels.take(column)
        keys.append(row[taken.rows()].astype(np.int64) << SHIFT | taken.indices)
    keys = np.unique(np.concatenate(keys))
    indptr = np.searchsorted(keys >> SHIFT, np.arange(len(unique) + 1)).astype(np.int64)
    if not classes or not len(unique):
        raise InputError(f"{path}: has no label at all; give --vocabulary, or no --labels")
    return LabelFile(unique, Labels(indptr, keys.astype(np.uint16)), classes, names)


def _labels_of(
    cells: list[Cell], columns: TableColumns, path: Path, vocabulary, options: LabelOptions
):
    """(Labels of each cell, number of classes, names of the classes)."""
    split = split_cells(
        cells,
        path,
        single=columns.single,
        separator=separator_of(options.separator),
        names=frozenset(vocabulary.names),
        closed=not options.grows,
    )
    first = columns.names if columns.one_hot else ()  # a class may be without a video
    texts = list(dict.fromkeys([*first, *(label for labels in split for label in labels)]))
    whole = {label.partition(".")[0] for label in texts if is_number(label)}
    if whole == {"0", "1"} and any(len(labels) > 2 for labels in split):
        text = "cells of 0 and 1 alone may be numbers of classes, or one of them a class"
        raise InputError(f"{path}: {text}; write the numbers of a video's classes")
    numbers, names = number_labels(texts, vocabulary, path, options.grows)
    number_of = dict(zip(texts, numbers.tolist(), strict=True))
    labels = Labels.from_lists([[number_of[label] for label in labels] for labels in split])
    return labels, len(names) or int(numbers.max(initial=-1)) + 1, names


def labels_for(
    ids: np.ndarray,
    labels: Path | None,
    names: Vocabulary,
    options: LabelOptions = LabelOptions(),
):
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
    known = read_labels(labels, names, options)
    rows = known.rows(ids)
    if (rows < 0).all():
        ours, theirs = (values[0].decode(errors="replace") for values in (ids, known.ids))
        text = f"none of its ids, such as {theirs!r}, is one of the features', such as {ours!r}"
        raise InputError(f"{labels}: {text}; spell them alike")
    return known, rows
