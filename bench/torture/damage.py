"""Files that were deleted, cut, flipped or exchanged with their neighbour."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from yt8m.base.cli import InputError

HOW = ("deleted", "cut", "flipped", "exchanged")


def damage(path: Path, how: str, neighbour: Path, rng: np.random.Generator) -> bool:
    """Does one of HOW to a file; whether it now differs. neighbour: another file of its kind."""
    before = path.read_bytes()
    if how == "deleted":
        path.unlink()
        return True
    after = bytearray(before)
    if how == "cut":
        del after[int(rng.integers(len(before))) if before else 0 :]
    elif how == "flipped" and before:
        after[int(rng.integers(len(before)))] ^= 1 << int(rng.integers(8))
    elif how == "exchanged":
        after = bytearray(neighbour.read_bytes())
        neighbour.write_bytes(before)
    path.write_bytes(after)
    return bytes(after) != before


def try_reader(
    read: Callable[[], object], path: Path, how: str, rng: np.random.Generator
) -> str | None:
    """Damages a copy in place, reads it, and puts the file back; a line unless it was refused."""
    kept = path.with_name(path.name + ".kept")
    shutil.copy2(path, kept)
    try:
        if not damage(path, how, path, rng):
            return None
        read()
    except InputError as error:
        text = str(error)
        return None if path.name in text and ";" in text else f"{path.name} {how}: says {text!r}"
    except Exception as error:
        return f"{path.name} {how}: {error!r}"
    finally:
        kept.replace(path)
    return f"{path.name} {how}: was read without a word"
