"""Shards that a server of the tests has, and calls of the download."""

import hashlib

from folds import download
from folds.partition import local_name

PARTITION = "2/video/train"
NAMES = [f"train{a}{b}.tfrecord" for a in "aZ9" for b in "abB0"]


def content(name: str) -> bytes:
    seed = hashlib.sha256(name.encode()).digest()
    return seed * (1000 + seed[0])


def fetch(server, data, **options):
    options = {"mirror": server.address, "tries": 3, **options}
    download.main(server.partition, data, **options)


def arrived(data) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (data / "video").glob("*.tfrecord")}


EVERYTHING = {local_name(name): content(name) for name in NAMES}
