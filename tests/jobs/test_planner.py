"""What is planned after a change, without make: a run whose jobs only write their names."""

import os
import shutil
from pathlib import Path

import pytest
from make_world import add_shard

from jobs import plans
from jobs.given.memory import read_given
from jobs.plan import announce
from jobs.planner import plan
from jobs.rules import jobs_text, submission_rule
from jobs.settings import Settings
from yt8m.base.cli import InputError
from yt8m.base.files import read_json, write_json
from yt8m.base.paths import ABOUT, MANIFEST, Artifacts
from yt8m.base.receipts import Recorder
from yt8m.records.content import content_of

RUN = Path("artifacts/p")
KNOW_NAMES = {"folds/decode", "export/write", "export/score", "report/summary", "report/page"}


@pytest.fixture(autouse=True)
def _records_and_a_plan(tmp_path, monkeypatch):
    """In a folder of their own: records, and the plan p of one model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plans, "ROOT", tmp_path)
    for name, text in (("first_level/configs/p/one", "arch = 'linear'\n"),
                       ("stacking/configs/p", ""), ("distill/configs/p", "")):  # fmt: skip
        Path(f"{name}.toml").parent.mkdir(parents=True)
        Path(f"{name}.toml").write_text(text)
    Path("records").mkdir()
    add_shard(Path("records/a.tfrecord"))


def planned(**given):
    return plan(Settings("p", RUN, given, read_given(RUN)))


def finish(found) -> set[str]:
    """Runs the jobs that are to be run, as make would; their names."""
    files = found.settings.artifacts
    for path, text in found.snapshots.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    write_json(files.given, found.settings.to_remember())
    files.jobs.write_text(jobs_text(found.graph, found.settings))
    for job in read_json(files.jobs)["jobs"]:
        if job["name"] in found.state.reasons:
            with Recorder(files, job).recording():
                for path in map(Path, job["outputs"]):
                    records = found.settings.data, {}, None, found.settings.holdout_records
                    content = content_of(*records) if path.name == ABOUT else {}
                    write_json(path, {"content": content} if content else job["name"])
    return set(found.state.reasons)


def test_a_corrected_name_plans_only_what_knows_names():
    assert len(finish(planned(DATA="records"))) > 30
    assert finish(planned()) == set()
    for name, old, new in (
        ("vocabulary.csv", "Topic", "Corrected"),
        ("dataset.toml", 'name = "', 'name = "x'),
    ):
        path = Path("records") / name
        path.write_text(path.read_text().replace(old, new, 1))
        assert finish(planned()) == KNOW_NAMES
        assert finish(planned()) == set()


@pytest.mark.parametrize("change", ["description", "verticals", "records", "manifest", "older"])
def test_what_may_change_arrays_plans_all(change):
    every = finish(planned(DATA="records"))
    description, vocabulary = Path("records/dataset.toml"), Path("records/vocabulary.csv")
    if change == "description":
        description.write_text("max_frames = 9\n" + description.read_text())
    elif change == "verticals":
        head, *lines = vocabulary.read_text().splitlines()
        assert head.endswith(",Vertical1")
        lines = [line.rsplit(",", 1)[0] + ",Food" for line in lines]
        vocabulary.write_text("\n".join([head, *lines]))
    elif change == "records":
        add_shard(Path("records/a.tfrecord"), seed=1)
    else:
        vocabulary.write_text(vocabulary.read_text().replace("Topic", "Corrected", 1))
    if change == "manifest":
        (RUN / "store" / MANIFEST).unlink()
    elif change == "older":  # a store that does not say what decided its arrays
        about = read_json(RUN / "store" / ABOUT)
        del about["content"]["arrays"]
        write_json(RUN / "store" / ABOUT, about)
        [job] = [job for job in read_json(RUN / "jobs.json")["jobs"] if job["records"]]
        with Recorder(Artifacts.of_run(RUN), job).recording():
            pass
    assert set(planned().state.reasons) == every


def test_another_store_is_remembered_until_it_is_given_up():
    every = finish(planned(DATA="records"))
    assert set(planned(STORE="other").state.reasons) == every
    shutil.copytree(RUN / "store", "other")
    assert finish(planned(STORE="other")) == set(), "the same bytes"
    shutil.rmtree(RUN / "store")
    assert planned().settings.store == Artifacts.of_run(RUN).store == Path("other")
    assert planned().state.reasons == {}
    changes = planned(STORE="").settings.changes()
    assert changes == ["STORE is nothing and was other"]
    assert finish(planned(STORE="")) == every
    assert Artifacts.of_run(RUN).store == RUN / "store"


def test_a_finished_run_says_what_it_does_not_read(capsys):
    finish(planned(DATA="records"))
    announce(planned())
    assert capsys.readouterr().err == ""
    Path("records/b.tfrecord-00000-of-00001").touch()
    announce(planned())
    line = "make: records: 1 files or folders are not read: b.tfrecord-00000-of-00001; "
    assert capsys.readouterr().err.startswith(line)


def test_bad_videos_are_skipped_until_that_is_given_up():
    finish(planned(DATA="records"))
    found = planned(SKIP_BAD="1")
    assert found.state.reasons["folds/decode"] == ("setting: SKIP_BAD",)
    assert "--skip-bad" in found.graph.by_name["folds/decode"].command
    assert "out.csv --skip-bad" in submission_rule(planned(SKIP_BAD="1", OUT="out.csv").settings)
    finish(found)
    assert planned().settings.skip_bad, "it is remembered"
    assert planned().state.reasons == {}
    assert planned(SKIP_BAD="0").settings.changes() == ["SKIP_BAD is nothing and was 1"]
    found = planned(SKIP_BAD="")
    assert found.state.reasons["folds/decode"] == ("setting: SKIP_BAD",)
    assert "--skip-bad" not in found.graph.by_name["folds/decode"].command
    with pytest.raises(InputError, match="SKIP_BAD yes: 0 or 1 is allowed"):
        planned(SKIP_BAD="yes")


def test_a_remembered_store_is_no_code():
    finish(planned(DATA="records"))
    for text in ("$(shell touch pwned)", "a b", "-a", "a:b", "a;b", "a%"):
        write_json(RUN / "given.json", read_json(RUN / "given.json") | {"STORE": text})
        with pytest.raises(InputError, match="^STORE .*: make cannot name files there; choose a"):
            planned()


def command_of(name: str, found) -> list[str]:
    return found.graph.by_name[name].command


def test_a_share_is_held_out_as_ever():
    found = planned(DATA="records", HOLDOUT="0.20")
    job = found.graph.by_name["folds/assign"]
    store, folds = RUN / "store", RUN / "folds.safetensors"
    assert job.command == ["folds.assign", str(store), str(folds), "--holdout", "0.2"]
    assert (job.settings, job.inputs) == ({"HOLDOUT": "0.2"}, (store / MANIFEST,))
    assert command_of("folds/decode", found)[:3] == ["folds.decode", "records", str(store)]
    assert "--holdout" not in command_of("folds/decode", found)


def test_files_of_groups_and_of_ids_are_remembered_and_their_content_decides():
    groups, ids = Path("a b.csv"), Path("0.5.txt")
    groups.write_text("id,group\nx,y\n")
    ids.write_text("x\n")
    found = planned(DATA="records", GROUPS="a b.csv", HOLDOUT="0.5.txt")
    options = ["--holdout", "0.5.txt", "--groups", "a b.csv"]
    assert command_of("folds/assign", found)[-4:] == options
    assert not set(options) & set(command_of("folds/decode", found))
    assert found.graph.by_name["folds/assign"].settings == {"HOLDOUT": "ids"}
    all_but_decode = finish(found) - {"folds/decode"}
    assert planned().state.reasons == {}, "remembered"
    groups = groups.rename("c.csv")
    with pytest.raises(InputError, match="^GROUPS a b.csv: no such file$"):
        planned()
    ids = ids.rename("0.5.csv")
    renamed = {"GROUPS": "c.csv", "HOLDOUT": "0.5.csv"}
    assert planned(**renamed).state.reasons == {}, "only their names"
    for path, text in ((groups, "id,group\nx,z\n"), (ids, "y\n")):
        before = path.read_text()
        path.write_text(text)
        assert planned(**renamed).state.reasons.keys() == all_but_decode
        path.write_text(before)
    assert planned(GROUPS="", HOLDOUT="0.5.csv").state.reasons.keys() == all_but_decode
    assert planned(GROUPS="c.csv", HOLDOUT="0.1").state.reasons.keys() == all_but_decode


def test_records_are_held_out():
    Path("held").mkdir()
    add_shard(Path("held/h.tfrecord"), seed=3)
    found = planned(DATA="records", HOLDOUT="held")
    assert "--holdout" not in command_of("folds/assign", found)
    decode = command_of("folds/decode", found)
    assert decode[decode.index("--holdout") + 1] == "held"
    every = finish(found)
    assert planned().state.reasons == {}, "remembered"
    assert planned(HOLDOUT="held/h.tfrecord").state.reasons == {}, "all that the folder has"
    assert planned(HOLDOUT="0.1").state.reasons.keys() == every, "fewer videos are decoded"
    Path("held/h.tfrecord").rename("held/renamed.tfrecord")
    assert planned().state.reasons == {}, "only its name"
    add_shard(Path("held/more.tfrecord"), seed=4)
    assert planned().state.reasons.keys() == every


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"GROUPS": "records"}, "GROUPS records: not a file"),
        (
            {"GROUPS": "stacking/configs/p.toml"},
            "stacking/configs/p.toml: columns id and group are",
        ),
        ({"HOLDOUT": "nowhere"}, "HOLDOUT nowhere: no such file or folder; a share (0.1), a file"),
        ({"HOLDOUT": "stacking"}, "stacking: no records (*.tfrecord"),
        ({"HOLDOUT": "1"}, "HOLDOUT 1: at least 0 and less than 1 is allowed"),
        ({"DATA": "no"}, "DATA no: no such file or folder"),
        ({"DATA": "/dev/null"}, "DATA /dev/null: neither a folder nor a file of records; give one"),
        ({"DATA": "pipe"}, "DATA pipe: neither a folder nor a file of records"),
        ({"UNLABELLED": "pipe"}, "UNLABELLED pipe: neither a folder nor a file of records"),
        ({"RECORDS": "pipe"}, "RECORDS pipe: neither a folder nor a file of records"),
        ({"DESCRIPTION": "pipe"}, "DESCRIPTION pipe: not a file"),
        ({"OUT": "no/x.csv"}, "OUT no/x.csv: no folder no; create it, or choose another"),
        ({"OUT": "records"}, "OUT records: is a folder; name the file to write"),
    ],
)
def test_what_is_neither_file_nor_folder_is_refused_before_anything_is_written(given, message):
    os.mkfifo("pipe")
    with pytest.raises(InputError) as error:
        planned(**{"DATA": "records"} | given)
    assert str(error.value).startswith(message)
    assert not Path("artifacts").exists()
    assert not Path("no").exists()
