"""The download when a server, the disk or the user fails."""

import shutil
from collections import namedtuple

import pytest
from download_world import EVERYTHING, NAMES, PARTITION, arrived, fetch
from shard_server import Shards

from folds import download, fetching
from folds.fetching import Fetcher
from folds.partition import local_name
from yt8m.base.cli import InputError


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("wrong", "its MD5 is [0-9a-f]{32}, the plan says [0-9a-f]{32}; it was thrown away"),
        (404, "the server says 404 Not Found; check the partition and the mirror"),
        (503, "the server says 503 Service Unavailable, 3 times in a row; run the command again"),
    ],
)
def test_a_file_that_fails_is_one_clear_line_and_the_others_arrive(
    server, tmp_path, fault, message
):
    server.faults[NAMES[4]] = [fault] * 3
    with pytest.raises(InputError, match=f"{NAMES[4]}: {message}"):
        fetch(server, tmp_path)
    expected = {k: v for k, v in EVERYTHING.items() if k != local_name(NAMES[4])}
    assert arrived(tmp_path) == expected
    server.asked.clear()
    server.faults.clear()
    fetch(server, tmp_path)
    assert arrived(tmp_path) == EVERYTHING
    assert {name for name, _ in server.gets()} == {NAMES[4]}


@pytest.mark.parametrize(
    ("fault", "message"), [("cut", r"closed [\d,]+ bytes before the end"), ("stall", "timed out")]
)
def test_a_body_that_breaks_each_time_says_how(server, fault, message):
    server.faults[NAMES[0]] = [fault] * 2
    with pytest.raises(InputError, match=f"{NAMES[0]}: {message}, 2 times in a row; run the"):
        Fetcher(2).content(f"{server.address}/{PARTITION}/{NAMES[0]}")


def test_a_proxy_of_the_environment_is_asked(server, monkeypatch):
    monkeypatch.setenv("http_proxy", server.address.replace("//", "//name:pass%40word@"))
    with pytest.raises(InputError, match="http://nowhere.invalid/a.tfrecord: the server says 404"):
        Fetcher(1).content("http://nowhere.invalid/a.tfrecord")
    assert server.gets() == [("a.tfrecord", "")]


def test_a_server_that_fails_always_is_not_asked_for_everything(server, tmp_path):
    server.files.update({f"train{a}{b}.tfrecord": b"x" for a in "cde" for b in "cdefghijkl"})
    server.plan = Shards(server.files).plan
    server.faults = {name: [404] * 9 for name in server.files}
    with pytest.raises(InputError, match=r"404 Not Found.* \(42 of 42 are missing\)"):
        fetch(server, tmp_path, connections=1)


def test_the_disk_is_checked_before(server, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(9, 0, 9))
    with pytest.raises(InputError, match="not enough disk: 12 to fetch, .* take fewer --shards"):
        fetch(server, tmp_path)
    assert server.gets() == []


def test_a_disk_that_fills_up_is_one_clear_line(server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "open", lambda *_: open("/dev/full", "wb", 0), raising=False)
    with pytest.raises(InputError, match="the disk is full; free some and run the command again"):
        fetch(server, tmp_path)


@pytest.mark.parametrize(
    ("partition", "options", "message"),
    [
        ("2/video/trian", {}, "2/video, 2/frame or 3/frame .segment-rated., then /train"),
        ("1/video/train", {}, "partition '1/video/train'"),
        (PARTITION, {"shards": "3"}, "--shards 3: X,Y with 1 <= X <= Y is allowed"),
        (PARTITION, {"shards": "0,9"}, "--shards 0,9: X,Y"),
        (PARTITION, {"shards": "9,8"}, "--shards 9,8: X,Y"),
        (PARTITION, {"mirror": "mars"}, "--mirror mars: us, eu, asia or http"),
        (PARTITION, {"mirror": "file:///etc"}, "--mirror file:///etc"),
        (PARTITION, {"connections": 0}, "--connections 0 --tries 3: at least 1"),
        (PARTITION, {"shards": "1,999983"}, "no file of 2/video/train is in this part"),
        ("2/frame/train", {}, "frame_train.json: the server says 404"),
    ],
)
def test_mistakes(server, tmp_path, partition, options, message):
    options = {"mirror": server.address, "tries": 3, **options}
    with pytest.raises(InputError, match=message):
        download.main(partition, tmp_path, **options)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ("<html>", "is no download plan"),
        ("[1]", "is no download plan"),
        ('{"files": 3}', "is no download plan"),
        ('{"files": [[1, 2]]}', "is no download plan"),
        ('{"files": {"../../x.tfrecord": "%s"}}' % ("0" * 32), "is no shard and its MD5"),
        ('{"files": {"a.tfrecord": "0"}}', "is no shard and its MD5"),
        ('{"files": {"a.tfrecord": 0}}', "is no shard and its MD5"),
    ],
)
def test_plans_that_are_none(server, tmp_path, plan, message):
    server.plan = plan
    with pytest.raises(InputError, match=message):
        fetch(server, tmp_path)


def test_a_server_that_is_not_there(server, tmp_path):
    with pytest.raises(InputError, match=r"refused, 3 times in a row"):
        fetch(server, tmp_path, mirror="http://127.0.0.1:9")


def test_an_endless_plan_and_an_endless_shard_are_refused(server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "MOST_IN_MEMORY", 100)
    with pytest.raises(InputError, match=r"train.json: has more than 100 bytes; check the part"):
        fetch(server, tmp_path)
    monkeypatch.setattr(fetching, "MOST_IN_MEMORY", 1 << 24)
    monkeypatch.setattr(fetching, "LARGEST_FILE", 1)
    server.tells_sizes = False
    with pytest.raises(InputError, match=r"tfrecord: has more than 1 bytes; check the partition"):
        fetch(server, tmp_path)
    monkeypatch.setattr(fetching, "LARGEST_FILE", 1 << 31)
    fetch(server, tmp_path)
    assert arrived(tmp_path) == EVERYTHING
    server.plan = "[" * 100_000
    with pytest.raises(InputError, match="is no download plan"):
        fetch(server, tmp_path)
