"""Folders of the parts of a run's students, below its folder `distill`."""

from yt8m.base.paths import LETTERS

EXTRACTORS = [f"extractor_{letter}" for letter in LETTERS]


def refitted_models(refit: dict) -> dict[str, list[str]]:
    """The models that [refit] trains again, and the folders of their copies.

    A model that is handed over by its fold models is not among them.
    """
    names = [name for name in refit["models"] if name not in refit.get("folds", ())]
    return {name: [f"refit/{name}/copy{i}" for i in range(refit["copies"])] for name in names}


def part_folders(refit: dict) -> list[str]:
    """The folders of all parts: of the re-ranked student or the paper's, and of the ResNetLike."""
    if refit["models"]:
        copies = [folder for folders in refitted_models(refit).values() for folder in folders]
        return [*copies, "resnet"]
    return [*EXTRACTORS, "student", "resnet"]
