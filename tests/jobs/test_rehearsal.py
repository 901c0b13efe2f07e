"""The rehearsal of a plan: every TOML made small by one rule, and the same jobs."""

import json

import pytest
import torch

from first_level.config import PlannedModel, build, check_arguments
from jobs import rehearsal
from jobs.graph import graph_of
from jobs.plans import FIRST_LEVEL, ROOT, Plan
from jobs.rehearsal import shrink_model, shrink_size, shrink_students, shrink_training
from jobs.settings import Settings
from yt8m.base.paths import REHEARSAL
from yt8m.data.store import Dims
from yt8m.training.settings import Training

PLANS = sorted(path.name for path in (ROOT / FIRST_LEVEL).iterdir())
DIMS = Dims({"rgb": 1024, "audio": 128}, classes=200, max_frames=10, verticals=24)
MOST = 6_000_000  # parameters
CHANGED = {"training": {"epochs", "steps_per_epoch", "batch_size", "lr"}, "inputs": {"clusters"}}


def _network(config: PlannedModel) -> torch.nn.Module:
    with torch.device("meta"):
        return build(config, DIMS, "test")


def _kept(config: PlannedModel) -> dict:
    """All settings that the rule may not change; of the architecture's, those that are no sizes."""
    model = {k: v for k, v in config.model.items() if not isinstance(v, int | list) or v is True}
    return config.model_dump(exclude=CHANGED | {"model": True}) | {"model": model}


@pytest.mark.parametrize("plan", PLANS)
def test_every_model_of_every_plan_stays_what_it_is_and_gets_small(plan):
    whole, small = Plan.read(plan), Plan.read(plan + REHEARSAL)
    assert small.models.keys() == whole.models.keys()
    for name, config in small.models.items():
        check_arguments(config, name)
        assert _kept(config) == _kept(whole.models[name]), name
        assert config.training.batch_size <= 128
        assert config.training.lr >= whole.models[name].training.lr / 4, name
        network, full = _network(config), _network(whole.models[name])
        assert [*map(type, network.modules())] == [*map(type, full.modules())], name
        assert sum(p.numel() for p in network.parameters()) < MOST, name
    assert small.stack.booster.num_leaves == min(16, whole.stack.booster.num_leaves)
    assert small.distill.scale == whole.distill.scale / 16
    assert small.distill.refit == whole.distill.refit


@pytest.mark.parametrize(
    ("size", "parts", "small"),
    [
        *[(1, (), 1), (16, (), 16), (17, (), 16), (25, (5,), 20), (1024, (), 64), (2000, (), 124)],
        *[(1020, (3, 1), 66), (1025, (5, 1), 65), (500, (1,), 32), (0, (), 0), (75, (3, 5), 30)],
    ],
)
def test_a_size_is_a_sixteenth_and_divides_as_before(size, parts, small):
    assert shrink_size(size, parts) == small


def test_defaults_lists_and_clusters_shrink_and_weights_to_begin_with_are_left_out():
    values = {"arch": "frame_convolutions", "start": {"weights": "old"}, "model": {"kernel": 5}}
    small = shrink_model(PlannedModel.model_validate(values))
    lists = {"rgb_channels": [128, 128], "audio_channels": [32, 32], "channels": [256, 512]}
    assert small.model == {"kernel": 5} | lists
    assert (small.start, small.inputs.clusters) == (None, 624)
    exported = PlannedModel.model_validate({"arch": "exported", "start": {"weights": "old"}})
    assert shrink_model(exported).start == exported.start


def test_trainings_are_short_and_their_rates_follow_batch_and_width():
    small = shrink_training(Training(epochs=50, steps_per_epoch=1000, batch_size=512, lr=1e-4))
    assert (small.epochs, small.steps_per_epoch, small.batch_size, small.lr) == (8, 20, 128, 8e-4)
    assert shrink_training(Training(lr=0.005)).lr == rehearsal.RATE
    assert shrink_training(Training(epochs=1, lr=0.05)).epochs == 1
    whole = Plan.read("paper").distill
    for name in ("extractors", "last_layers", "fine_tune"):
        trained = getattr(shrink_students(whole), name)
        assert trained == shrink_training(getattr(whole, name))
    assert shrink_students(whole).resnet.model.width == 128


def _settings(plan: str, given: dict | None = None, goals=("rehearse",), before=None) -> Settings:
    values = {"JOBS": "2", "THREADS": "1"} | (given or {})
    return Settings(plan, ROOT / "artifacts" / plan, values, before or {}, goals)


def test_a_rehearsal_has_the_jobs_of_its_plan_over_generated_records():
    settings = _settings("paper" + REHEARSAL)
    graph = graph_of(Plan.read(settings.plan), settings)
    theirs = graph_of(Plan.read("paper"), _settings("paper", {"DATA": "records"}))
    records, *others = graph.jobs
    assert [job.name for job in others] == [job.name for job in theirs.jobs]
    assert records.verb == "yt8m.records.synthetic"
    assert "--frames" in records.arguments
    assert not {"--rgb", "--audio"} & set(records.arguments), "full dimensions, the default"
    taught = graph.by_name["first_level/resnet_b4_do40_soft05/fold2"]
    needs = graph.needs[taught.name]
    assert "first_level/mlp_8192x2_do30_mix2/fold2" in needs
    assert graph.goals["rehearse"] == graph.goals["all"]


def test_its_snapshots_are_the_small_settings():
    settings = _settings("paper" + REHEARSAL)
    texts = Plan.read(settings.plan).snapshots(settings.artifacts)
    found = json.loads(texts[settings.artifacts.model("gated_mlp_w16000") / "config.json"])
    assert found["model"] == {"width": 1000}


@pytest.mark.parametrize(
    ("plan", "given", "goals", "before", "generated"),
    [
        ("paper_rehearsal", {}, ("rehearse",), {"DATA": "old"}, True),
        ("paper_rehearsal", {}, (), {}, True),
        ("paper_rehearsal", {}, ("stacking",), {"DATA": "old"}, False),
        ("paper_rehearsal", {"DATA": "records"}, ("rehearse",), {}, False),
        ("paper", {}, ("all",), {}, False),
    ],
)
def test_records_are_generated_unless_others_are_given(plan, given, goals, before, generated):
    assert _settings(plan, given, goals, before).generated == generated
