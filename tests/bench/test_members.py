"""bench.experiments.members: boosters over some of the members, scored as the stack itself is."""

import shutil

import pytest
from stacking_world import MODELS, StackingWorld

from bench.experiments import members
from yt8m.base.cli import InputError
from yt8m.base.files import read_json


def test_all_members_are_the_stack_and_the_rest_are_subsets(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    world = StackingWorld(tmp_path / "run", monkeypatch)
    report = world.run()
    monkeypatch.setattr(members, "Store", lambda _: world.store)
    shutil.copy(world.config, world.stacking / "config.json")
    members.main(world.folder, None, tmp_path / "out")
    found = {path.parent.name: read_json(path) for path in tmp_path.glob("out/*/result.json")}
    assert found["all"]["fold"] == pytest.approx(report["stack"]["gap_folds"][0])
    strong = sorted(MODELS, key=lambda name: -report["members"][name]["gap_oof"])
    sets = members.choose_sets(world.folder, each=True)
    assert sets["strongest 2"] == strong[:2]
    assert {"first", "second"} - set(sets["different 2"])  # both are linear
    assert "third" in sets["different 2"]
    assert all(name not in sets[f"without {name}"] for name in MODELS)
    assert set(found) == {title.replace(" ", "_") for title in sets}
    best = strong[0]
    assert found[f"without_{best}"]["fold"] < found["all"]["fold"]
    assert len((tmp_path / "out" / "table.md").read_text().splitlines()) == 2 + len(sets)
    members.main(world.folder, None, tmp_path / "out", sets="third+first")
    again = read_json(tmp_path / "out" / "third+first" / "result.json")
    assert again["fold"] == pytest.approx(found["without_second"]["fold"])
    often = "+".join(["third", "first"] * 40)  # longer than a file's name may be
    assert members.read_sets(world.folder, often) == {often: ["third", "first"] * 40}
    assert len(members._name(often)) < members.LONGEST < len(often)
    with pytest.raises(InputError, match="'fourth' is not a member of .* first, second, third"):
        members.main(world.folder, None, tmp_path / "out", sets="first+fourth")
