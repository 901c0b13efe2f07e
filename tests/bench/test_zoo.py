"""The zoo: finished runs are kept, others are not quoted; the table is what the reports say."""

import pytest
from verbs_here import verbs_here

from bench.experiments import zoo
from yt8m.base.cli import InputError
from yt8m.base.files import read_json

TOML = "# why\narch = 'linear'\n[training]\nepochs = {}\nbatch_size = 64\nlr = 0.02\n"


@pytest.fixture(scope="module")
def configs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo")
    (folder / "few.toml").write_text(TOML.format(1))
    (folder / "more.toml").write_text(TOML.format(6))
    return folder


@pytest.fixture(scope="module")
def measured(configs, data_set, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    zoo.main(configs, data_set / "store", data_set / "folds.safetensors", out, seeds=2, jobs=2)
    return out


def _again(configs, data_set, out, capsys) -> str:
    capsys.readouterr()
    with verbs_here():
        zoo.main(configs, data_set / "store", data_set / "folds.safetensors", out, seeds=2)
    return capsys.readouterr().out


def test_the_table_has_the_mean_and_half_the_range_of_the_seeds_best_first(measured):
    lines = (measured / "table.md").read_text().splitlines()
    names = [line.split("|")[1].strip() for line in lines[2:]]
    assert names == ["more", "few"]
    reports = [read_json(measured / "more" / f"seed{n}" / "report.json") for n in (0, 1)]
    titles, cells = ([cell.strip() for cell in lines[n].split("|")[1:-1]] for n in (0, 2))
    others = {"mAP": "map", "Hit@1": "hit1", "PERR": "perr"}
    for start, title, videos in ((1, "fold 0", "out_of_fold"), (6, "holdout", "holdout")):
        gaps = [report[videos]["gap20"] for report in reports]
        assert gaps[0] != gaps[1]
        assert titles[start : start + 5] == [f"{title}: GAP@20", "+-", *others]
        means = [sum(report[videos][key] for report in reports) / 2 for key in others.values()]
        expected = [sum(gaps) / 2, abs(gaps[0] - gaps[1]) / 2, *means]
        assert cells[start : start + 5] == [f"{value:.4f}" for value in expected]


def test_a_second_call_runs_only_what_is_missing_or_stale(configs, data_set, measured, capsys):
    assert "seed" not in _again(configs, data_set, measured, capsys)
    (measured / "few" / "seed1" / "predictions.safetensors").unlink()
    assert _again(configs, data_set, measured, capsys).count("done in") == 1
    (configs / "few.toml").write_text(TOML.format(2))
    again = _again(configs, data_set, measured, capsys)
    assert again.count("done in") == again.count("few seed") == 2
    # A rerun that was killed: the configuration is the new one, the weights are not.
    config = measured / "few" / "seed0" / "config.json"
    config.write_text(config.read_text().replace('"epochs": 2', '"epochs": 3'))
    (configs / "few.toml").write_text(TOML.format(3))
    assert _again(configs, data_set, measured, capsys).count("few seed") == 2


def test_mistakes(configs, data_set, tmp_path):
    store, folds = data_set / "store", data_set / "folds.safetensors"
    with pytest.raises(InputError, match="--seeds 0: 1 or more"):
        zoo.main(configs, store, folds, tmp_path, seeds=0)
    with pytest.raises(InputError, match="no models"):
        zoo.main(tmp_path, store, folds, tmp_path)
    with pytest.raises(InputError, match=r"nowhere/manifest.json: no such file"):
        zoo.main(configs, tmp_path / "nowhere", folds, tmp_path)
