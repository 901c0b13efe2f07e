"""Ids: whatever a later stage could not write or read is refused when records are read."""

import numpy as np
import pytest
from record_bytes import NAMES, example, means

from folds.conversion.ids import as_ids
from yt8m.base.cli import InputError
from yt8m.records.framing import write_records
from yt8m.records.reader import stream

WRONG = [b"\xff\xfe", "é".encode("latin-1"), b"a\0b", b"x" * 1025]


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("place", [0, 3])  # 3: of a layout that is known by then
def test_ids_that_cannot_be_written_are_refused_with_their_record(tmp_path, wrong, place):
    width = len(wrong)
    ids = [b"%0*d" % (min(width, 1024), k) for k in range(5)]
    ids[place] = wrong
    records = [example(id=[name], **means(k)) for k, name in enumerate(ids)]
    write_records(tmp_path / "a.tfrecord", records)
    text = (
        rf"a.tfrecord: record {place}: .* cannot be an id; 1 to 1,024 bytes of UTF-8 without a zero"
    )
    with pytest.raises(InputError, match=text):
        list(stream([tmp_path / "a.tfrecord"], NAMES))


@pytest.mark.parametrize("wrong", WRONG)
def test_a_conversion_refuses_the_same(wrong):
    with pytest.raises(InputError, match="table: row 1: b.* cannot be an id"):
        as_ids([b"fine", wrong], "table")
    assert as_ids(["a,b", 'q"', "é"], "table").tolist() == [b"a,b", b'q"', "é".encode()]


def test_every_other_id_is_read_as_it_is(tmp_path):
    ids = [name.encode() for name in ("a,b", 'q"', "a\nb", "é", " ", "x" * 1024)]
    write_records(tmp_path / "a.tfrecord", [example(id=[name], **means()) for name in ids])
    assert [video.id for video in stream([tmp_path / "a.tfrecord"], NAMES)] == ids
    assert np.array(ids, "S").tolist() == ids
