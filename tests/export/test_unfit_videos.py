"""Features that training would refuse are refused by an export, too; and ids of every kind."""

import csv

import numpy as np
import pytest
import torch
from export_world import write_video_records
from kinds import named

from distill import evaluate, predict
from distill.challenge import HEADER, lines, read_predictions
from distill.export import alone
from distill.export.run import Exported
from yt8m.base.cli import InputError
from yt8m.records.values import ROUNDED_TO_INFINITY

ODD = [
    "clip 1, take 2.mp4",
    'say "hi"',
    "a\nb",
    "c\rd",
    "e\r\nf",
    " é ü",
    '"q',
    "日本,語",
    "x" * 1024,
]
UNFIT = [np.nan, np.inf, -np.inf, 1e30, 65520.0, -65520.0]


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_an_export_refuses_what_training_refuses(students, videos, runtime):
    exported = Exported(students / "out", runtime)
    _, rgb, audio = videos
    classes, scores = exported.top(named(rgb[:9], audio[:9]))
    for value in UNFIT:
        broken = audio[:9].astype(np.float64)
        broken[4, 7] = value
        for method in (exported.top, exported.logits):
            with pytest.raises(
                InputError, match="out: video 4 of the batch: audio has a value that"
            ):
                method(named(rgb[:9], broken))
        found = exported.judge(named(rgb[:9], broken))
        assert found[2] == {4: "audio has a value that is not finite or beyond 65504"}
        others = np.arange(9) != 4
        np.testing.assert_array_equal(found[0][others], classes[others])
        np.testing.assert_allclose(found[1][others], scores[others], rtol=1e-6)
    assert alone.UNFIT == ROUNDED_TO_INFINITY
    large = rgb[:9].copy()
    large[0, 0] = 65519  # which float16 holds as 65504
    assert np.isfinite(exported.top(named(large, audio[:9]))[1]).all()


def test_logits_that_overflow_inside_are_refused(students, videos):
    exported = Exported(students / "out", "torch")
    with torch.no_grad():
        exported.network.members[0].last[-1].weight[29] = -3e38  # of no best class
    features = named(videos[1][:2], videos[2][:2])
    with pytest.raises(InputError, match="video 0 of the batch: its logits are not finite"):
        exported.top(features)
    with pytest.raises(InputError, match="its logits are not finite"):
        exported.logits(features)


@pytest.fixture
def records(videos, tmp_path):
    """Shards a and b, and one that is not complete; the videos 3 and 5 are broken."""
    ids, rgb, audio = videos
    rgb = rgb[:8].copy()
    rgb[3, 2], rgb[5, 0] = np.nan, 1e30
    labels = [[1]] * 8
    write_video_records(tmp_path / "r" / "a.tfrecord", ids[:4], rgb, audio, labels)
    write_video_records(tmp_path / "r" / "b.tfrecord", ids[4:8], rgb[4:], audio[4:], labels)
    (tmp_path / "r" / "c.tfrecord.part").touch()
    return tmp_path / "r"


def test_predict_refuses_or_skips(students, videos, records, tmp_path, capsys):
    ids, out = videos[0], tmp_path / "p.csv"
    text = f"a.tfrecord: record 3: id {ids[3]}: rgb has a value that is not finite or beyond 65504"
    with pytest.raises(InputError, match=text):
        predict.main(students / "out", [records], out)
    assert not out.exists()
    for size in (1, 3, 512):
        predict.main(students / "out", [records], out, skip_bad=True, batch=size)
        kept = [video for k, video in enumerate(ids[:8]) if k not in (3, 5)]
        assert read_predictions(out)[0] == kept
        assert "2 videos cannot be predicted and are left out: " in (
            said := capsys.readouterr().out
        )
        assert f"{ids[3]}, {ids[5]}\n" in said
        assert "1 files or folders are not read: c.tfrecord.part; " in said
    with pytest.raises(InputError, match="2 of 8 videos of the records are absent"):
        evaluate.main(out, [records])
    evaluate.main(out, [records], skip_bad=True)
    assert '"videos": 6' in (said := capsys.readouterr().out)
    assert "1 files or folders are not read: c.tfrecord.part; " in said
    write_video_records(tmp_path / "n.tfrecord", ids[:1], np.full((1, 24), np.nan), videos[2])
    with pytest.raises(InputError, match=r"n.tfrecord: none of the videos can be predicted"):
        predict.main(students / "out", [tmp_path / "n.tfrecord"], out, skip_bad=True)


def test_ids_of_every_kind_are_written_and_read(students, videos, tmp_path, capsys):
    _, rgb, audio = videos
    records, out = tmp_path / "r.tfrecord", tmp_path / "p.csv"
    write_video_records(records, ODD, rgb, audio, [[1]] * len(ODD))
    predict.main(students / "out", [records], out)
    with open(out, newline="", encoding="utf-8") as file:  # as any reader of CSVs has it
        rows = list(csv.reader(file))
    assert [row[0] for row in rows] == ["VideoId", *ODD]
    assert {len(row) for row in rows} == {2}
    assert read_predictions(out)[0] == ODD
    evaluate.main(out, [records])
    assert f'"videos": {len(ODD)}' in capsys.readouterr().out
    predict.main(students / "out", [records], out, names=True)
    with open(out, newline="", encoding="utf-8") as file:
        assert {row[0] for row in csv.reader(file)} == {"VideoId", *ODD}


def test_usual_lines_have_no_quotes():
    assert list(lines(["v1"], np.array([[3, 1]]), np.array([[0.5, 0.25]]))) == ["v1,3 0.5 1 0.25\n"]
    assert HEADER == "VideoId,LabelConfidencePairs"
