"""Folders of the parts of a run's students, below its folder `distill`."""

from pathlib import Path

from yt8m.base.paths import LETTERS, fold_folder
from yt8m.data.splits import NUM_FOLDS


def extractor_folders(settings: dict) -> list[str]:
    """The folders of the paper's six extractors and of their copies. settings: of the stage."""
    folders = [f"extractor_{letter}" for letter in LETTERS]
    if settings.get("extractor_videos") != "folds":
        return folders
    copies = [fold_folder(Path(one), k) for one in folders for k in range(NUM_FOLDS)]
    return folders + [str(folder) for folder in copies]


def refitted_models(refit: dict) -> dict[str, list[str]]:
    """The models that [refit] trains again, and the folders of their copies.

    A model that is handed over by its fold models is not among them.
    """
    names = [name for name in refit["models"] if name not in refit.get("folds", ())]
    return {name: [f"refit/{name}/copy{i}" for i in range(refit["copies"])] for name in names}


def part_folders(settings: dict) -> list[str]:
    """The folders of all parts: of the re-ranked student or the paper's, and of the ResNetLike."""
    if settings["refit"]["models"]:
        copies = [name for names in refitted_models(settings["refit"]).values() for name in names]
        return [*copies, "resnet"]
    return [*extractor_folders(settings), "student", "resnet"]
