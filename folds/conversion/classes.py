"""Numbers of labels: of class numbers, of names that a vocabulary has, of names without one."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np

from folds.conversion.cells import UNCLEAR, is_number
from yt8m.base.cli import InputError
from yt8m.records.description import MAX_CLASSES
from yt8m.records.vocabulary import Vocabulary

SHOWN = 100  # classes that are listed
NUMERIC = re.compile(r"[-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?")


def number_labels(
    texts: list[str], vocabulary: Vocabulary, where, grows: bool = False
) -> tuple[np.ndarray, Vocabulary]:
    """(class of each text, int64; names of all classes, empty where nothing has names).

    texts: different labels; vocabulary: names, or empty; grows: whether names may be added to it,
    at its end. InputError, which `where` begins, for a label that is no class or may be two.
    """
    names = vocabulary.names
    numbers = [text for text in texts if is_number(text)]
    if len(numbers) == len(texts):
        found = _numbers(texts, len(names), where)
        for text, number in zip(texts, found.tolist(), strict=True):
            if text in names and names[number] != text:
                text = f"label {text!r} may be class {number} or the class of this name"
                raise InputError(f"{where}: {text}; give names that are no numbers")
        return found, vocabulary
    odd = [text for text in texts if NUMERIC.fullmatch(text)]
    odd = [text for text in odd if not is_number(text) and text not in names]
    if odd:
        most = (len(names) or MAX_CLASSES) - 1
        raise InputError(f"{where}: label {odd[0]}; whole numbers from 0 to {most} are allowed")
    if not set(names).issuperset(numbers):
        name = next(text for text in texts if not is_number(text))
        text = f"label {numbers[0]!r} is the number of a class or its name, {name!r} is a name"
        raise InputError(f"{where}: {text}; give --vocabulary with all names, or numbers alone")
    if grows or not names:
        vocabulary = Vocabulary(names + _new_names(texts, names, where), vocabulary.verticals)
        vocabulary = vocabulary.with_classes(len(vocabulary), where)
    return _by_name(texts, vocabulary.names, where), vocabulary


def _numbers(texts: list[str], classes: int, where) -> np.ndarray:
    limit, spelled = classes or MAX_CLASSES, {}
    for text in texts:
        whole = text.partition(".")[0]
        number = int(whole)
        if number >= limit:
            raise InputError(f"{where}: label {text}; 0 to {limit - 1} are allowed")
        if spelled.setdefault(number, whole) != whole:
            text = f"labels {spelled[number]} and {whole} may be one class or two"
            raise InputError(f"{where}: {text}; spell them alike")
    return np.array([int(text.partition(".")[0]) for text in texts], np.int64)


def _new_names(texts: list[str], names: list[str], where) -> list[str]:
    """The texts that are no names yet, sorted. InputError for one that may be none, or that is
    another one's name but for spaces, case or Unicode."""
    new = sorted(set(texts).difference(names))
    for text in new:
        if text.casefold() in UNCLEAR:
            two = "may be a class or mean that a video has none"
            raise InputError(
                f"{where}: label {text!r} {two}; empty the cell, or give --vocabulary with it"
            )
        if re.search(r"\d", text) and not re.search(r"[^\W\d_]", text):
            two = "is neither the number of a class nor a name"
            raise InputError(f"{where}: label {text!r} {two}; give numbers from 0, or --vocabulary")
    known: dict[str, str] = {}
    for text in [*names, *new]:
        other = known.setdefault(_plain(text), text)
        if other != text and text in new:
            two = f"labels {other!r} and {text!r} may be one class or two"
            raise InputError(f"{where}: {two}; spell them alike, or give --vocabulary with both")
    if len(names) + len(new) > MAX_CLASSES:
        text = f"has {len(names) + len(new):,} classes; {MAX_CLASSES:,} are allowed"
        raise InputError(f"{where}: {text}")
    return new


def _plain(name: str) -> str:
    """What names have in common that people might mean as one."""
    text = unicodedata.normalize("NFKC", name).casefold()
    text = "".join(c for c in text if unicodedata.category(c) != "Cf")  # such as zero-width spaces
    return re.sub(r"[\s_-]+", " ", text)


def _by_name(texts: list[str], names: list[str], where) -> np.ndarray:
    counts = Counter(names)
    number_of = {name: number for number, name in enumerate(names)}
    for text in texts:
        if text not in number_of:
            like = next((name for name in names if _plain(name) == _plain(text)), None)
            also = f"; {like!r} is" if like else ""
            raise InputError(f"{where}: label {text!r} is not a name in the vocabulary{also}")
        if counts[text] > 1:
            places = " and ".join(str(n) for n, name in enumerate(names) if name == text)
            text = f"label {text!r} is the name of classes {places}; give their numbers"
            raise InputError(f"{where}: {text}")
    return np.array([number_of[text] for text in texts], np.int64)


def list_classes(counts: Iterable[int], names: list[str]) -> Iterator[str]:
    """Lines that show how many videos each class has; counts: of all classes in order. Of many, the
    most frequent and the rarest."""
    found = [(number, int(count)) for number, count in enumerate(counts)]
    shown = found
    if len(found) > SHOWN:
        by_count = sorted(found, key=lambda pair: -pair[1])
        shown = by_count[: SHOWN // 2] + by_count[-SHOWN // 2 :]
    empty = sum(not count for _, count in found)
    title = f"{len(found):,} classes" + (f", {empty:,} of them without a video" if empty else "")
    few = "" if shown is found else f" (the {SHOWN // 2} most frequent and the {SHOWN // 2} rarest)"
    yield f"{title}; with their videos{few}:"
    for number, count in shown:
        name = f" {names[number]}" if names else ""
        yield f"  {number:>5}{name}: {count:,}"
