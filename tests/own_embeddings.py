"""The README's lines for one's own embeddings, run as they stand on 300 items; run by .ci/run.

python -m pytest -q tests/own_embeddings.py
"""

import csv
import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
ITEMS, TAGS = 300, 12
NAMES = [f"{kind} tutorial" for kind in ("makeup", "guitar", "cooking", "chess")]
NAMES += ["indoor cats", "babies", "cars", "trains", "surfing", "news", "opera", "knots"]


def write_items(folder: Path) -> None:
    """Two kinds of vectors around their tags' means, a tenth of the tags wrong."""
    rng = np.random.default_rng(0)
    tags = rng.random((ITEMS, TAGS)) < 0.15
    tags[np.arange(ITEMS), rng.integers(0, TAGS, ITEMS)] = True
    for name, width in (("image", 96), ("title", 32)):
        means = rng.normal(size=(TAGS, width))
        vectors = tags @ means + rng.normal(size=(ITEMS, width))
        np.save(folder / f"{name}.npy", vectors.astype(np.float32))
    noisy = tags ^ (rng.random(tags.shape) < 0.1 * tags)
    ids = [f"item, {number}" for number in range(ITEMS)]
    (folder / "ids.txt").write_text("".join(f"{one}\n" for one in ids))
    with open(folder / "tags.csv", "w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["id", "label"])
        lines.writerows(
            [ids[item], NAMES[tag]] for item, tag in zip(*np.nonzero(noisy), strict=True)
        )


def test_the_lines_of_the_readme(tmp_path):
    section = (ROOT / "README.md").read_text().split("## Your own embeddings")[1]
    lines = re.findall(r"^    (.+)$", section.split("\n## ")[0], re.M)
    assert len(lines) == 5
    write_items(tmp_path)
    for file in tmp_path.iterdir():
        (ROOT / file.name).symlink_to(file)
    try:
        own = ("MAKE", "OMP", "YT8M")  # what conftest or an outer make has set
        environment = {k: v for k, v in os.environ.items() if not k.startswith(own)}
        script = "set -euo pipefail\n" + "\n".join(lines)
        subprocess.run(["bash", "-c", script], cwd=ROOT, check=True, env=environment)
        found = list(csv.DictReader((ROOT / "yes.csv").read_text().splitlines()))
    finally:
        for file in tmp_path.iterdir():
            (ROOT / file.name).unlink()
    assert {line["id"] for line in found} == {f"item, {number}" for number in range(ITEMS)}
    assert {line["name"] for line in found} == set(NAMES)
    assert 300 < sum(line["yes"] == "1" for line in found) < 2000
    evaluation = json.loads((ROOT / "artifacts/embeddings/evaluation.json").read_text())
    assert evaluation["gap20"] > 0.6, "the tags' frequencies alone have 0.23"
