"""Tables of labels, CSV or parquet, as rows of ids and cells, many rows at a time.

A CSV is in UTF-8, with or without a BOM; commas, tabs, semicolons or bars, as its header says.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from folds.conversion.cells import Cell
from folds.conversion.sources import open_parquet
from yt8m.base.cli import InputError
from yt8m.records.description import GROUP

IDS = ("id", "video_id", "VideoId")
MANY, ONE = "labels", "label"
NUMBERED = re.compile(r"labels?(?:[ _.-]?\d+)?")  # label, label_2, and pandas' label.1
UNNAMED = re.compile(r"$|unnamed: \d+$")  # the index of a pandas table
DELIMITERS = (",", "\t", ";", "|")
MARKS = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}
Rows = tuple[list, list[list[Cell]]]  # ids; cells of each column of labels


@dataclass(frozen=True)
class TableColumns:
    """Which columns of a table are read: their places in its header.

    single: whether a cell promises one label; one_hot: whether each column is a class.
    """

    header: list[str]
    id: int
    labels: list[int]
    single: bool
    one_hot: bool = False

    @property
    def names(self) -> list[str]:
        """Of the columns of labels."""
        return [self.header[place] for place in self.labels]


def open_table(path: Path, id_column: str = "id") -> "_Csv | _Parquet":
    """A table with a `header`, and `chunks` of rows of some columns. InputError when it is none."""
    with open(path, "rb") as file:
        return _Parquet(path) if file.read(4) == b"PAR1" else _Csv(path, id_column)


def find_column(header: list[str], *names: str) -> int | None:
    """The place of the first of the names that just one column has, in any case."""
    columns = [str(name).strip().casefold() for name in header]
    found = (name.casefold() for name in names if name.casefold() in columns)
    name = next(found, None)
    return columns.index(name) if columns.count(name) == 1 else None


def read_rows(
    path: Path, rows: int, id_column: str, chosen: Sequence[str]
) -> tuple[TableColumns, Iterator[Rows]]:
    """A table's columns, and its rows, so many at a time. chosen: names of columns of labels, if
    the user gave some. InputError when it is no table, or lacks a column."""
    table = open_table(path, id_column)
    columns = find_columns(table.header, path, id_column, chosen)
    chunks = table.chunks(rows, [columns.id, *columns.labels])
    return columns, _check(chunks, columns, path)


def find_columns(header: list[str], where, id_column: str, chosen: Sequence[str]) -> TableColumns:
    """InputError, which `where` begins, unless the ids' column, and one of labels, is there."""
    header = [unicodedata.normalize("NFC", name.strip()) for name in header]
    names = [name.casefold() for name in header]
    own = find_column(header, id_column, *IDS)
    absent = [name for name in chosen if name.casefold() not in names]
    if own is None or absent:
        raise InputError(f"{where}: {_ask_for_columns(header)}")
    others = [at for at, name in enumerate(names) if at != own and not UNNAMED.match(name)]
    if chosen:
        asked = {name.casefold() for name in chosen}
        return TableColumns(header, own, [at for at in others if names[at] in asked], True)
    others = [at for at in others if names[at] != GROUP]
    labels = [place for place in others if NUMBERED.fullmatch(names[place])]
    several = {names[place].startswith(MANY) for place in labels}
    if len(several) > 1:
        both = " and ".join(header[place] for place in labels)
        raise InputError(f"{where}: {both} may be the labels; choose with --label-column")
    if not labels and len(others) < 2:
        raise InputError(f"{where}: {_ask_for_columns(header)}")
    found = TableColumns(header, own, labels or others, True not in several, one_hot=not labels)
    twice = [name for name, count in Counter(found.names).items() if count > 1 and not labels]
    if twice:
        raise InputError(f"{where}: column {twice[0]!r} appears twice; give each class one column")
    return found


def _ask_for_columns(header: list[str]) -> str:
    return (
        f"columns {' or '.join(IDS)}, and {MANY} or {ONE}, are needed; it has "
        f"{', '.join(header) or 'none'}; name them by --id-column and --label-column"
    )


def _check(chunks: Iterator[list], columns: TableColumns, path: Path) -> Iterator[Rows]:
    """The rows; of columns of 0 and 1, each row's classes as one cell."""
    marks = len(columns.labels) > 1
    for ids, *cells in chunks:
        if columns.one_hot:
            yield ids, [_classes_of(cells, columns, path)]
            continue
        marks = marks and all(cell in MARKS for column in cells for cell in column)
        yield ids, cells
    if marks and not columns.one_hot:
        text = f"{' and '.join(columns.names[:2])} hold 0 and 1, of classes 0 and 1 or of a class"
        raise InputError(f"{path}: {text} each; call columns like their classes, or leave one")


def _classes_of(cells: list[list[Cell]], columns: TableColumns, path: Path) -> list[Cell]:
    found: list[list[str]] = [[] for _ in cells[0]]
    for name, column in zip(columns.names, cells, strict=True):
        for row, cell in enumerate(column):
            mark = MARKS.get(cell.strip().casefold() if isinstance(cell, str) else cell)
            if mark is None:
                raise InputError(f"{path}: {_ask_for_columns(columns.header)}")
            if mark:
                found[row].append(name)
    return [tuple(labels) for labels in found]


class _Csv:
    """A CSV, read by pandas."""

    def __init__(self, path: Path, id_column: str):
        self.path = path
        known = {name.casefold() for name in (id_column, *IDS)}
        found, wrong = [], None
        for delimiter in DELIMITERS:
            try:
                (frame,) = self._read(delimiter, nrows=1)
            except InputError as error:
                wrong = wrong or error
                continue
            header = frame.iloc[0].tolist() if len(frame) else []
            hit = any(str(name).strip().casefold() in known for name in header)
            found.append(((hit, len(header)), header, delimiter))
        if wrong and not any(rated[0] for rated, *_ in found):
            raise wrong
        _, self.header, self.delimiter = max(found, key=lambda entry: entry[0])

    def _read(self, delimiter: str, **more) -> Iterator:
        """Frames of text; an empty text is one, a field that is absent is NaN."""
        import pandas  # takes a while to import, and only this needs it

        form = {"header": None, "dtype": str, "keep_default_na": False, "engine": "python"}
        form |= {"skipinitialspace": True, "sep": delimiter}
        try:
            found = pandas.read_csv(self.path, **form, **more)
            yield from [found] if "nrows" in more else found
        except pandas.errors.EmptyDataError:
            yield pandas.DataFrame()
        except (pandas.errors.ParserError, UnicodeError) as error:
            raise InputError(f"{self.path}: {_explain(error)}") from error

    def chunks(self, rows: int, places: list[int]) -> Iterator[list]:
        """The cells of some columns, of so many rows at a time."""
        for number, frame in enumerate(self._read(self.delimiter, chunksize=rows)):
            frame = frame[int(number == 0) :]
            frame = frame[(frame.notna() & (frame != "")).any(axis=1)]  # not rows of commas alone
            short = frame.isna().any(axis=1)
            if short.any():
                text = f"row {short.idxmax()} has fewer fields than the header"
                raise InputError(f"{self.path}: {text}, {len(self.header)}; is the file complete?")
            yield [frame.iloc[:, place].tolist() for place in places]


class _Parquet:
    """A parquet file, whose cells may be lists."""

    def __init__(self, path: Path):
        self.file, self.path = open_parquet(path), path
        self.header = self.file.schema_arrow.names

    def chunks(self, rows: int, places: list[int]) -> Iterator[list]:
        """As of _Csv."""
        names = [self.header[place] for place in places]
        for batch in self.file.iter_batches(rows, columns=names):
            ids, *labels = (batch.column(name).to_pylist() for name in names)
            yield [ids, *([self._cell(value) for value in column] for column in labels)]

    def _cell(self, value) -> Cell:
        if isinstance(value, list):
            return tuple(str(self._cell(item)) for item in value)
        if isinstance(value, dict):
            raise InputError(f"{self.path}: {str(value)[:80]} is no list of labels; write a list")
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return ""
        return value.decode() if isinstance(value, bytes) else str(value)


def _explain(error: Exception) -> str:
    found = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
    if not found:
        return f"not a CSV in UTF-8 ({' '.join(str(error).split())})"
    text = f"line {found[2]} has {found[3]} fields, the header {found[1]}"
    return f"{text}; put quotes around a cell with commas in it"
