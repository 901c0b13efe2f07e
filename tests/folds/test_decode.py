"""Decoding: once, resumable after a kill, told beforehand, and every error text."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from folds import decode, decoding, parts
from yt8m.base.cli import InputError
from yt8m.base.files import read_json
from yt8m.data.store import Store
from yt8m.records import synthetic
from yt8m.records.framing import write_records
from yt8m.records.messages import example


@pytest.fixture
def records(tmp_path):
    """A folder with video/ and frame/: 60 videos in 3 shards."""
    folder = tmp_path / "records"
    options = {"videos": 60, "classes": 12, "rgb": 6, "audio": 3, "shards": 3, "max_frames": 12}
    synthetic.main(folder, **options, frames=True)
    return folder


def test_a_command_with_two_jobs_leaves_no_process_behind(records, tmp_path):
    command = [sys.executable, "-m", "folds.decode", records, tmp_path / "store", "--jobs", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "60 videos" in done.stdout  # both pipes are closed: a process left would hold them
    assert done.stderr == ""


def test_done_once(records, tmp_path, capsys, monkeypatch):
    decode.main(records, tmp_path / "store", jobs=1)
    first = capsys.readouterr().out
    assert "6 shards" in first
    assert "of disk" in first
    assert "60 videos, rgb 6, audio 3, 12 classes" in first
    monkeypatch.setattr(decoding, "write_part", None)
    before = (tmp_path / "store" / "manifest.json").stat().st_mtime_ns
    decode.main(records, tmp_path / "store", jobs=1)
    assert "complete (60 videos); nothing to do\n" in capsys.readouterr().out
    assert (tmp_path / "store" / "manifest.json").stat().st_mtime_ns == before


def test_a_killed_run_goes_on_with_what_is_missing(records, tmp_path, tiny_parts, monkeypatch):
    decode.main(records, tmp_path / "undisturbed", jobs=1)
    calls, real = [], decoding.write_part

    def killed_at_third(part, folder):
        if folder.name != "sample":
            calls.append(folder.name)
            if len(calls) == 3:
                (folder.parent / f"{folder.name}.tmp").mkdir()  # what a kill leaves
                raise KeyboardInterrupt
        return real(part, folder)

    monkeypatch.setattr(decoding, "write_part", killed_at_third)
    with pytest.raises(KeyboardInterrupt):
        decode.main(records, tmp_path / "store", jobs=1)
    with pytest.raises(InputError, match="no complete store here"):
        Store(tmp_path / "store")
    decode.main(records, tmp_path / "store", jobs=1)
    assert len(calls) == 7  # 2 complete, 1 killed, 4 missing
    assert len(set(calls)) == 6
    same_files(tmp_path / "undisturbed", tmp_path / "store")


def test_sigkill_and_again_is_the_same_as_undisturbed(tmp_path):
    options = {"videos": 600, "rgb": 256, "audio": 64, "shards": 12, "frames": True}
    synthetic.main(tmp_path / "records", **options)
    code = "import sys; from pathlib import Path; from folds import decode, decoding, parts\n"
    code += "parts.SMALLEST = 1; decode.main(Path(sys.argv[1]), Path(sys.argv[2]), jobs=2)"

    def start(store):
        command = [sys.executable, "-c", code, tmp_path / "records", store]
        root = Path(__file__).resolve().parents[2]
        return subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL)

    killed = start(tmp_path / "store")
    while killed.poll() is None and len(list((tmp_path / "store").glob("*/*/part.json"))) < 3:
        time.sleep(0.005)
    killed.kill()  # its workers live on for a moment
    killed.wait()
    assert not (tmp_path / "store" / "manifest.json").exists()
    assert start(tmp_path / "store").wait() == 0
    assert start(tmp_path / "undisturbed").wait() == 0
    same_files(tmp_path / "undisturbed", tmp_path / "store")


def same_files(left, right):
    names = [sorted(str(p.relative_to(root)) for p in root.rglob("*")) for root in (left, right)]
    assert names[0] == names[1]
    for name in names[0]:
        if (left / name).is_file():
            assert (left / name).read_bytes() == (right / name).read_bytes(), name


def test_the_estimate_of_disk_is_close(tmp_path, capsys):
    options = {"videos": 300, "rgb": 256, "audio": 64, "shards": 5, "frames": True}
    synthetic.main(tmp_path / "records", **options)
    decode.main(tmp_path / "records", tmp_path / "store", jobs=1)
    (line,) = [text for text in capsys.readouterr().out.splitlines() if "of disk" in text]
    told = float(line.split("about ")[1].split(" MiB")[0])
    files = (tmp_path / "store").rglob("*.npy")
    assert told == pytest.approx(sum(f.stat().st_size for f in files) / 2**20, rel=0.15)


def test_a_full_disk_is_an_error_before_decoding(records, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(decoding.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(InputError, match="store: not enough disk: 6 shards"):
        decode.main(records, tmp_path / "store", jobs=1)
    assert not list((tmp_path / "store").rglob("*.npy"))


@pytest.mark.parametrize("jobs", [1, 2])
def test_damage_is_one_line_with_the_path(records, tmp_path, tiny_parts, jobs):
    shard = sorted((records / "video").iterdir())[2]
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    with pytest.raises(InputError, match=r"synthetic-0002-of-0003.tfrecord: record \d+ fails"):
        decode.main(records, tmp_path / "store", jobs=jobs)
    assert not (tmp_path / "store" / "manifest.json").exists()
    if jobs == 1:  # joblib kills the other workers: their temporaries are overwritten next time
        assert not list((tmp_path / "store").rglob("*.tmp"))


def test_an_id_twice_names_both_shards(records, tmp_path):
    first, second, _ = sorted((records / "video").iterdir())
    shutil.copy(first, second)
    match = r"0000-of-0003.tfrecord: id \w{4} appears twice, again in .*0001-of.*\(20 ids"
    with pytest.raises(InputError, match=match):
        decode.main(records, tmp_path / "store", jobs=1)


def test_records_of_another_data_set(records, tmp_path):
    other = tmp_path / "other"
    synthetic.main(other, videos=5, classes=12, rgb=7, audio=3, shards=1, frames=True)
    target = records / "video" / "z.tfrecord"
    source = next((other / "video").iterdir())
    shutil.copy(source, target)
    with pytest.raises(InputError, match="z.tfrecord: record 0: has rgb 7, audio 3 wide"):
        decode.main(records, tmp_path / "store", jobs=1)
    shutil.rmtree(records / "frame")
    target.unlink()
    shutil.copytree(other / "frame", records / "frame")
    with pytest.raises(InputError, match="different data sets: video/ has rgb 6, .* has rgb 7"):
        decode.main(records, tmp_path / "store", jobs=1)


def test_a_video_record_among_frames(records, tmp_path):
    source = sorted((records / "video").iterdir())[0]
    shutil.copy(source, records / "frame" / "z.tfrecord")
    with pytest.raises(InputError, match="z.tfrecord: record 0: has no frames, others have"):
        decode.main(records / "frame", tmp_path / "store", jobs=1)


def test_features_must_be_finite(records, tmp_path):
    features = {"id": [b"nan!"], "mean_rgb": np.full(6, np.nan), "mean_audio": np.zeros(3)}
    write_records(records / "video" / "z.tfrecord", [example(features)])
    with pytest.raises(
        InputError, match="z.tfrecord: record 0: id nan!: rgb has a value that is not"
    ):
        decode.main(records / "video", tmp_path / "store", jobs=1)


def test_other_errors(records, tmp_path):
    with pytest.raises(InputError, match="--jobs 0: at least 1"):
        decode.main(records, tmp_path / "store", jobs=0)
    with pytest.raises(InputError, match="nothing.toml: no such file"):
        decode.main(records, tmp_path / "store", description=tmp_path / "nothing.toml")
    with pytest.raises(InputError, match="no complete store here; run `make folds`"):
        Store(tmp_path)
    decode.main(records, tmp_path / "store", jobs=1)
    shutil.rmtree(next((tmp_path / "store" / "frame").iterdir()))
    with pytest.raises(InputError, match="lengths.npy: is missing; delete .* and run"):
        Store(tmp_path / "store").frames(np.array([0]))
    manifest = tmp_path / "store" / "manifest.json"
    rows = tmp_path / "store" / read_json(manifest)["rows"]
    (rows / "ids.npy").write_bytes(b"")
    with pytest.raises(InputError, match="ids.npy: is cut off .*; delete .* and run the same"):
        Store(tmp_path / "store")
    about = read_json(manifest) | {"version": 1}
    manifest.write_text(json.dumps(about))
    with pytest.raises(InputError, match="written by another version"):
        Store(tmp_path / "store")


def test_groups_are_few_and_keep_the_order(tmp_path):
    shards = [parts.Shard(tmp_path / str(i), 10_000, "") for i in range(4070)]
    groups = parts.group(shards, 40_700_000)
    assert len(groups) == 3
    assert [shard for members in groups for shard in members] == shards
    large = [parts.Shard(tmp_path / str(i), 450_000_000, "") for i in range(3844)]
    assert 400 <= len(parts.group(large, 3844 * 450_000_000)) <= 512
    assert parts.group([], 0) == []
