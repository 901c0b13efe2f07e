"""What a folder of records holds and nobody reads: named, so that no shard is missed in silence."""

from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

from yt8m.base.cli import log, name_some
from yt8m.base.paths import CLEAN_LABELS, DESCRIPTION_FILE
from yt8m.records.description import LEVELS, RATED, Description

SHARD = ".tfrecord"  # in the name of a file that is likely to be one
FOLDERS = (*LEVELS, RATED)
READ = "read are *.tfrecord and *.tfrecords, plain or .gz, here or in video/, frame/ and segment/"


def name_unread(
    data: Path,
    shards: dict[str, list[Path]],
    description: Description,
    say: Callable[[str], object] = log,
) -> None:
    """Says in one line which files and folders of `data` are not read, if any.

    shards: those that are read, by level. Files that say how to read them count as read; hidden
    ones are named if they look like shards.
    """
    known = {DESCRIPTION_FILE, CLEAN_LABELS, description.vocabulary}
    names = list(_unread(Path(data), set(chain(*shards.values())), known))
    if names:
        say(f"{data}: {len(names):,} files or folders are not read: {name_some(names)}; {READ}")


def _unread(data: Path, read: set[Path], known: set) -> Iterator[str]:
    """Names below `data`, sorted; of a sub-folder only its own."""
    for folder in (data, *(data / name for name in FOLDERS)):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            looked_into = folder == data and path.name in FOLDERS and path.is_dir()
            hidden = path.name.startswith(".") and SHARD not in path.name
            if path in read or path.name in known or looked_into or hidden:
                continue
            name = str(path.relative_to(data))
            if not path.is_dir():
                yield name
            elif next(path.iterdir(), None):
                yield f"{name}/"
