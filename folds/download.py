"""Public YouTube-8M shards, verified, into the folder that `make all DATA=...` takes.

    python -m folds.download 2/video/train DATA [--shards 1,100] [--mirror us] [--connections 4]

A killed download resumes where it stopped. Verified files are not fetched again.
"""

import shutil
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

from folds.fetching import Fetcher, md5_of, partial_of, size_of
from folds.partition import MIRRORS, File, Partition
from yt8m.base import cli
from yt8m.base.cli import InputError, log
from yt8m.base.files import read_json, working_in, write_json, writing
from yt8m.records.vocabulary import read_vocabulary

VOCABULARY = "https://research.google.com/youtube8m/csv/2/vocabulary.csv"
VERIFIED = ".verified.json"  # name -> MD5, size, time: these need not be read again
REPORT_SECONDS = 5
MOST_FAILURES = 5  # files: a server that is down is not asked for thousands
MB = 1e6


def main(
    partition: str,
    data: Path,
    *,
    shards: str = "1,1",
    mirror: str = "us",
    connections: int = 4,
    tries: int = 6,
) -> None:
    """Downloads a PARTITION such as 2/video/train into DATA/video, DATA/frame or DATA/segment.

    --shards: X,Y = part X of Y of its files; --mirror: us, eu, asia, or the address of a copy;
    --connections: at a time; --tries: before giving up on a file that does not grow.
    """
    wanted = Partition.parse(partition, shards, mirror)
    if connections < 1 or tries < 1:
        raise InputError(f"--connections {connections} --tries {tries}: at least 1 is needed")
    fetcher, folder = Fetcher(tries), data / wanted.folder
    plan = wanted.plan(fetcher)
    files = wanted.files(plan, folder)
    log(f"[download] {partition}: {len(files):,} of its {len(plan):,} shards, into {folder}")
    with working_in(folder):
        verified = Verified(folder)
        missing = [file for file in files if not verified.holds(file)]
        verified.write()
        if missing:
            check_disk(fetcher, missing, folder, connections)
            download(fetcher, missing, verified, connections)
    if mirror in MIRRORS:
        _fetch_vocabulary(fetcher, data / "vocabulary.csv")
    size = sum(size_of(file.path) for file in files)
    log(f"{folder}: {len(files):,} shards, {size / MB:,.1f} MB, every MD5 as in the plan")


class Verified:
    """Which files of a folder are known to have which MD5, so that each is read once."""

    def __init__(self, folder: Path):
        self.path = folder / VERIFIED
        self.known = read_json(self.path) if self.path.is_file() else {}

    def holds(self, file: File) -> bool:
        """Whether the file is in place and right."""
        if not file.path.is_file():
            return False
        if self.known.get(file.path.name) != self._state(file):
            if md5_of(file.path) != file.md5:
                return False
            self.add(file)
        return True

    def add(self, file: File) -> None:
        self.known[file.path.name] = self._state(file)

    def write(self) -> None:
        write_json(self.path, self.known)

    def _state(self, file: File) -> list:
        status = file.path.stat()
        return [file.md5, status.st_size, status.st_mtime_ns]


def check_disk(fetcher: Fetcher, missing: list[File], folder: Path, connections: int) -> None:
    """Asks for the sizes and logs them. InputError when the disk has less room."""
    with ThreadPoolExecutor(connections) as threads:
        sizes = list(threads.map(fetcher.size, (file.url for file in missing)))
    known = [size for size in sizes if size is not None]
    # Plans have no sizes. Files whose size a server does not say count as the mean of the others.
    total = sum(known) * len(missing) / len(known) if known else 0
    here = sum(size_of(partial_of(file.path)) for file in missing)
    free = shutil.disk_usage(folder).free
    about = "" if len(known) == len(missing) else "about "
    text = (
        f"{len(missing):,} to fetch, {about}{total / MB:,.1f} MB, {here / MB:,.1f} MB of it here; "
        f"{free / MB:,.0f} MB free"
    )
    if total - here > free:
        raise InputError(f"{folder}: not enough disk: {text}; free some or take fewer --shards")
    log(f"[download] {text}")


def download(fetcher: Fetcher, missing: list[File], verified: Verified, connections: int) -> None:
    """Fetches all files and logs progress every 5 s. InputError at the end if any failed."""
    started, before, failures = time.perf_counter(), _bytes_of(missing), []
    with ThreadPoolExecutor(connections) as threads:
        tasks = {threads.submit(fetcher.fetch, f.url, f.path, f.md5): f for f in missing}
        pending = set(tasks)
        try:
            while pending:
                done, pending = wait(pending, REPORT_SECONDS)
                for task in done:
                    if isinstance(task.exception(), InputError):
                        failures.append(str(task.exception()))
                        log(f"[download] {failures[-1]}")
                    else:
                        task.result()
                        verified.add(tasks[task])
                if len(failures) >= MOST_FAILURES:
                    break
                rate = max(_bytes_of(missing) - before, 0) / (time.perf_counter() - started) / MB
                good = len(missing) - len(pending) - len(failures)
                have = _bytes_of(missing) / MB
                log(f"[download] {good:,} of {len(missing):,}, {have:,.1f} MB, {rate:,.1f} MB/s")
        finally:
            if pending:
                fetcher.stop()
            threads.shutdown(cancel_futures=True)
            verified.write()
    if failures:
        left = sum(not file.path.is_file() for file in missing)
        more = f" ({left:,} of {len(missing):,} are missing)" if left > 1 else ""
        raise InputError(f"{failures[0]}{more}")


def _bytes_of(files: list[File]) -> int:
    return sum(size_of(file.path) or size_of(partial_of(file.path)) for file in files)


def _fetch_vocabulary(fetcher: Fetcher, path: Path) -> None:
    """Fetches the class names. The data works without them."""
    if path.exists():
        return
    try:
        content = fetcher.content(VOCABULARY)
        with writing(path) as temporary:
            temporary.write_bytes(content)
            read_vocabulary(temporary)
    except InputError as error:
        log(f"[download] no class names, put them into {path} by hand: {error}")


if __name__ == "__main__":
    cli.run(main)
