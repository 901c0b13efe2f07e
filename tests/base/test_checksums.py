"""Checksums of arrays that are read in pieces: what was changed is found when it is read."""

import numpy as np
import pytest

from yt8m.base import checksums
from yt8m.base.checksums import open_checked, open_rows, open_text, seal_text, write_sums
from yt8m.base.cli import InputError

INDICES = [3, -1, slice(2, 9), slice(None, None, -4), [5, 1], np.array([True] + [False] * 39)]


@pytest.fixture
def array(tmp_path, monkeypatch):
    """A file of several blocks, whose rows lie in two of them."""
    monkeypatch.setattr(checksums, "BLOCK", 160)
    values = np.arange(40 * 3 * 5 * 2, dtype=np.int16).reshape(40, 3, 5, 2)
    np.save(tmp_path / "a.npy", values)
    write_sums(tmp_path)
    return tmp_path / "a.npy"


def flip(path, byte: int) -> None:
    data = bytearray(path.read_bytes())
    data[byte] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_rows_are_those_of_the_array(array, index):
    values = np.load(array)
    rows = open_rows(array)
    np.testing.assert_array_equal(rows[index], values[index])
    np.testing.assert_array_equal(rows[index], values[index])
    np.testing.assert_array_equal(rows, values)
    np.testing.assert_array_equal(open_checked(array), values)
    assert (len(rows), rows.shape, rows.ndim, rows.size) == (40, values.shape, 4, values.size)


@pytest.mark.parametrize("row", [0, 17, 39])
def test_a_flipped_bit_is_found_by_those_who_read_its_row(array, row):
    flip(array, 128 + row * 60 + 59)
    readers = [
        lambda rows: rows[row],
        lambda rows: rows[row][1:],
        lambda rows: rows[np.array([20, row])],
        lambda rows: rows[row:],
        lambda rows: rows[np.arange(40) == row],
        lambda rows: rows[row, 2],
        lambda rows: rows[[row], 2],
        np.asarray,
    ]
    for read in readers:
        with pytest.raises(InputError, match=r"a.npy: its checksum differs .*; delete .* and run"):
            np.asarray(read(open_rows(array)))
    with pytest.raises(InputError, match=r"a.npy: its checksum differs"):
        open_checked(array)
    far = (row + 20) % 40
    np.testing.assert_array_equal(open_rows(array)[far], np.load(array)[far])


def test_every_byte_of_a_file_counts(array):
    whole = array.read_bytes()
    for byte in range(0, len(whole), 7):
        array.write_bytes(whole)
        flip(array, byte)
        with pytest.raises(InputError, match="a.npy: "):
            open_checked(array)


def test_what_is_cut_absent_exchanged_or_unknown_is_one_line(array):
    whole, sums = array.read_bytes(), array.with_name(checksums.SUMS)
    for kept in (0, 9, 128, 700, len(whole) - 1):
        array.write_bytes(whole[:kept])
        with pytest.raises(InputError, match="a.npy: .*; delete .* and run the same command"):
            open_rows(array)
    array.write_bytes(whole)
    np.save(array.with_name("b.npy"), np.zeros((40, 3, 5, 2), np.int16))
    with pytest.raises(InputError, match="b.npy: is cut off or has no checksum"):
        open_rows(array.with_name("b.npy"))
    array.with_name("b.npy").rename(array)
    with pytest.raises(InputError, match="a.npy: its checksum differs"):
        open_checked(array)
    sums.unlink()
    with pytest.raises(InputError, match="checksums.safetensors: is missing"):
        open_rows(array)


def test_each_block_is_compared_once(array, monkeypatch):
    rows, compared = open_rows(array), []
    monkeypatch.setattr(checksums, "crc32c", lambda data: compared.append(1) or crc(data))
    crc = __import__("crc32c").crc32c
    first = rows[3:5]
    assert len(compared) == 2
    np.testing.assert_array_equal(rows[3:5], first)
    assert len(compared) == 2, "and only those of the rows that are read"
    np.asarray(rows)
    np.asarray(rows)
    assert len(compared) == -(-len(array.read_bytes()) // 160)


def test_columns_that_lie_one_after_the_other(tmp_path):
    values = np.asfortranarray(np.arange(12.0).reshape(4, 3))
    np.save(tmp_path / "a.npy", values)
    write_sums(tmp_path)
    np.testing.assert_array_equal(open_rows(tmp_path / "a.npy")[1:3], values[1:3])
    np.testing.assert_array_equal(open_checked(tmp_path / "a.npy"), values)


@pytest.mark.parametrize("size", [0, 3, 160, 161, 1000])
def test_what_is_summed_while_it_is_written(tmp_path, monkeypatch, size):
    monkeypatch.setattr(checksums, "BLOCK", 160)
    np.save(tmp_path / "a.npy", np.arange(size, dtype=np.uint8))
    write_sums(tmp_path)
    expected, data = (tmp_path / checksums.SUMS).read_bytes(), (tmp_path / "a.npy").read_bytes()
    sums = checksums.Sums()
    for start in range(0, len(data), 37):
        sums.add(b"\0" * 37 if start < 128 - 37 else data[start : start + 37])
    write_sums(tmp_path, {"a.npy": sums.end()})
    assert (tmp_path / checksums.SUMS).read_bytes() == expected


def test_arrays_without_rows(tmp_path):
    for name, values in {
        "none": np.zeros((0, 4)),
        "one": np.float32(3),
        "thin": np.ones((3, 0)),
    }.items():
        np.save(tmp_path / f"{name}.npy", values)
    write_sums(tmp_path)
    for name in ("none", "one", "thin"):
        found = open_rows(tmp_path / f"{name}.npy")
        np.testing.assert_array_equal(found, np.load(tmp_path / f"{name}.npy"))
    assert open_rows(tmp_path / "none.npy")[:5].shape == (0, 4)


def test_a_sealed_text(tmp_path):
    path, text = tmp_path / "model.txt", "tree\nTree=0\n\nend of trees\n"
    path.write_text(seal_text(text))
    assert open_text(path) == text
    whole = path.read_bytes()
    for byte in range(len(whole)):
        path.write_bytes(whole)
        flip(path, byte)
        with pytest.raises(InputError, match="model.txt: .*; delete it"):
            open_text(path)
        path.write_bytes(whole[:byte])
        with pytest.raises(InputError, match="model.txt: is cut off"):
            open_text(path)
    with pytest.raises(InputError, match="absent.txt: no such file"):
        open_text(tmp_path / "absent.txt")
