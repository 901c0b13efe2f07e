"""bench.experiments.students: judged by a holdout that nobody quotes; finished runs are kept."""

from pathlib import Path

import pytest
from distill_world import soft_labels_of
from verbs_here import verbs_here

from bench.experiments import students
from distill.config import DistillConfig
from yt8m.base.cli import InputError
from yt8m.base.config import canonical, read_toml
from yt8m.base.files import read_json
from yt8m.data.splits import HOLDOUT, UNUSED, Splits, uniform
from yt8m.data.store import Store

TOML = """# why
[targets]
hard_weight = {}
[resnet.model]
width = 16
[resnet.training]
epochs = {}
batch_size = 64
lr = 0.01
"""
PAPER = """# why
scale = 0.01
[targets]
hard_weight = 0.5
[extractors]
epochs = {}
[last_layers]
epochs = {}
"""
EXTRACTORS = {f"extractor_{letter}" for letter in "abcdef"}


@pytest.fixture(scope="module")
def run(data_set, tmp_path_factory):
    """A run with a holdout of 0.2, and the settings of two students."""
    run = tmp_path_factory.mktemp("run")
    (run / "store").symlink_to(data_set / "store")
    (run / "folds.safetensors").symlink_to(data_set / "folds.safetensors")
    (run / "stacking").mkdir()
    store = Store(run / "store")
    splits = Splits.read(run / "folds.safetensors", store.ids)
    soft_labels_of(store, splits, run / "stacking" / "soft_labels.safetensors")
    (run / "toml").mkdir()
    (run / "toml" / "base.toml").write_text(TOML.format(0.5, 1))
    (run / "toml" / "longer.toml").write_text(TOML.format(0.5, 8))
    with verbs_here():
        yield run


def test_students_are_judged_by_what_is_not_quoted_and_only_what_changed_runs_again(run, capsys):
    out = run / "out"
    students.main(run / "toml", run, out, quoted=0.1)
    store = Store(run / "store")
    before, after = (Splits.read(path / "folds.safetensors", store.ids).fold for path in (run, out))
    quoted = uniform(store.ids, "holdout") < 0.1
    assert quoted.any()
    assert (after[quoted] == UNUSED).all()
    assert (after == HOLDOUT).any()
    assert (after[~quoted] == before[~quoted]).all()
    report = read_json(out / "longer" / "resnet" / "report.json")
    assert report["holdout"]["videos"] == (after == HOLDOUT).sum()
    assert report["training_videos"] == (before >= 0).sum()
    lines = [line.split() for line in (out / "table.md").read_text().splitlines()[2:]]
    assert [line[1] for line in lines] == ["longer", "base"]
    assert float(lines[0][3]) == round(report["gap_holdout"], 4)
    assert float(lines[0][5]) > 0 == float(lines[1][5])
    capsys.readouterr()
    (run / "toml" / "base.toml").write_text(TOML.format(1, 1))
    students.main(run / "toml", run, out, quoted=0.1)
    assert capsys.readouterr().out.count("holdout") == 1  # base alone


def test_the_papers_student_shares_extractors_that_are_the_same(run, capsys):
    out, toml = run / "paper", run / "paper_toml"
    toml.mkdir()
    (toml / "base.toml").write_text(PAPER.format(1, 1))
    (toml / "last.toml").write_text(PAPER.format(1, 3))
    students.main(toml, run, out, quoted=0.1, part="student")
    printed = capsys.readouterr().out
    assert printed.count("extractor_e: [distill e] GAP@20") == 1
    (folder,) = out.glob("extractors_*")
    assert {path.name for path in folder.iterdir()} == EXTRACTORS | {"base", "last"}
    report = read_json(folder / "last" / "report.json")
    below = [read_json(folder / name / "report.json") for name in EXTRACTORS]
    rows = [line.split() for line in (out / "table.md").read_text().splitlines()[2:]]
    row = next(row for row in rows if row[1] == "last")
    assert float(row[3]) == round(report["gap_holdout"], 4)
    assert float(row[7]) == round(report["seconds"] + sum(other["seconds"] for other in below))
    (toml / "base.toml").write_text(PAPER.format(2, 1))
    students.main(toml, run, out, quoted=0.1, part="student")
    printed = capsys.readouterr().out
    assert printed.count("extractor_e: ") == printed.count("base: ") == 1
    assert "last: " not in printed
    assert len(list(out.glob("extractors_*"))) == 2


@pytest.mark.parametrize(
    "folder", ["student_options", "paper_student_options", "extractor_videos_options"]
)
def test_every_option_can_be_read_and_changes_something(folder):
    folder = Path(students.__file__).with_name(folder)
    found = {path.stem: read_toml(path, DistillConfig) for path in folder.glob("*.toml")}
    assert students.BASE in found
    assert len({canonical(config) for config in found.values()}) == len(found) > 1


def test_mistakes(run, tmp_path):
    with pytest.raises(InputError, match=r"--quoted 0.2: .* HOLDOUT=0.35"):
        students.main(run / "toml", run, tmp_path, quoted=0.2)
    with pytest.raises(InputError, match="--jobs 0: 1 or more"):
        students.main(run / "toml", run, tmp_path, jobs=0)
    with pytest.raises(InputError, match="--part last: .* allowed: resnet, student"):
        students.main(run / "toml", run, tmp_path, part="last")
    with pytest.raises(InputError, match="no settings"):
        students.main(tmp_path, run, tmp_path)
    (run / "toml" / "bad.toml").write_text("# why\n[resnet.model]\nwidth = 2\n")
    with pytest.raises(InputError, match="bad.toml"):
        students.main(run / "toml", run, tmp_path)
    assert not list(tmp_path.iterdir())
