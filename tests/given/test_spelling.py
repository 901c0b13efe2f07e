"""The graph of jobs depends on what a TOML says, not on how it is spelled."""

import pytest

from jobs import plans
from jobs.graph import graph_of
from jobs.plans import Plan
from jobs.rules import jobs_text
from jobs.settings import Settings

TAUGHT = [
    "arch = 'linear'\n[teachers]\nmodels = ['one', 'two']\nweight = 0.25\n",
    'arch="linear"\nteachers.models=["one","two"]\nteachers.weight=25e-2',
    "# why\nteachers = { models = [ 'one' , \"two\" ] , weight = 0.25 }\narch = 'linear' # [s]\n",
    "arch = 'linear'\n[ teachers ] # models = ['three']\nmodels = [\n  'one', # first ]\n"
    "  'two',\n]\n'weight' = 0.250\n",
    "\"arch\" = '''linear'''\n[\"teachers\"]\nweight = 0.25\nmodels = [\n'one'\n,\n'two'\n]\n",
]
STARTED = [
    "arch = 'mlp'\n[start]\nweights = 'old/weights.safetensors'\nfreeze = true\n",
    "arch='mlp'\nstart.freeze=true\nstart.weights=\"old/weights.safetensors\"\n",
    "arch = 'mlp'\nstart = {freeze = true, weights = 'old/weights.safetensors'}\n",
    "arch = 'mlp'\n[start] # weights = 'x'\nfreeze = true\n"
    'weights = "old/weights\\u002esafetensors"\n',
]
REFIT = [
    "dtype = 'int8'\n[refit]\nmodels = ['two', 'one']\nfolds = ['two']\ncopies = 2\n",
    "refit.models=['two','one']\nrefit.folds=['two']\nrefit.copies=2\ndtype='int8'\n",
    "refit = { copies = 2, folds = ['two'], models = ['two', 'one'] }\ndtype = 'int8'\n",
    "dtype = 'int8'\n[ refit ]\nmodels = [ # [resnet]\n 'two', # copies = 3\n 'one' ]\nfolds = [\n"
    "'two'\n]\ncopies = 0x2\n[resnet]\n",
]


@pytest.fixture
def jobs_of(tmp_path, monkeypatch):
    """The text of jobs.json of a plan whose third model and whose students are spelled so."""
    monkeypatch.setattr(plans, "ROOT", tmp_path)

    def planned(three: str = "arch = 'linear'\n", students: str = "") -> str:
        folder = tmp_path / "first_level" / "configs" / "p"
        for name in ("one", "two"):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}.toml").write_text("arch = 'linear'\n")
        (folder / "three.toml").write_text(three)
        for stage, text in (("stacking", ""), ("distill", students)):
            (tmp_path / stage / "configs").mkdir(parents=True, exist_ok=True)
            (tmp_path / stage / "configs" / "p.toml").write_text(text)
        settings = Settings("p", tmp_path / "run", {"DATA": "x", "JOBS": "1", "THREADS": "1"}, {})
        plan = Plan.read("p")
        snapshots = [text for text in plan.snapshots(settings.artifacts).values()]
        return jobs_text(graph_of(plan, settings), settings) + "".join(snapshots)

    return planned


@pytest.mark.parametrize("spelled", TAUGHT[1:])
def test_teachers(jobs_of, spelled):
    found = jobs_of(spelled)
    assert found == jobs_of(TAUGHT[0])
    assert found.count("first_level/one/fold3/weights.safetensors") == 2, (
        "one's output, three's input"
    )


@pytest.mark.parametrize("spelled", STARTED[1:])
def test_weights_to_begin_with(jobs_of, spelled):
    found = jobs_of(spelled)
    assert found == jobs_of(STARTED[0])
    assert found.count('"old/weights.safetensors"') == 5 + 1


@pytest.mark.parametrize("spelled", REFIT[1:])
def test_refitted_models(jobs_of, spelled):
    found = jobs_of(students=spelled)
    assert found == jobs_of(students=REFIT[0])
    assert found.count('"--copy"') == 2
    assert found.count("first_level/two/fold3/weights.safetensors") == 2
