"""Where the files of a run lie: the only place that spells an artifact's path.

A run is the folder artifacts/<plan>; its store may lie elsewhere. `Artifacts` names the files by
what they are; verbs that are given a folder use the names below.
"""

from dataclasses import dataclass
from pathlib import Path

from yt8m.base.files import read_json
from yt8m.base.locks import LOCK

CONFIG = "config.json"  # a snapshot of settings, defaults included
WEIGHTS = "weights.safetensors"
PREDICTIONS = "predictions.safetensors"
UNLABELLED_PREDICTIONS = "unlabelled.safetensors"
REPORT = "report.json"
TRAINING = "training.json"  # seconds and epochs of a training that has ended
CHECKPOINT = "checkpoint.pt"
RUN_LOG = "log.jsonl"  # a line for each epoch
TABLE, SUBMISSION = "table.txt", "submission.csv"
MODELS, MEMBERS = "models.txt", "members.txt"  # of a plan, of its re-ranked student: one a line
SEGMENTS = "segments"  # folder of a model that is fine-tuned on segments
MANIFEST, ABOUT = "manifest.json", "about.json"
DESCRIPTION_FILE = "dataset.toml"  # of records
NEAR_COPIES = "near_copies.csv"  # beside the folds: groups that join videos that are alike
CLEAN_LABELS = "clean_labels.safetensors"  # of generated records, for reports
REHEARSAL = "_rehearsal"  # ends the name of a plan made small, and so of its run
CANARY, FLIPS = "_canary", "_flips"  # of plans that `make canary` runs on false labels
# Folders of stages.
FIRST_LEVEL, STACKING, DISTILL = "first_level", "stacking", "distill"
ROWS, ROWS_ABOUT, BOOSTER, BOOSTER_TRAINING = "rows", "rows.json", "model.txt", "train.json"
# The network over rows has a folder of its own, since two jobs never write into one.
HEAD, HEAD_TRAINING = f"network/{WEIGHTS}", f"network/{REPORT}"
HOLDOUT_FOLDER, RERANKER_FOLDER = "holdout", "reranker"  # the first is of stacking.report
LETTERS = "abcdef"  # of the extractors of the paper's student
FINE_TUNE = "fine_tune"  # folder of the paper's student where all of it is trained at the end
EXPORT_MANIFEST, EXPORT_WEIGHTS, EXPORT_GRAPH = "model.json", "model.safetensors", "model.onnx"
EXPORT_README, EXPORT_SUMS = "README.md", "SHA256SUMS"
EXPORT_STEPS = "compression.json"  # GAP of each form of the student
EXPORT_PREDICT = "predict.py"  # runs the graph without this project
EXPORT_TRAINED_ON = "trained_on.safetensors"  # hashes of the videos that it learnt from


def trained_on(csv: Path) -> Path:
    """The file beside a file of predictions: hashes of the videos that trained what made it."""
    return csv.with_name(f"{csv.name}.{EXPORT_TRAINED_ON}")


def for_numpy(folds: Path) -> Path:
    """The folds once more, for scripts of people: `np.load`."""
    return folds.with_suffix(".npz")


def fold_folder(folder: Path, fold: int) -> Path:
    """The folder of one fold in that of a model or a stack."""
    return folder / f"fold{fold}"


@dataclass(frozen=True)
class Artifacts:
    """The files of a run."""

    run: Path
    store: Path

    @classmethod
    def of_run(cls, run: Path) -> "Artifacts":
        """The files of a run whose store lies where make was told, or in its folder."""
        given = cls(run, run).given
        store = read_json(given).get("STORE") if given.is_file() else ""
        return cls(run, Path(store) if store else run / "store")

    # What jobs are planned from and what they leave: jobs/.
    @property
    def given(self) -> Path:
        """Settings that the run was given, remembered."""
        return self.run / "given.json"

    @property
    def lock(self) -> Path:
        """Says which make works on the run; its jobs lock their folders, the run's among them."""
        return self.run / f".make{LOCK}"

    @property
    def jobs(self) -> Path:
        """The jobs; their twin for make, jobs.mk, is named by the Makefile."""
        return self.run / "jobs.json"

    @property
    def looked(self) -> Path:
        """Digests of files, by their sizes and times."""
        return self.run / "looked.json"

    @property
    def receipts(self) -> Path:
        """A receipt for each job that has ended."""
        return self.run / "receipts"

    def receipt(self, job: str) -> Path:
        """The receipt of a job, by its name."""
        return self.receipts / f"{job}.json"

    def shorten(self, path: Path) -> str:
        """A path as receipts have it, whatever folder the run lies in: @run/..., @store/..."""
        folders = {"@store": self.store, "@run": self.run}
        own = [f"{n}/{path.relative_to(f)}" for n, f in folders.items() if path.is_relative_to(f)]
        return own[0] if own else str(path)

    def find(self, text: str) -> Path:
        """The path that `shorten` made the text of."""
        for name, folder in (("@store/", self.store), ("@run/", self.run)):
            if text.startswith(name):
                return folder / text.removeprefix(name)
        return Path(text)

    @property
    def log(self) -> Path:
        """What make and its jobs printed below the live view."""
        return self.run / "make.log"

    @property
    def records(self) -> Path:
        """Generated records."""
        return self.run / "records"

    @property
    def clean_labels(self) -> Path:
        """The hidden labels of generated records."""
        return self.records / CLEAN_LABELS

    @property
    def records_description(self) -> Path:
        return self.records / DESCRIPTION_FILE

    @property
    def manifest(self) -> Path:
        return self.store / MANIFEST

    @property
    def about(self) -> Path:
        """Names of the store's classes and features, and what it was decoded from."""
        return self.store / ABOUT

    @property
    def unlabelled_store(self) -> Path:
        return self.store / "unlabelled"

    @property
    def unlabelled_manifest(self) -> Path:
        return self.unlabelled_store / MANIFEST

    @property
    def folds(self) -> Path:
        return self.run / "folds.safetensors"

    @property
    def fit(self) -> Path:
        """What each model of the plan takes of the data."""
        return self.run / "fit.json"

    @property
    def first_level(self) -> Path:
        return self.run / FIRST_LEVEL

    @property
    def models(self) -> Path:
        return self.first_level / MODELS

    def model(self, name: str) -> Path:
        """The folder of a first-level model."""
        return self.first_level / name

    def model_fold(self, name: str, fold: int) -> Path:
        """The folder of a first-level job."""
        return fold_folder(self.model(name), fold)

    def segments(self, name: str) -> Path:
        """The folder of a model that is fine-tuned on segments."""
        return self.model(name) / SEGMENTS

    @property
    def stacking(self) -> Path:
        return self.run / STACKING

    def stack_fold(self, fold: int) -> Path:
        return fold_folder(self.stacking, fold)

    def stack_rows(self, fold: int) -> Path:
        return self.stack_fold(fold) / ROWS

    @property
    def soft_labels(self) -> Path:
        return self.stacking / "soft_labels.safetensors"

    @property
    def unlabelled_soft_labels(self) -> Path:
        return self.stacking / UNLABELLED_PREDICTIONS

    @property
    def distill(self) -> Path:
        return self.run / DISTILL

    @property
    def members(self) -> Path:
        return self.distill / MEMBERS

    def part_settings(self, part: str) -> Path:
        """What decides a part of the students: student, resnet or refit."""
        return self.distill / f"{part}.json"

    def extractor(self, letter: str, fold: int | None = None) -> Path:
        """The folder of an extractor, or of its copy that left out a fold."""
        folder = self.distill / f"extractor_{letter}"
        return folder if fold is None else fold_folder(folder, fold)

    def refit(self, name: str, copy: int) -> Path:
        return self.distill / "refit" / name / f"copy{copy}"

    @property
    def reranker(self) -> Path:
        return self.distill / RERANKER_FOLDER

    @property
    def export(self) -> Path:
        return self.run / "export"

    @property
    def evaluation(self) -> Path:
        return self.run / "evaluation.json"

    @property
    def evaluation_predictions(self) -> Path:
        return self.run / "evaluation_predictions.safetensors"

    @property
    def denoising(self) -> Path:
        return self.run / "denoising.json"

    @property
    def summary(self) -> Path:
        return self.run / "summary.json"

    @property
    def page(self) -> Path:
        return self.run / "report.html"

    @property
    def submission(self) -> Path:
        return self.run / SUBMISSION
