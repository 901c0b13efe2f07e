"""Labels in the cells of a table, as people and libraries write them.

All cells of a table have one reading: numbers between any of space, comma, semicolon and bar; lists
of JSON, Python and numpy; or names, with one character between them. Where two readings of names
are possible, an InputError shows both.
"""

import ast
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise

from yt8m.base.cli import InputError

WORDS = {"": "none", ";": "semicolon", "|": "bar", ",": "comma", " ": "space", "\t": "tab"}
NUMBER = re.compile(r"[0-9]+(?:\.0*)?")  # 7, and pandas' 7.0
ABSENT = {"", "nan", "<na>", "nat"}  # what pandas and numpy write for no value
UNCLEAR = {"none", "null", "na", "n/a"}  # no value among numbers; names might be called so
BETWEEN = re.compile(r"[\s,;|]+")
FEW = 20  # texts, of which names seldom share their words
SELDOM = "/+&:"  # stand in names, and between them where that makes fewer classes
TOKEN = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s,;'"\[\](){}]+)"""
LIST = re.compile(rf"\s*(?:{TOKEN}(?:\s*[,;]\s*|\s+|$))*", re.DOTALL)
CALLED = re.compile(
    r"(?:np\.|numpy\.)?(?:array|frozenset|set|list|tuple)\((.*?)(?:,\s*dtype=.*)?\)"
)
SCALAR = re.compile(r"\b(?:np|numpy)\.\w+\(([^()]*)\)")  # numpy 2 writes np.str_('cat')
PAIRS = {"[": "]", "(": ")", "{": "}"}
Cell = str | tuple[str, ...]  # a text, or labels that a table holds as a list


def separator_of(text: str | None) -> str | None:
    """What --label-separator says, a word of WORDS or characters, as characters; "" = a cell is one
    label; None = the cells decide."""
    if text == "":
        raise InputError("--label-separator: is empty; none says that a cell is one label")
    return next((key for key, word in WORDS.items() if word == text), text)


def split_cells(
    cells: Sequence[Cell],
    where,
    *,
    single: bool,
    separator: str | None = None,
    names: Collection[str] = (),
    closed: bool = True,
) -> list[list[str]]:
    """The labels of each cell, in Unicode's composed form (NFC).

    single: whether the column promises one label a cell; separator: as of `separator_of`; names: of
    the classes, where they are known; closed: whether there can be no others. InputError, which
    `where` begins, when two readings are possible.
    """
    found: dict[int, list[str]] = {}
    texts: dict[int, str] = {}
    for number, cell in enumerate(cells):
        if isinstance(cell, str):
            text = unicodedata.normalize("NFC", cell.strip())
            labels = None if separator == "" else _read_list(text, where)
            if labels is None:
                texts[number] = text
                continue
        else:
            labels = [unicodedata.normalize("NFC", label.strip()) for label in cell]
        found[number] = labels
    texts = {number: text for number, text in texts.items() if text.casefold() not in ABSENT}
    if texts and separator != "" and all(t[0] == "[" and t[-1] == "]" for t in texts.values()):
        texts, single = {number: text[1:-1].strip() for number, text in texts.items()}, False
    if separator is None:
        separator = _judge(list(dict.fromkeys(texts.values())), where, single, names, closed)
    for number, text in texts.items():
        found[number] = _pieces(text, separator)
    return [_present(found.get(number, ())) for number in range(len(cells))]


def is_number(text: str) -> bool:
    return NUMBER.fullmatch(text) is not None


def _present(labels: Iterable[str]) -> list[str]:
    return [label for label in labels if label.casefold() not in ABSENT]


def _read_list(text: str, where) -> list[str] | None:
    """The labels of a list; None for a text that is none, or whose names have no quotes."""
    called = CALLED.fullmatch(" ".join(text.split()))
    text = SCALAR.sub(r"\1", called[1] if called else text).strip()
    bracketed = bool(text) and PAIRS.get(text[0]) == text[-1]
    if not bracketed and text[:1] not in ('"', "'"):
        return [] if called and not text else None
    inside = text[1:-1].strip() if bracketed else text
    tokens = re.findall(TOKEN, inside)
    bare = [token for token in tokens if token[0] not in "\"'"]
    absent = {token for token in bare if token.casefold() in ABSENT | UNCLEAR}
    values = all(is_number(token) or token in absent for token in bare)
    if values and LIST.fullmatch(inside) and (bracketed or not bare):
        return [_unquote(token) for token in tokens if token not in absent]
    if bracketed and text[0] in "[{" and ("..." in bare or re.search(r"""["'\[{]""", inside)):
        raise InputError(f"{where}: {text[:80]!r} is no list of labels; write [1, 2] or ['a', 'b']")
    return None


def _unquote(token: str) -> str:
    """A JSON or Python string; a bare word as it is."""
    if token[0] == '"':
        try:
            return json.loads(token, strict=False).strip()
        except ValueError:
            pass
    if token[0] in "\"'":
        try:
            return str(ast.literal_eval(token)).strip()
        except (SyntaxError, ValueError):
            return token[1:-1].strip()
    return token


def _pieces(text: str, separator: str | None) -> list[str]:
    """separator: None = any between numbers, which may have a word for no value among them."""
    if separator is None:
        return [t for t in BETWEEN.split(text) if t and t.casefold() not in UNCLEAR]
    if not separator:
        return [text]
    parts = text.split() if separator == " " else text.split(separator)
    return [part.strip() for part in parts if part.strip()]


def _judge(texts: list[str], where, single: bool, names, closed: bool) -> str | None:
    """The separator of all texts, "" = each is one label, None = all are numbers."""
    if all(_is_numbers(text) for text in texts):
        if texts and all(re.fullmatch(r"[0-9]+,0+", text) for text in texts):
            text = f"{texts[0]!r} may be a decimal comma, or the labels"
            remedy = "write whole numbers, or choose --label-separator comma"
            raise InputError(f"{where}: {text} {' and '.join(texts[0].split(','))}; {remedy}")
        return None
    present = [c for c in ";|, " if any(_cuts(text, c) for text in texts)]
    if names:
        strange = {c: sum(p not in names for t in texts for p in _pieces(t, c)) for c in present}
        strange[""] = sum(text not in names for text in texts)
        fitting = [c for c, count in strange.items() if not count]
        if len(fitting) > 1:
            _refuse(texts, fitting[0], where)
        if fitting or closed:
            return fitting[0] if fitting else min(strange, key=strange.get)
    broken = next((text for text in texts if "\n" in text), None)
    if broken:
        text = "has a line break; close a quote that was left open, or write a list"
        raise InputError(f"{where}: {broken[:80]!r} {text}")
    chosen = (_one_a_cell if single else _several_a_cell)(texts, present, where)
    for character in SELDOM:
        if _makes_fewer(texts, character):
            _refuse(texts, character, where)
    return chosen


def _is_numbers(text: str) -> bool:
    tokens = _pieces(text, None)
    return all(map(is_number, tokens)) and (bool(tokens) or text.casefold() in UNCLEAR)


def _cuts(text: str, separator: str) -> bool:
    return bool(re.search(r"\s", text)) if separator == " " else separator in text


def _one_a_cell(texts: list[str], present: list[str], where) -> str:
    """Refuses what looks like several labels in a column that promises one a cell. Spaces are part
    of names, unless most words stand in other cells too, as few names would have it."""
    for separator in present:
        seen, _ = _count_pieces(texts, separator)
        cut = [text for text in texts if _cuts(text, separator)]
        shared = sum(all(seen[piece] > 1 for piece in _pieces(text, separator)) for text in cut)
        few = len(texts) <= FEW or _makes_fewer(texts, separator)
        if separator != " " or (few and 2 * shared >= len(cut)):
            _refuse(cut, separator, where)
    return ""


def _several_a_cell(texts: list[str], present: list[str], where) -> str:
    """Refuses spaces, which names have too, and commas that parts of names may stand between."""
    marks = [separator for separator in present if separator != " "]
    if len(marks) > 1:
        other = next(text for text in texts if marks[1] in text)
        _refuse([other], marks[1], where, f"labels with a {WORDS[marks[0]]} between them")
    if present and (present[0] == " " or (present[0] == "," and not _are_lists(texts))):
        _refuse(texts, present[0], where)
    return present[0] if present else ""


def _are_lists(texts: list[str]) -> bool:
    """Whether names come back on their own in texts with commas, as parts of names would not."""
    if len({bool(space) for text in texts for space in re.findall(r",(\s?)", text)}) > 1:
        return False
    seen, halves = _count_pieces(texts, ",")
    pairs = Counter(pair for text in texts for pair in pairwise(_pieces(text, ",")))
    together = any(count == seen[a] == seen[b] > 1 for (a, b), count in pairs.items())
    if together and any(", " in text for text in texts):
        return False  # such as "Male speech, man speaking", a name of AudioSet's
    return _makes_fewer(texts, ",") or all(seen[piece] > 1 for piece in halves)


def _count_pieces(texts: list[str], separator: str) -> tuple[Counter, set[str]]:
    """(in how many texts each piece is, the pieces of texts that have more than one)."""
    split = [set(_pieces(text, separator)) for text in texts]
    seen = Counter(piece for pieces in split for piece in pieces)
    return seen, {piece for pieces in split if len(pieces) > 1 for piece in pieces}


def _makes_fewer(texts: list[str], separator: str) -> bool:
    """Whether cut texts make fewer classes than whole ones: then the pieces come back."""
    return len({piece for text in texts for piece in _pieces(text, separator)}) < len(texts)


def _refuse(texts: list[str], separator: str, where, other: str = "one label"):
    """Shows both readings of the shortest text that has the separator."""
    text = min((text for text in texts if _cuts(text, separator)), key=len)
    pieces = _pieces(text, separator)
    shown = " and ".join(map(repr, pieces[:3])) + (" and more" if len(pieces) > 3 else "")
    word = WORDS.get(separator, separator)
    remedy = f"choose with --label-separator {word} or --label-separator none"
    raise InputError(f"{where}: {text[:80]!r} may be {other}, or the labels {shown}; {remedy}")
