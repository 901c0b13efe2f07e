"""Odd values in a TOML, and misspelt or impossible parameters of LightGBM: one line each."""

import pytest

from distill.config import DistillConfig
from first_level.config import PlannedModel
from stacking.config import Stacking, check_booster
from yt8m.base.cli import InputError
from yt8m.base.config import read_toml
from yt8m.base.files import read_json

MODEL = "arch = 'linear'\n"
ODD = {  # of a model
    "": "key 'arch' is missing",
    MODEL + "arch = 'moe'\n": "not TOML: Cannot overwrite a value",
    MODEL + "[training]\nepochs = inf\n": "training.epochs = inf: Input should be a valid integer",
    MODEL + "[training]\nepochs = -1\n": "training.epochs = -1: Input should be greater than or eq",
    MODEL + "[training]\nlr = inf\n": "training.lr = inf: Input should be a finite number",
    MODEL + "[training]\nmixup = 1e300\n": "training.mixup = 1e.300: Input should be less than or",
    MODEL + "[training]\nlr = '0.1'\n": "training.lr = '0.1': Input should be a valid number",
    MODEL + "[training]\nbatch_size = 1.5\n": "training.batch_size = 1.5: Input should be a valid",
    MODEL + f"[training]\nseed = {1 << 64}\n": "training.seed has more than 64 bits; write a small",
    MODEL + f"[model]\nwidths = [1, {1 << 80}]\n": "model.widths.1 has more than 64 bits; write",
    MODEL + "[model]\nwidth = nan\n": "model.width.* = nan: Input should be a finite number",
    MODEL + "[training]\nepoch = 1\n": "unknown key 'training.epoch'; .*; did you mean 'epochs'?",
    MODEL + "[training]\n[training]\n": "not TOML: Cannot declare .*'training'.* twice",
    "training = 3\n" + MODEL: "training = 3: Input should be a valid dictionary",
}


def read(tmp_path, text: str, cls):
    (tmp_path / "x.toml").write_text(text, encoding="utf-8")
    return read_toml(tmp_path / "x.toml", cls)


@pytest.mark.parametrize("text", ODD)
def test_an_odd_value_is_one_line(tmp_path, text):
    with pytest.raises(InputError, match=f"x.toml: .*{ODD[text]}") as error:
        read(tmp_path, text, PlannedModel)
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_toml(tmp_path):
    with pytest.raises(InputError, match="x.toml: no such file"):
        read_toml(tmp_path / "x.toml", PlannedModel)
    (tmp_path / "x.toml").write_bytes(b"arch = '\xff'")
    with pytest.raises(InputError, match="x.toml: not TOML: .*utf-8"):
        read_toml(tmp_path / "x.toml", PlannedModel)
    for name, text in (("x.toml", "a = "), ("x.json", "")):
        (tmp_path / name).write_text(text + "[" * 100_000)
    with pytest.raises(InputError, match="x.toml: not TOML: "):
        read_toml(tmp_path / "x.toml", PlannedModel)
    with pytest.raises(InputError, match="x.json: not JSON .*recursion"):
        read_json(tmp_path / "x.json")
    with pytest.raises(InputError, match="is a folder; a TOML file is needed"):
        read_toml(tmp_path, PlannedModel)


def test_a_bom_is_no_part_of_the_text(tmp_path):
    assert read(tmp_path, "\ufeff" + MODEL, PlannedModel).arch == "linear"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("num_leafs = 3", "unknown key 'booster.num_leafs'; .*; did you mean 'num_leaves'"),
        ("num_leaves = 1000000000000", "num_leaves = 1000000000000: Input should be less than"),
        ("learning_rate = 1e300", "booster.learning_rate = 1e.300: Input should be less than or"),
        ("extra.max_dept = 3", "booster.extra: unknown LightGBM parameter 'max_dept'; did you me"),
        ("extra.num_leaf = 3", "booster.extra: 'num_leaf' is set by this stage; use the keys of"),
        ("extra.max_depth = 'deep'", "booster.extra: LightGBM does not take it: .*max_depth"),
        ("extra.path_smooth = -1.0", "booster.extra: LightGBM does not take it: Check failed: "),
        ("extra.extra_trees = 3", "booster.extra: LightGBM does not take it: .*extra_trees"),
        ("extra.max_depth = 4294967296", "booster.extra.max_depth = 4294967296: not a number th"),
        ("extra.max_delta_step = 'nan'", "booster.extra.max_delta_step = nan: not a number that"),
        ("extra.max_delta_step = nan", "booster.extra.max_delta_step.* = nan: Input should be a f"),
    ],
)
def test_lightgbm_gets_what_it_knows(tmp_path, text, message, capfd):
    with pytest.raises(InputError, match=message) as error:
        check_booster(read(tmp_path, f"[booster]\n{text}\n", Stacking), "x.toml")
    assert "\n" not in str(error.value)
    assert not any(capfd.readouterr()), "LightGBM prints nothing of its own"


def test_what_lightgbm_takes_is_let_through(tmp_path):
    text = "[booster]\nextra = { max_depth = 5, monotone_constraints = '1,0,1' }\n"
    check_booster(read(tmp_path, text, Stacking), "x.toml")


def test_students_have_bounds(tmp_path):
    with pytest.raises(InputError, match="targets.temperature = 1e-300: Input should be greater"):
        read(tmp_path, "[targets]\ntemperature = 1e-300\n", DistillConfig)
