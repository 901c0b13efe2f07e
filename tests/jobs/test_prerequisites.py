"""Whatever a job reads makes it stale: itself, or by way of the jobs that it needs.

`READS` says once more, by hand, which files each verb opens. A job may leave one out of its inputs
only where a job before it has it.
"""

from pathlib import Path

import pytest

from distill.config import DistillConfig
from first_level.config import PlannedModel
from jobs.graph import graph_of
from jobs.job import Graph, Job
from jobs.plans import Plan
from jobs.rules import recipe_of
from jobs.settings import Settings
from stacking.config import Stacking
from yt8m.base import paths
from yt8m.base.paths import Artifacts, fold_folder

MODELS = {
    "one": {"arch": "linear"},
    "frames": {"arch": "frame_logistic", "segments": {}},
    "taught": {"arch": "linear", "teachers": {"models": ["one"]}},
    "begun": {"arch": "mlp", "start": {"weights": "elsewhere/weights.safetensors"}},
}
PAPERS = {"extractor_videos": "folds", "fine_tune": {"epochs": 1}}
REFIT = {"refit": {"models": ["one", "frames"], "folds": ["frames"], "copies": 2}}
DISTILL = {
    "paper": PAPERS,
    "refit": REFIT,
    "refit on unlabelled": {"refit": REFIT["refit"] | {"unlabelled": True}},
}
FOLDS = range(5)


class PlanWithAll:
    """A plan with all that a plan may have, and its jobs."""

    def __init__(self, distill: dict, learner: str, **given: str):
        models = {name: PlannedModel.model_validate(about) for name, about in MODELS.items()}
        stack = Stacking.model_validate({"learner": learner})
        self.plan = Plan("p", models, stack, DistillConfig.model_validate(distill))
        given = {"DATA": "records", "UNLABELLED": "more", "JOBS": "1", "THREADS": "1"} | given
        self.settings = Settings("p", Path("run"), given, {})
        self.files: Artifacts = self.settings.artifacts
        self.graph: Graph = graph_of(self.plan, self.settings)

    def learners(self, folder: Path) -> list[Path]:
        stack = self.plan.stack
        return [folder / paths.BOOSTER] * stack.trees + [folder / paths.HEAD] * stack.networks

    def reads(self, job: Job) -> list[Path]:
        """Files that the job's verb opens."""
        return getattr(self, job.verb.replace(".", "_"))(job, self.files, job.name.split("/"))

    def jobs_fit_check(self, job, files, name):
        configs = [files.model(model) / paths.CONFIG for model in self.plan.models]
        stages = [files.stacking / paths.CONFIG, files.distill / paths.CONFIG]
        return [files.manifest, files.folds, *configs, *stages]

    def first_level_train(self, job, files, name):
        model, fold = self.plan.models[name[1]], int(name[2][4:])
        found = [files.model(name[1]) / paths.CONFIG, files.manifest, files.folds]
        if model.start:
            found.append(Path(model.start.weights))
        teachers = model.teachers.models if model.teachers else ()
        return found + [files.model_fold(one, fold) / paths.WEIGHTS for one in teachers]

    def first_level_predict(self, job, files, name):
        model = files.model(name[1])
        found = [model / paths.CONFIG, model / name[2] / paths.WEIGHTS]
        return [*found, files.manifest, files.folds, files.unlabelled_manifest]

    def first_level_segments_train(self, job, files, name):
        config = files.segments(name[1]) / paths.CONFIG
        parent = files.model(name[1]) / name[3] / paths.WEIGHTS
        return [config, files.manifest, files.folds, parent]

    def first_level_segments_submission(self, job, files, name):
        return [files.segments(name[1]) / f"fold{k}" / paths.PREDICTIONS for k in FOLDS]

    def stacking_rows(self, job, files, name):
        fold = int(name[-2][4:])
        stack, members = self.plan.models, self.plan.distill.refit.models
        models, listed = (
            (stack, files.models) if name[0] == "stacking" else (members, files.members)
        )
        found = [files.stacking / paths.CONFIG, listed, files.manifest, files.folds]
        return found + [files.model_fold(one, fold) / paths.PREDICTIONS for one in models]

    def stacking_train(self, job, files, name):
        stack = name[0] == "stacking"
        folder = files.stacking if stack else files.reranker
        others = [k for k in FOLDS if not stack or f"fold{k}" != name[1]]
        rows = [fold_folder(folder, k) / paths.ROWS / paths.ROWS_ABOUT for k in others]
        return [files.stacking / paths.CONFIG, *rows]

    def stacking_predict(self, job, files, name):
        folder = files.stacking / name[1]
        rows = folder / paths.ROWS / paths.ROWS_ABOUT
        return [files.stacking / paths.CONFIG, rows, *self.learners(folder)]

    def stacking_unlabelled(self, job, files, name):
        fold = int(name[1][4:])
        lists = [files.model_fold(m, fold) / paths.UNLABELLED_PREDICTIONS for m in self.plan.models]
        store = [files.manifest, files.unlabelled_manifest, files.folds]
        return self.stacking_predict(job, files, name) + store + lists

    def stacking_soft_labels(self, job, files, name):
        own = paths.PREDICTIONS
        if job.target == files.unlabelled_soft_labels:
            own = paths.UNLABELLED_PREDICTIONS
        return [files.manifest, files.folds, *(files.stack_fold(k) / own for k in FOLDS)]

    def stacking_report(self, job, files, name):
        folders = [files.stack_fold(k) for k in FOLDS]
        found = [files.stacking / paths.CONFIG, files.models, files.manifest, files.folds]
        found += [
            files.model_fold(m, k) / paths.PREDICTIONS for m in self.plan.models for k in FOLDS
        ]
        for folder in folders:
            found += [folder / paths.PREDICTIONS, folder / paths.ROWS / paths.ROWS_ABOUT]
            found += self.learners(folder)
        return found

    def lessons(self, files, unlabelled=True):
        more = [files.unlabelled_manifest, files.unlabelled_soft_labels] if unlabelled else []
        return [files.manifest, files.folds, files.soft_labels, *more]

    def distill_train(self, job, files, name):
        resnet = name[1] == "resnet"
        found = [files.part_settings("resnet" if resnet else "student"), *self.lessons(files)]
        if name[1] == "student":
            copies = [None, *FOLDS]
            found += [files.extractor(x, k) / paths.WEIGHTS for x in paths.LETTERS for k in copies]
        return found

    def distill_refit(self, job, files, name):
        config = files.model(name[2]) / paths.CONFIG
        lessons = self.lessons(files, self.plan.distill.refit.unlabelled)
        return [files.part_settings("refit"), config, *lessons]

    def distill_export_write(self, job, files, name):
        found = [files.distill / paths.CONFIG, files.manifest, files.about, files.folds]
        found += [files.soft_labels, files.distill / "resnet" / paths.WEIGHTS]
        if not self.plan.distill.refit.models:
            return [*found, files.distill / "student" / paths.WEIGHTS]
        rows = fold_folder(files.reranker, 0) / paths.ROWS / paths.ROWS_ABOUT
        found += [files.reranker / paths.HEAD, rows, files.stacking / paths.CONFIG]
        found += [files.refit("one", copy) / paths.WEIGHTS for copy in (0, 1)]
        found += [files.model(one) / paths.CONFIG for one in ("one", "frames")]
        return found + [files.model_fold("frames", k) / paths.WEIGHTS for k in FOLDS]

    def distill_export_evaluate(self, job, files, name):
        names = (paths.EXPORT_MANIFEST, paths.EXPORT_WEIGHTS, paths.EXPORT_GRAPH)
        return [*(files.export / one for one in names), files.manifest, files.folds]

    def of_students(self, files):
        jobs = [job for job in self.graph.jobs if job.verb in ("distill.train", "distill.refit")]
        return [path for job in jobs for path in job.outputs if path.name == paths.REPORT]

    def of_models(self, files):
        return [files.model_fold(m, k) / paths.REPORT for m in self.plan.models for k in FOLDS]

    def report_summary(self, job, files, name):
        found = [files.stacking / paths.REPORT, files.distill / paths.CONFIG, files.evaluation]
        found += [files.export / paths.EXPORT_MANIFEST, *self.of_students(files)]
        return found + self.of_models(files)

    def report_page(self, job, files, name):
        found = [files.summary, files.about, files.soft_labels, files.evaluation_predictions]
        return found + self.report_summary(job, files, name)

    def report_stage(self, job, files, name):
        return {
            paths.FIRST_LEVEL: [files.models, *self.of_models(files)],
            paths.STACKING: [files.stacking / paths.REPORT],
            paths.DISTILL: self.of_students(files),
        }[name[1]]

    def folds_assign(self, job, files, name):
        return [files.manifest]

    def folds_decode(self, job, files, name):
        return []  # records, which the planner compares by itself

    def folds_unlabelled(self, job, files, name):
        return [files.manifest]


@pytest.mark.parametrize("learner", ["trees", "network", "both"])
@pytest.mark.parametrize("distill", DISTILL.values(), ids=DISTILL)
def test_a_job_is_stale_with_all_that_it_reads(distill, learner):
    world = PlanWithAll(distill, learner)
    wrong = []
    for job in world.graph.jobs:
        before = world.graph.with_needs([job.name])
        known = {path for one in before for path in one.inputs}
        known |= {path for one in before if one is not job for path in one.outputs}
        missing = [path for path in world.reads(job) if path not in known]
        wrong += [f"{job.name} does not wait for {path}" for path in missing]
    assert wrong == []


def test_a_job_comes_after_those_that_it_needs():
    graph = PlanWithAll(REFIT, "both").graph
    place = {job.name: number for number, job in enumerate(graph.jobs)}
    for job in graph.jobs:
        assert all(place[name] < place[job.name] for name in graph.needs[job.name]), job.name


@pytest.mark.parametrize(
    ("setting", "value", "changed"),
    [
        ("HOLDOUT", "0.3", {"folds/assign"}),
        ("DTYPE", "int8", {"export/write", "folds/fit"}),
        ("BUDGET_MB", "7", {"export/write", "folds/fit"}),
        ("VIDEOS", "9", {"report/page"}),
        ("THREADS", "8", set()),
        ("JOBS", "8", set()),
    ],
)
def test_a_setting_makes_the_job_stale_that_takes_it(setting, value, changed):
    before, after = (
        PlanWithAll(REFIT, "both").graph,
        PlanWithAll(REFIT, "both", **{setting: value}).graph,
    )
    found = {job.name for job in after.jobs if job.settings != before.by_name[job.name].settings}
    assert found == changed


def test_settings_that_are_not_given_are_as_the_makefile_says():
    found = Settings("p", Path("run"), {"DATA": "records"}, {})
    assert (found.holdout, found.budget_mb, found.dtype, found.videos) == ("0.1", "1000", "", 200)
    assert (found.jobs, found.threads, found.store) == (1, 1, Path("run/store"))
    assert (found.export, found.out) == (Path("run/export"), Path("run/submission.csv"))


def test_a_job_that_runs_alone_has_all_cores():
    world = PlanWithAll(REFIT, "both", JOBS="3", THREADS="2")
    for job in world.graph.jobs:
        text = recipe_of(job, world.settings)
        assert ("OMP_NUM_THREADS=6 " in text) == job.alone, job.name
        assert ("$(TRAINER)" in text) == (job.verb == "first_level.train"), job.name
