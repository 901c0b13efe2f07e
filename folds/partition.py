"""The public plan of a YouTube-8M partition: its files, their MD5s, and where they go.

The protocol of the official script, http://data.yt8m.org/download.py, which
https://research.google.com/youtube8m/download.html names (read in public copies of it that begin
"Downloads YouTube8M Dataset files for a specific partition from a mirror"):

- http://data.yt8m.org/<version>/download_plans/<kind>_<split>.json is {"files": {name: MD5}};
- a shard is at http://<mirror>.data.yt8m.org/<partition>/<name>, mirrors us, eu and asia;
- of `shard=X,Y`, a name belongs to part X if its own MD5, as a number, is X - 1 modulo Y: about
  one file in Y, the same ones for everybody;
- the last two characters of a name count from aa to 99 (a-z, A-Z, 0-9) and are written as four
  digits, train0001.tfrecord for trainab.tfrecord: some disks take trainaB and trainab for the same.
"""

import hashlib
import json
import os
import re
import string
from dataclasses import dataclass
from pathlib import Path

from folds.fetching import Fetcher
from yt8m.base.cli import InputError

MIRRORS = ("us", "eu", "asia")
PLANS = "http://data.yt8m.org"
SHARDS = "http://{mirror}.data.yt8m.org"
# Where yt8m.records.description looks for records: those of 3/frame have rated segments.
FOLDERS = {"2/video": "video", "2/frame": "frame", "3/frame": "segment"}
SPLITS = ("train", "validate", "test")
DIGITS = string.ascii_lowercase + string.ascii_uppercase + string.digits


@dataclass(frozen=True)
class File:
    """A shard of the plan: where it is, where it goes, its MD5."""

    url: str
    path: Path
    md5: str


@dataclass(frozen=True)
class Partition:
    """A part of a partition, such as the first of 100 parts of 2/video/train."""

    name: str
    part: int  # from 1
    parts: int
    plans: str  # addresses
    shards: str

    @classmethod
    def parse(cls, partition: str, shards: str, mirror: str) -> "Partition":
        """From what a user says. InputError when it is not allowed.

        partition: 2/video/train; shards: X,Y; mirror: us, eu, asia or the address of a copy.
        """
        kind, _, split = partition.rpartition("/")
        if kind not in FOLDERS or split not in SPLITS:
            raise InputError(
                f"partition {partition!r}: 2/video, 2/frame or 3/frame (segment-rated), then "
                "/train, /validate or /test, is allowed"
            )
        numbers = re.fullmatch(r"(\d{1,6}),(\d{1,6})", shards)
        part, parts = map(int, numbers.groups()) if numbers else (0, 0)
        if not 1 <= part <= parts:
            raise InputError(f"--shards {shards}: X,Y with 1 <= X <= Y is allowed, such as 1,100")
        if mirror in MIRRORS:
            return cls(partition, part, parts, PLANS, SHARDS.format(mirror=mirror))
        if not re.match(r"https?://[^/]", mirror):
            raise InputError(f"--mirror {mirror}: {', '.join(MIRRORS)} or http(s)://... is allowed")
        return cls(partition, part, parts, mirror.rstrip("/"), mirror.rstrip("/"))

    @property
    def folder(self) -> str:
        """The folder of DATA that its records belong to."""
        return FOLDERS[self.name.rpartition("/")[0]]

    def plan(self, fetcher: Fetcher) -> dict[str, str]:
        """The MD5 of each file of the whole partition. InputError when there is no such plan."""
        version, kind, split = self.name.split("/")
        url = f"{self.plans}/{version}/download_plans/{kind}_{split}.json"
        content = fetcher.content(url)
        try:
            files = {name: str(md5) for name, md5 in json.loads(content)["files"].items()}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            text = f'{url}: is no download plan ({{"files": {{name: MD5}}}}); check the mirror'
            raise InputError(text) from error
        for name, md5 in files.items():
            # Names become paths here: only a plain name of a shard may.
            if not re.fullmatch(r"\w+\.tfrecords?:[0-9a-f]{32}", f"{name}:{md5}", re.A):
                text = f"{name!r}: {md5!r} is no shard and its MD5; check the mirror"
                raise InputError(f"{url}: {text}")
        return files

    def files(self, plan: dict[str, str], folder: Path) -> list[File]:
        """The files of this part, sorted by name. A file that was got by hand, under the server's
        name, stays where it is. InputError when this part has none."""
        names = [name for name in sorted(plan) if _number(name) % self.parts == self.part - 1]
        if not names:
            text = f"no file of {self.name} is in this part; take another"
            raise InputError(f"--shards {self.part},{self.parts}: {text}")
        here = set(os.listdir(folder)) if folder.is_dir() else set()
        paths = [folder / (name if name in here else local_name(name)) for name in names]
        return [
            File(f"{self.shards}/{self.name}/{name}", path, plan[name])
            for name, path in zip(names, paths, strict=True)
        ]


def local_name(name: str) -> str:
    """trainab.tfrecord -> train0001.tfrecord; a name with other last characters stays."""
    stem, _, suffix = name.partition(".")
    if len(stem) < 2 or any(character not in DIGITS for character in stem[-2:]):
        return name
    number = DIGITS.index(stem[-2]) * len(DIGITS) + DIGITS.index(stem[-1])
    return f"{stem[:-2]}{number:04d}.{suffix}"


def _number(name: str) -> int:
    return int(hashlib.md5(name.encode(), usedforsecurity=False).hexdigest(), 16)
