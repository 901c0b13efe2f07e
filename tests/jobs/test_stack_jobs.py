"""Which jobs a stack's `learner` plans, and which files of theirs others read."""

from dataclasses import replace
from pathlib import Path

import pytest

from distill.config import DistillConfig
from jobs.plans import Plan
from jobs.settings import Settings
from jobs.stages.context import FOLDS, Context
from jobs.stages.distill import distill_jobs
from jobs.stages.stacking import stacking_jobs

RUN = Path("a/demo")
FILES = {
    "trees": ("model.txt", "train.json"),
    "network": ("network/weights.safetensors", "network/report.json"),
}


def plan_jobs(learner: str) -> dict:
    """The jobs of stacking and of a re-ranked student, by name."""
    plan = Plan.read("demo")
    stack = plan.stack.model_copy(update={"learner": learner})
    students = DistillConfig.model_validate({"refit": {"models": [next(iter(plan.models))]}})
    given = {"DATA": "records", "UNLABELLED": "more", "JOBS": "1", "THREADS": "3"}
    settings = Settings("demo", RUN, given, {})
    context = Context(replace(plan, stack=stack, distill=students), settings)
    return {job.name: job for jobs in (stacking_jobs, distill_jobs) for job in jobs(context)}


@pytest.mark.parametrize(
    ("learner", "learners"),
    [("trees", ["trees"]), ("network", ["network"]), ("both", ["trees", "network"])],
)
def test_the_jobs_of_a_learner(learner, learners):
    jobs = plan_jobs(learner)
    trained = {name for name in jobs if name.endswith(("/trees", "/network"))}
    wanted = {f"stacking/fold{fold}/{one}" for fold in FOLDS for one in learners}
    assert trained == wanted | {"distill/reranker/network"}, "the student's is a network always"
    for fold in FOLDS:
        folder = RUN / f"stacking/fold{fold}"
        for one in learners:
            job = jobs[f"stacking/fold{fold}/{one}"]
            assert job.outputs == tuple(folder / name for name in FILES[one])
            assert job.arguments[-6:] == ("--fold", str(fold), "--learner", one, "--threads", "3")
            assert sum(path.name == "rows.json" for path in job.inputs) == len(FOLDS)
        for reader in ("predict", "unlabelled"):
            read = {path.name for path in jobs[f"stacking/fold{fold}/{reader}"].inputs}
            known = {Path(FILES[one][0]).name for one in FILES}
            assert read & known == {Path(FILES[one][0]).name for one in learners}
    job = jobs["distill/reranker/network"]
    assert job.outputs == tuple(RUN / "distill/reranker" / name for name in FILES["network"])
    assert ("--fold", "-1") == job.arguments[3:5]
