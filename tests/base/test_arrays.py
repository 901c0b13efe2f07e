"""Arrays in files: mapped, checked, let go of; never half there, and nothing left behind."""

import errno
import os
import resource
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from yt8m.base import arrays, files
from yt8m.base.cli import InputError
from yt8m.base.digests import digest_of

NAMED = {
    "ids": np.array([b"abc", b"de"]),
    "classes": np.arange(12, dtype=np.uint16).reshape(2, 6),
    "logits": np.linspace(-3, 3, 12).astype(np.float16).reshape(2, 6),
    "none": np.zeros((0, 4), np.float32),
    "number": np.float64(2.5),
}


def test_a_round_trip_of_named_arrays_each_mapped_in_its_place(tmp_path):
    arrays.write_arrays(tmp_path / "a.safetensors", NAMED)
    found = arrays.open_arrays(tmp_path / "a.safetensors")
    assert sorted(found) == sorted(NAMED)
    for name, array in NAMED.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == np.asarray(array).dtype
        assert type(found[name]) is np.ndarray
        assert found[name].flags.aligned
        assert not found[name].flags.writeable
    assert os.listdir(tmp_path) == ["a.safetensors"]


def test_the_library_of_the_format_reads_the_same(tmp_path):
    arrays.write_arrays(tmp_path / "a.safetensors", NAMED)
    found = load_file(tmp_path / "a.safetensors")  # checks offsets, sizes and types too
    assert sorted(found) == sorted(NAMED)
    assert found.pop("ids").tobytes() == b"abcde\0"
    for name, array in found.items():
        np.testing.assert_array_equal(array, NAMED[name])
        assert array.dtype == np.asarray(NAMED[name]).dtype


def test_a_digest_is_of_names_types_shapes_and_values(tmp_path):
    def digest(**changed):
        arrays.write_arrays(tmp_path / "a.safetensors", NAMED | changed)
        return digest_of(tmp_path / "a.safetensors")

    first, one = digest(), tmp_path / "a.safetensors"
    whole = one.read_bytes()
    arrays.write_arrays(one, dict(reversed(NAMED.items())))
    assert one.read_bytes() == whole, "the same arrays are the same bytes"
    changes = [
        {"more": np.zeros(1)},
        {"none": np.zeros((0, 5), np.float32)},
        {"classes": NAMED["classes"].astype(np.int16)},
        {"classes": NAMED["classes"].reshape(6, 2)},
        {"ids": np.array([b"abc", b"df"])},
        {"ids": np.array([[97, 98, 99], [100, 101, 0]], np.uint8)},
    ]
    assert len({first, *(digest(**change) for change in changes)}) == 1 + len(changes)


def test_a_digest_needs_the_header_alone(tmp_path):
    path = tmp_path / "a.safetensors"
    arrays.write_arrays(path, NAMED)
    digest, whole = digest_of(path), path.read_bytes()
    path.write_bytes(whole[:-1])
    assert digest_of(path) == digest
    path.write_bytes(whole[:99])
    assert digest_of(path) != digest, "of what states none, the whole content is hashed"
    assert digest_of(tmp_path / "b.safetensors") is None


def test_every_flipped_bit_is_found(tmp_path):
    path = tmp_path / "a.safetensors"
    arrays.write_arrays(path, {"classes": NAMED["classes"], "ids": NAMED["ids"]})
    whole = path.read_bytes()
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"a.safetensors: cannot be read .*; delete it, run"):
            arrays.open_arrays(path)


def test_a_file_of_others_is_refused(tmp_path):
    save_file({"classes": NAMED["classes"]}, tmp_path / "a.safetensors")
    with pytest.raises(InputError, match="a.safetensors: cannot be read .not a .* a checksum"):
        arrays.open_arrays(tmp_path / "a.safetensors")


@pytest.mark.parametrize("kept", [0, 1, 40, 120, 200])
def test_a_cut_file_is_one_line(tmp_path, kept):
    path = tmp_path / "a.safetensors"
    arrays.write_arrays(path, {"classes": NAMED["classes"]})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(
        InputError, match=r"a.safetensors: cannot be read .*; delete it, run `make`"
    ):
        arrays.open_arrays(path)
    np.save(tmp_path / "a.npy", NAMED["classes"])
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(whole[: min(kept, len(whole) - 1)])
    with pytest.raises((ValueError, EOFError)):
        arrays.open_array(tmp_path / "a.npy")


def test_python_objects_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="Python objects"):
        arrays.open_array(tmp_path / "a.npy")
    with pytest.raises(KeyError):
        arrays.write_arrays(tmp_path / "a.safetensors", {"a": np.array([{}], dtype=object)})


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
from yt8m.base import arrays, files

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
    files.allow_many_files.cache_clear()
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
