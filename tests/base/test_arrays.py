"""Arrays in files: mapped, checked, let go of; never half there, and nothing left behind."""

import errno
import os
import resource
import subprocess
import sys

import numpy as np
import pytest

from yt8m.base import arrays
from yt8m.base.cli import InputError

NAMED = {
    "ids": np.array([b"abc", b"de"]),
    "classes": np.arange(12, dtype=np.uint16).reshape(2, 6),
    "logits": np.linspace(-3, 3, 12).astype(np.float16).reshape(2, 6),
    "none": np.zeros((0, 4), np.float32),
    "number": np.float64(2.5),
}


def test_a_round_trip_of_named_arrays_each_mapped_in_its_place(tmp_path):
    arrays.write_npz(tmp_path / "a.npz", **NAMED)
    found, by_numpy = arrays.open_npz(tmp_path / "a.npz"), np.load(tmp_path / "a.npz")
    assert list(found) == list(NAMED)
    for name, array in NAMED.items():
        np.testing.assert_array_equal(found[name], array)
        np.testing.assert_array_equal(by_numpy[name], array)
        assert found[name].dtype == np.asarray(array).dtype
        assert type(found[name]) is np.ndarray
        if found[name].size:
            assert found[name].ctypes.data % arrays.ALIGNMENT == 0
            assert not found[name].flags.writeable
    assert os.listdir(tmp_path) == ["a.npz"]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_wrote_is_read_too(tmp_path, save):
    save(tmp_path / "a.npz", **NAMED)
    for name, array in arrays.open_npz(tmp_path / "a.npz").items():
        np.testing.assert_array_equal(array, NAMED[name])


def test_every_flipped_byte_of_the_values_is_found(tmp_path):
    path = tmp_path / "a.npz"
    arrays.write_npz(path, classes=NAMED["classes"])
    whole = path.read_bytes()
    first = whole.index(NAMED["classes"].tobytes())
    for at in range(first, first + NAMED["classes"].nbytes):
        damaged = bytearray(whole)
        damaged[at] ^= 4
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"a.npz: cannot be read \(Bad CRC-32"):
            arrays.open_npz(path)


@pytest.mark.parametrize("save", [arrays.write_npz, np.savez_compressed])
def test_a_flipped_byte_anywhere_is_one_line_or_does_no_harm(tmp_path, save):
    path = tmp_path / "a.npz"
    save(path, classes=NAMED["classes"], ids=NAMED["ids"])
    whole = path.read_bytes()
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << at % 8
        path.write_bytes(damaged)
        try:
            found = arrays.open_npz(path)
        except InputError:
            continue
        for name in found.keys() & NAMED.keys():  # a name may have changed
            np.testing.assert_array_equal(found[name], NAMED[name])


@pytest.mark.parametrize("kept", [0, 1, 40, 120, 200])
def test_a_cut_file_is_one_line(tmp_path, kept):
    path = tmp_path / "a.npz"
    arrays.write_npz(path, classes=NAMED["classes"])
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"a.npz: cannot be read .*; delete it, run `make`"):
        arrays.open_npz(path)
    np.save(tmp_path / "a.npy", NAMED["classes"])
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(whole[: min(kept, len(whole) - 1)])
    with pytest.raises((ValueError, EOFError)):
        arrays.open_array(tmp_path / "a.npy")


def test_python_objects_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.array([{}], dtype=object))
    with pytest.raises(InputError, match="cannot be read"):
        arrays.open_npz(tmp_path / "a.npz")


def test_what_is_written_into_a_new_array_is_in_the_file(tmp_path):
    made = arrays.create(tmp_path / "a.npy", np.float32, (np.int64(3), 2))
    made[1] = 5
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), made)
    assert arrays.create(tmp_path / "b.npy", "u2", (0, 2)).shape == (0, 2)
    assert np.load(tmp_path / "b.npy").shape == (0, 2)


def test_a_scratch_array_has_no_name(tmp_path):
    made = arrays.scratch(tmp_path / "new", np.uint16, (4, 4))
    assert not made.any()
    made[2] = 7
    assert made.sum() == 28
    assert not os.listdir(tmp_path / "new")


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: arrays.create(folder / "a.npy", np.uint8, (2_000_000,)),
        lambda folder: arrays.scratch(folder, np.uint8, (2_000_000,)),
    ],
)
def test_a_full_disk_is_one_line_and_no_signal(tmp_path, monkeypatch, make):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    full_disk = r"no room for 2 MB \(No space left on device\); free some"
    with pytest.raises(InputError, match=full_disk):
        make(tmp_path)


WALK = """
import numpy as np
from pathlib import Path
from yt8m.base import arrays

def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

made = arrays.scratch(Path("{folder}"), np.uint8, (200, 1 << 20))
before = peak()
for row in made:
    row[:] = 1
    arrays.let_go()
print(peak() - before, int(made[::50, 0].sum()))
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="Linux tells what is in memory")
def test_memory_does_not_grow_with_a_file_that_is_walked_through(tmp_path):
    grown = []
    for limit in ("20", "1000"):
        done = subprocess.run(
            [sys.executable, "-c", WALK.format(folder=tmp_path)],
            env=os.environ | {"YT8M_MEMORY_MB": limit},
            capture_output=True,
            text=True,
            check=True,
        )
        mb, values = done.stdout.split()
        assert int(values) == 4, "what was let go of is still in the file"
        grown.append(float(mb))
    assert grown[0] < 40
    assert grown[1] > 190, "all of it stays where there is room"


def test_more_maps_than_files_are_allowed_at_first(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    np.save(tmp_path / "a.npy", np.ones(3))
    arrays._allow_many_files.cache_clear()
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        many = [arrays.open_array(tmp_path / "a.npy") for _ in range(400)]
        assert sum(array.sum() for array in many) == 1200
    finally:
        del many
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("text", ["0", "-3", "much", "1.5"])
def test_a_setting_that_is_no_number_of_mb(monkeypatch, text):
    monkeypatch.setenv("YT8M_MEMORY_MB", text)
    with pytest.raises(InputError, match=f"MEMORY_MB {text}: a number of MB, 1 or more"):
        arrays.let_go()
