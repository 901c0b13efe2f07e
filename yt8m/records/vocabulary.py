"""Class names and verticals from a vocabulary CSV.

YouTube-8M: columns Index, Name, Vertical1; AudioSet: index, display_name. Rows come in any order
and are joined on the index column; a field may hold newlines.
"""

import csv
import hashlib
import json
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from yt8m.base.cli import InputError
from yt8m.base.files import writing

INDEX = ("Index", "index")
NAME = ("Name", "display_name", "name")
VERTICAL = ("Vertical1", "vertical1", "vertical")
# What records of a conversion say of the vocabulary that numbers their labels. No kind of features
# has such a name.
STATEMENT, CLASS_NAMES = "_vocabulary", "_class_names"


@dataclass(frozen=True)
class Vocabulary:
    """names: of each class; verticals: of each class, "" = unknown; [] = none are known."""

    names: list[str]
    verticals: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.names)

    def with_classes(self, classes: int, where) -> "Vocabulary":
        """With exactly `classes` classes, the unknown called `class 17`. InputError if fewer."""
        if len(self) > classes:
            raise InputError(
                f"{where}: names class {len(self) - 1}, but the description says classes = "
                f"{classes}; make them agree"
            )
        missing = range(len(self), classes)
        names = self.names + [f"class {index}" for index in missing]
        return Vocabulary(names, self.verticals + [""] * len(missing) if self.verticals else [])


def read_vocabulary(path: Path) -> Vocabulary:
    """Reads a vocabulary CSV. InputError on missing columns, a doubled or a wrong index."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or []
            read = [row for row in reader if any(row.values())]  # the last line may be empty
    except (csv.Error, UnicodeError) as error:
        raise InputError(f"{path}: not a CSV in UTF-8 ({error})") from error
    index, name = _column(path, columns, INDEX), _column(path, columns, NAME)
    vertical = next((known for known in VERTICAL if known in columns), None)
    rows = {}
    for row in read:
        key = (row[index] or "").strip()
        if not key.isdecimal() or int(key) > 65535:
            raise InputError(f"{path}: {index} {key!r}; integers from 0 to 65535 are allowed")
        if int(key) in rows:
            raise InputError(f"{path}: {index} {key} appears twice; delete one row")
        called = unicodedata.normalize("NFC", (row[name] or "").strip())
        rows[int(key)] = (called, (row[vertical] or "") if vertical else "")
    if not rows:
        raise InputError(f"{path}: holds no classes")
    known = [rows.get(key, ("", "")) for key in range(max(rows) + 1)]
    names = [text or f"class {key}" for key, (text, _) in enumerate(known)]
    return Vocabulary(names, [text for _, text in known] if vertical else [])


def _column(path: Path, columns, accepted) -> str:
    for name in accepted:
        if name in columns:
            return name
    raise InputError(
        f"{path}: has no column {' or '.join(accepted)}; it has {', '.join(columns) or 'none'}"
    )


def write_vocabulary(path: Path, vocabulary: Vocabulary) -> None:
    """Writes a CSV that `read_vocabulary` reads."""
    verticals = vocabulary.verticals
    with writing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["Index", "Name", *(["Vertical1"] if verticals else [])])
        for index, name in enumerate(vocabulary.names):
            writer.writerow([index, name, *([verticals[index]] if verticals else [])])


def state_vocabulary(names: list[str]) -> list[int]:
    """What a record states: how many classes there are, and a hash of their names in order."""
    digest = hashlib.blake2b(json.dumps(names).encode(), digest_size=7).digest()
    return [len(names), int.from_bytes(digest)]


def find_difference(names: list[str], others: list[str]) -> int | None:
    """The first class of `names` that is not the same in `others`; None when all are."""
    same = [name == other for name, other in zip(names, others, strict=False)]
    at = same.index(False) if False in same else len(same)
    return at if at < len(names) else None
