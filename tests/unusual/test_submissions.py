"""Submissions of other people: fewer pairs than 20, none, a BOM, and empty last lines."""

import json

import pytest
from record_bytes import example, means

from distill import evaluate
from distill.challenge import HEADER
from report import compare
from yt8m.base.cli import InputError
from yt8m.records.framing import write_records

LABELS = {"a": [1], "b": [2, 3], "c": []}


def score(tmp_path, *rows: str, begins: str = "", ends: str = "\n") -> None:
    """Scores a file with these rows."""
    (tmp_path / "dataset.toml").write_text("classes = 10\n")
    videos = [example(id=[v.encode()], labels=own, **means()) for v, own in LABELS.items()]
    write_records(tmp_path / "a.tfrecord", videos)
    text = begins + ends.join([HEADER, *rows]) + ends
    (tmp_path / "p.csv").write_text(text, encoding="utf-8", newline="")
    evaluate.main(tmp_path / "p.csv", [tmp_path / "a.tfrecord"])


def last_line(capsys) -> dict:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


SHORT = ("c,5 0.1", "b,3 0.9 7 0.4 2 0.3", "a,")
SHORT_GAP = (1 + 2 / 3) / 3  # 3, (7), 2, (5); one label is never predicted


@pytest.mark.parametrize(
    "form", [{}, {"begins": "\ufeff"}, {"ends": "\r\n"}, {"ends": "\n\n"}, {"ends": "\n \n"}]
)
def test_a_foreign_file_counts_as_it_is_meant(tmp_path, capsys, form):
    score(tmp_path, *SHORT, **form)
    found = last_line(capsys)
    assert found["gap20"] == pytest.approx(SHORT_GAP)
    assert (found["videos"], found["hit1"]) == (3, 0.5)


def test_no_predictions_at_all_are_worth_nothing(tmp_path, capsys):
    score(tmp_path, "a,", "b,", "c,")
    found = last_line(capsys)
    assert (found["gap20"], found["map"], found["hit1"], found["videos"]) == (0, 0, 0, 3)
    files = [tmp_path / "p.csv", tmp_path / "q.csv"]
    files[1].write_text("\n".join([HEADER, *SHORT]) + "\n")
    compare.main(*files, [tmp_path / "a.tfrecord"], samples=5)
    assert last_line(capsys)["difference"] == pytest.approx(SHORT_GAP)


@pytest.mark.parametrize("row", ["a", ",1 0.5", "a,1", "a,1 0.5,2", '"a', "a,1 inf", "a,1e3 0.5"])
def test_what_is_no_row_is_one_line(tmp_path, row):
    with pytest.raises(InputError, match=r"p\.csv: (line 4|.*CSV)") as error:
        score(tmp_path, "b,2 0.5", "c,", row)
    assert "\n" not in str(error.value)
