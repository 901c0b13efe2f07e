"""The noise and data size experiments at toy size: what the tables say, resuming, mistakes."""

import numpy as np
import pytest
from verbs_here import verbs_here

from bench.experiments import data_size, noise, noise_run
from yt8m.base.cli import InputError
from yt8m.base.files import read_json, write_json
from yt8m.data.splits import Splits
from yt8m.data.store import Store

LEVELS = "1:1 0.6:0.3"
TOML = "# why\narch = 'linear'\n[training]\nepochs = 3\nbatch_size = 32\nlr = 0.02\n"


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")[1:-1]]


def _rows(path, start: str) -> list[list[str]]:
    """The rows of the table below the line that begins so."""
    lines = path.read_text().splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith(start)) + 4
    end = next((n for n in range(first, len(lines)) if not lines[n]), len(lines))
    return [_cells(line) for line in lines[first:end]]


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    """The noise experiment on 400 videos with two models, three remedies' rows, one epoch each."""
    folder = tmp_path_factory.mktemp("noise")
    models = {"linear": folder / "linear.toml", "wide": folder / "wide.toml"}
    models["linear"].write_text(TOML)
    models["wide"].write_text(TOML.replace("'linear'", "'mlp'\nmodel.widths = [32]"))
    remedies = {name: noise.REMEDIES[name] for name in ("labels as they are", "forward correction")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(noise_run, "MODELS", models)
        patch.setattr(noise, "MODELS", models)
        patch.setattr(noise, "NETWORK", "wide")
        patch.setattr(noise, "REMEDIES", remedies)
        with verbs_here():
            noise.main(folder / "out", levels=LEVELS, videos=400, classes=12, seeds=1)
        yield folder / "out"


def test_the_noise_curve_has_every_cell_and_clean_labels_are_clean(noisy):
    clean = read_json(noisy / "precision1_recall1_seed0.json")
    wrong = read_json(noisy / "precision0.6_recall0.3_seed0.json")
    assert clean["noisy_precision"] == clean["recall"] == 1
    assert wrong["noisy_precision"] == pytest.approx(0.6, abs=0.1)
    for gaps in clean["systems"].values():
        assert gaps["clean"] == gaps["noisy"]
    assert wrong["systems"].keys() == clean["systems"].keys() >= {"soft labels", *noise.REMEDIES}
    gaps = wrong["systems"]["labels as they are"]
    assert 0 < gaps["noisy"] < gaps["clean"] < clean["systems"]["labels as they are"]["clean"]
    # Told that nothing is wrong, the correction corrects nothing.
    same = [clean["systems"][name]["clean"] for name in noise.REMEDIES]
    assert same[0] == pytest.approx(same[1], abs=1e-3)
    table = noisy / "table.md"
    assert [row[:3] for row in _rows(table, "Labels of")] == [
        ["1, 1", "1.000", "1.000"],
        ["0.6, 0.3", f"{wrong['recall']:.3f}", f"{wrong['noisy_precision']:.3f}"],
    ]
    rows = _rows(table, "GAP@20 of the holdout against its noisy")
    assert [row[0] for row in rows] == list(clean["systems"])
    base, soft = gaps["noisy"], wrong["systems"]["soft labels"]["noisy"]
    assert rows[0][2] == f"{base:.4f}"
    found = next(row for row in rows if row[0] == "soft labels")
    assert found[2] == f"{soft - base:+.4f}"


def test_a_finished_cell_is_not_measured_again_unless_settings_changed(noisy, monkeypatch):
    path = noisy / "precision1_recall1_seed0.json"
    told = read_json(path)
    write_json(path, told | {"recall": 0.5})  # would be overwritten by a new measurement
    monkeypatch.setattr(noise, "generate", lambda *_: pytest.fail("measured again"))
    noise.main(noisy, levels=LEVELS, videos=400, classes=12, seeds=1)
    assert _rows(noisy / "table.md", "Labels of")[0][1] == "0.500"
    with pytest.raises(pytest.fail.Exception, match="measured again"):
        noise.main(noisy, levels=LEVELS, videos=420, classes=12, seeds=1)
    write_json(path, told)


def test_mistakes_of_the_noise_curve(tmp_path):
    with pytest.raises(InputError, match="--levels '0.7': write precision:recall"):
        noise.main(tmp_path, levels="1:1 0.7")
    with pytest.raises(InputError, match="--levels '1:1.5': both must be above 0"):
        noise.main(tmp_path, levels="1:1.5")
    with pytest.raises(InputError, match="no levels"):
        noise.main(tmp_path, levels="")
    with pytest.raises(InputError, match="--seeds 0: 1 or more"):
        noise.main(tmp_path, seeds=0)


@pytest.fixture(scope="module")
def grown(data_set, tmp_path_factory):
    """bench.experiments.data_size on 40 videos and on all, one model, at least 12 steps."""
    configs, out = tmp_path_factory.mktemp("sizes"), tmp_path_factory.mktemp("grown")
    (configs / "one.toml").write_text(TOML)
    arguments = configs, data_set / "store", data_set / "folds.safetensors", out
    with verbs_here():
        data_size.main(*arguments, sizes="40 all", steps=12)
    return arguments


def test_more_videos_are_better_and_few_are_given_the_steps(grown, data_set):
    store, out = Store(data_set / "store"), grown[3]
    count = len(Splits.read(data_set / "folds.safetensors", store.ids).others(data_size.FOLD))
    few, many = (sorted(p.name for p in (out / n).glob("one_*")) for n in ("40", str(count)))
    assert few == ["one_3_epochs", "one_6_epochs"]  # 40 videos are two batches of at most 32
    assert many == ["one_3_epochs"]
    rows = _rows(out / "table.md", "GAP@20 on fold 0")
    assert [row[0] for row in rows] == ["one", "one, 12 steps"]
    gaps = np.array([row[1:] for row in rows], float)
    assert (gaps[:, 1] > gaps[:, 0]).all()
    assert gaps[0, 1] == gaps[1, 1]
    line = _rows(out / "table.md", "Curves through")[0]
    assert float(line[1]) == pytest.approx(np.diff(gaps[0])[0] / np.log2(count / 40), abs=2e-4)


def test_subsets_are_nested_and_have_neither_fold_nor_holdout(splits, store):
    found = data_size.subsets(splits, store.ids, "30 60 all")
    rows = [set(part.others(data_size.FOLD)) for part in found.values()]
    assert [len(part) for part in rows] == list(found)
    assert rows[0] < rows[1] < rows[2] == set(splits.others(data_size.FOLD))
    for part in found.values():
        assert (part.rows(data_size.FOLD) == splits.rows(data_size.FOLD)).all()
        assert (part.holdout == splits.holdout).all()


def test_the_curves_are_those_of_values_that_lie_on_them():
    sizes = [1000, 2000, 4000]
    line = data_size.curves(sizes, [0.5, 0.52, 0.54])
    assert line[0] == "+0.0200"
    assert float(line[1]) == pytest.approx(0.5 + 0.02 * np.log2(3900), abs=6e-4)
    power = data_size.curves(sizes, [1 - 0.5 * (n / 1000) ** -0.1 for n in sizes])
    assert float(power[4]) == pytest.approx(1 - 0.5 * 5600**-0.1, abs=6e-4)


def test_a_second_call_trains_nothing(grown, capsys):
    capsys.readouterr()
    data_size.main(*grown, sizes="40 all", steps=12)
    assert "seed0" not in capsys.readouterr().out


def test_mistakes_of_the_data_curve(grown, tmp_path):
    with pytest.raises(InputError, match=r"--sizes '9000': 2 to \d+ \(the videos outside fold 0"):
        data_size.main(*grown, sizes="40 9000")
    with pytest.raises(InputError, match="--sizes 'many'"):
        data_size.main(*grown, sizes="many")
    with pytest.raises(InputError, match="needs two different sizes"):
        data_size.main(*grown, sizes="40 40")
    with pytest.raises(InputError, match="--steps -1"):
        data_size.main(*grown, steps=-1)
    with pytest.raises(InputError, match="no models"):
        data_size.main(tmp_path, *grown[1:])
