"""TFRecords to a store of memory-mapped arrays, decoded once, in parallel and resumable.

    python -m folds.decode DATA STORE [--description FILE] [--holdout RECORDS] [--jobs 2]

A run that was killed continues with the parts (groups of shards) that are missing. Only a change of
content decodes a part again; shards that are touched, copied or renamed keep theirs.
"""

from pathlib import Path

from folds.build import Recipe, build
from yt8m.base import cli
from yt8m.base.arrays import let_go
from yt8m.base.cli import InputError
from yt8m.base.files import working_in
from yt8m.records.content import check_vocabularies, find_held_out
from yt8m.records.description import describe, find_shards
from yt8m.records.unread import name_unread


def main(
    data: Path,
    store: Path,
    *,
    description: Path | None = None,
    holdout: Path | None = None,
    jobs: int = 2,
    skip_bad: bool = False,
) -> None:
    """Decodes the TFRecords of DATA into the folder STORE, in several processes.

    DATA is a folder with video/, frame/ and/or segment/, a folder of shards, or one shard. A record
    in segment/ (frame-level, with rated segments) replaces the same video's record in frame/. Run
    it again after a kill: it continues with what is missing.
    --description: TOML that names the features (default: DATA/dataset.toml, else a built-in one).
    --holdout: more records, in the same folders, whose videos are the holdout: folds.assign puts no
    other video there. One that DATA has too is only held out.
    --jobs: processes.
    --skip-bad: leaves out videos with features that are not finite or beyond 65504, and names them;
    otherwise they are an error.
    """
    if jobs < 1:
        raise InputError(f"--jobs {jobs}: at least 1 is needed")
    let_go()  # says at once what is wrong with MEMORY_MB
    shards = find_shards(data)
    described = describe(data, shards, description)
    name_unread(data, shards, described[0])
    held_out = find_held_out(holdout, shards) if holdout else {}
    if holdout:
        name_unread(holdout, held_out, described[0])
    recipe = Recipe(data, shards, *described, held_out, skip_bad=skip_bad)
    check_vocabularies(recipe.all_shards, recipe.description, recipe.vocabulary)
    levels = recipe.levels()
    with working_in(store):
        build(recipe, levels, store, jobs)


if __name__ == "__main__":
    cli.run(main)
