"""All jobs of a plan, and what people ask make for."""

from jobs.job import Graph
from jobs.plans import Plan
from jobs.settings import Settings
from jobs.stages.context import Context
from jobs.stages.distill import distill_jobs
from jobs.stages.first_level import first_level_jobs, segment_jobs
from jobs.stages.folds import folds_jobs
from jobs.stages.report import TABLES, export_jobs, report_jobs
from jobs.stages.stacking import stacking_jobs

STAGES = (
    folds_jobs,
    first_level_jobs,
    segment_jobs,
    stacking_jobs,
    distill_jobs,
    export_jobs,
    report_jobs,
)


def graph_of(plan: Plan, settings: Settings) -> Graph:
    """All jobs. What takes longest in a stage comes first, since make starts jobs in this order."""
    context = Context(plan, settings)
    jobs = tuple(job for jobs_of in STAGES for job in jobs_of(context))
    everything = ("report/page", "report/summary", *(f"report/{stage}" for stage in TABLES))
    submissions = [job.name for job in jobs if job.name.endswith("/segments/submission")]
    goals = {
        "folds": ("folds/fit",),
        "first_level": ("report/first_level",),
        "stacking": ("stacking/soft_labels", "report/stacking"),
        "distill": ("report/distill",),
        "export": ("export/write",),
        "evaluate": ("export/score",),
        "table": ("report/summary",),
        "report": ("report/page",),
        "all": everything,
        "demo": everything,
        "rehearse": everything,
        "segments": tuple(submissions),
        "submission": () if settings.given.get("EXPORT") else ("export/write",),
    }
    return Graph(jobs, goals)
