"""The download of public shards: chosen as the official script does, resumed, verified."""

import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import CancelledError
from pathlib import Path

import pytest
from download_world import EVERYTHING, NAMES, PARTITION, arrived, fetch
from shard_server import Shards, serving
from urllib3 import HTTPResponse

from folds import download, fetching
from folds.fetching import Fetcher, partial_of
from folds.partition import Partition, local_name
from yt8m.records.description import find_shards

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "number"), [("aa", 0), ("ab", 1), ("aA", 26), ("a0", 52), ("ba", 62), ("99", 3843)]
)
def test_names_end_in_the_number_that_the_official_script_gives(name, number):
    assert local_name(f"train{name}.tfrecord") == f"train{number:04d}.tfrecord"
    assert local_name("a-.tfrecord") == "a-.tfrecord"


def test_parts_are_disjoint_together_everything_and_chosen_by_the_hash_of_the_name(tmp_path):
    plan = dict.fromkeys((f"validate{i:03d}.tfrecord" for i in range(400)), "0" * 32)

    def urls(part, parts):
        return [
            file.url.rpartition("/")[2]
            for file in Partition.parse(PARTITION, f"{part},{parts}", "us").files(plan, tmp_path)
        ]

    parts = [urls(part, 5) for part in range(1, 6)]
    assert sorted(sum(parts, [])) == sorted(plan) == urls(1, 1)
    # The number of a file, by the command that anybody can run: md5sum of its name.
    done = subprocess.run(["md5sum"], input=parts[2][0], text=True, capture_output=True, check=True)
    assert int(done.stdout.split()[0], 16) % 5 == 2


def test_public_addresses(tmp_path):
    asked = []

    class Noted:
        def content(self, url):
            asked.append(url)
            return json.dumps({"files": {"trainab.tfrecord": "0" * 32}}).encode()

    for mirror, kind, folder in (("eu", "2/video", "video"), ("us", "3/frame", "segment")):
        partition = Partition.parse(f"{kind}/train", "1,1", mirror)
        (file,) = partition.files(partition.plan(Noted()), tmp_path)
        assert file.url == f"http://{mirror}.data.yt8m.org/{kind}/train/trainab.tfrecord"
        assert (file.path.name, partition.folder) == ("train0001.tfrecord", folder)
    assert asked == [
        "http://data.yt8m.org/2/download_plans/video_train.json",
        "http://data.yt8m.org/3/download_plans/frame_train.json",
    ]


def test_everything_arrives_where_decode_looks_and_is_not_fetched_again(server, tmp_path, capsys):
    fetch(server, tmp_path)
    assert arrived(tmp_path) == EVERYTHING
    assert "12 to fetch" in capsys.readouterr().out
    server.asked.clear()
    fetch(server, tmp_path)
    assert server.gets() == []
    assert not list((tmp_path / "video").glob(".*.part"))
    changed = tmp_path / "video" / local_name(NAMES[3])
    changed.write_bytes(b"damaged")
    fetch(server, tmp_path)
    assert [name for name, _ in server.gets()] == [NAMES[3]]
    assert arrived(tmp_path) == EVERYTHING


def test_what_was_verified_is_not_read_again(server, tmp_path, monkeypatch):
    fetch(server, tmp_path)
    read = []
    monkeypatch.setattr(download, "md5_of", lambda path: read.append(path) or "")
    fetch(server, tmp_path)
    assert read == []
    os.utime(tmp_path / "video" / local_name(NAMES[0]), (1, 1))
    fetch(server, tmp_path)
    assert [path.name for path in read] == [local_name(NAMES[0])]


def test_a_shard_got_by_hand_under_the_servers_name_is_kept(server, tmp_path):
    (tmp_path / "video").mkdir()
    (tmp_path / "video" / NAMES[1]).write_bytes(server.files[NAMES[1]])
    fetch(server, tmp_path)
    assert NAMES[1] not in [name for name, _ in server.gets()]
    assert set(arrived(tmp_path)) == set(EVERYTHING) - {local_name(NAMES[1])} | {NAMES[1]}


@pytest.mark.parametrize("knows_ranges", [True, False])
@pytest.mark.parametrize("tells_sizes", [True, False])
def test_a_partial_file_is_continued_if_the_server_can(server, tmp_path, knows_ranges, tells_sizes):
    server.knows_ranges, server.tells_sizes = knows_ranges, tells_sizes
    name, content = NAMES[0], server.files[NAMES[0]]
    partial = partial_of(tmp_path / "video" / local_name(name))
    partial.parent.mkdir()
    partial.write_bytes(content[:777])
    fetch(server, tmp_path)
    assert arrived(tmp_path) == EVERYTHING
    assert (name, "bytes=777-") in server.gets()
    assert len(server.gets()) == len(NAMES), "no second try was needed"


@pytest.mark.parametrize("rest", [b"", b"more than there is"])
@pytest.mark.parametrize("right", [True, False])
def test_a_partial_file_of_full_length_or_more(server, tmp_path, rest, right):
    name, content = NAMES[0], server.files[NAMES[0]]
    partial = partial_of(tmp_path / "video" / local_name(name))
    partial.parent.mkdir()
    partial.write_bytes((content if right else bytes(len(content))) + rest)
    fetch(server, tmp_path)
    assert arrived(tmp_path) == EVERYTHING
    asked = [range for got, range in server.gets() if got == name]
    assert len(asked) == (1 if right and not rest else 2)


@pytest.mark.parametrize("fault", ["cut", "stall", 503, 429, "moved"])
def test_what_may_pass_is_tried_again_from_where_it_broke(server, tmp_path, fault):
    server.faults[NAMES[2]] = [fault] * 2
    fetch(server, tmp_path)
    assert arrived(tmp_path) == EVERYTHING
    if fault in ("cut", "stall"):
        ranges = [asked for name, asked in server.gets() if name == NAMES[2]]
        half = len(server.files[NAMES[2]]) // 2
        assert ranges[:2] == ["", f"bytes={half}-"]


def test_a_connection_that_breaks_again_and_again_but_gets_on_is_no_failure(server, tmp_path):
    server.faults[NAMES[2]] = ["cut"] * 9
    fetch(server, tmp_path, tries=2)
    assert arrived(tmp_path) == EVERYTHING


def test_a_download_that_is_stopped_keeps_what_it_has(server, tmp_path, monkeypatch):
    fetcher, read = Fetcher(3), HTTPResponse.read1
    path, name = tmp_path / "a.tfrecord", NAMES[0]
    url, md5 = f"{server.address}/{PARTITION}/{name}", hashlib.md5(server.files[name]).hexdigest()

    def stopping(*arguments, **options):
        fetcher.stop()
        return read(*arguments, **options)

    monkeypatch.setattr(fetching, "BLOCK", 1000)
    with monkeypatch.context() as patch:
        patch.setattr(HTTPResponse, "read1", stopping)
        with pytest.raises(CancelledError):
            fetcher.fetch(url, path, md5)
    assert not path.exists()
    have = partial_of(path).stat().st_size
    assert 0 < have <= 1000
    Fetcher(3).fetch(url, path, md5)
    assert path.read_bytes() == server.files[name]
    assert server.gets() == [(name, ""), (name, f"bytes={have}-")]


def test_an_interrupted_download_ends_at_once(server, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    for name in NAMES:
        server.faults[name] = [503] * 1000
    with monkeypatch.context() as patch:
        patch.setattr(download, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetch(server, tmp_path, tries=10**9)
    server.faults.clear()
    fetch(server, tmp_path)
    assert arrived(tmp_path) == EVERYTHING


def test_class_names_come_along_or_are_done_without(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(download, "MIRRORS", (server.address,))
    vocabulary = tmp_path / "vocabulary.csv"
    address = f"{server.address}/{PARTITION}/words.csv"
    monkeypatch.setattr(download, "VOCABULARY", address)
    server.files["words.csv"] = b"Nothing,Known\n1,2\n"
    for _ in range(2):
        fetch(server, tmp_path)
        assert f"no class names, put them into {vocabulary} by hand" in capsys.readouterr().out
        assert not vocabulary.exists()
    server.files["words.csv"] = b"Index,Name\n0,Game\n"
    fetch(server, tmp_path)
    assert vocabulary.read_bytes() == server.files["words.csv"]


def test_make_download_then_decode(data_set, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    records = sorted((data_set / "records" / "video").iterdir())
    names = ("validateaa.tfrecord", "validateab.tfrecord", "validateba.tfrecord")
    files = {name: path.read_bytes() for name, path in zip(names, records, strict=True)}
    here = tmp_path / "data"
    command = ["make", "-C", ROOT, f"PYTHON={sys.executable}", f"ARTIFACTS={tmp_path}", "download"]

    def make(*arguments):
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    with serving(Shards(files, "2/video/validate")) as server:
        asked = [f"MIRROR={server.address}", "PARTITION=2/video/validate"]
        status, text = make(*asked, f"DATA={here}", "CONNECTIONS=2")
        assert status == 0, text
        # The whole set again, then a part of it alone.
        status, text = make(*asked, f"DATA={tmp_path / 'other'}", "SHARDS=1,2")
        assert status == 0, text
        assert make(*asked)[0] != 0
    status, text = make(f"DATA={here}")
    assert (status, "say PARTITION=2/video/train and DATA=<folder" in text) == (2, True)
    assert "Traceback" not in text
    shards = find_shards(here)["video"]
    assert [path.name for path in shards] == [
        "validate0000.tfrecord", "validate0001.tfrecord", "validate0062.tfrecord",
    ]  # fmt: skip
    assert [path.read_bytes() for path in shards] == list(files.values())
    assert 0 < len(find_shards(tmp_path / "other")["video"]) < 3
