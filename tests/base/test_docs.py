"""The README and the pages of docs/ do what they say: their commands run in a copy of the project.

An indented block is commands, unless the comment above it (which a reader does not see) says else:
`<!-- shown: why -->`: only the arguments are checked (it needs the network, or hours);
`<!-- file: path -->`: the content of that file; `<!-- text -->`: neither. INPUTS: what they need.
"""

import importlib
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from export_world import run_export
from make_world import copy_project

from distill.config import DistillConfig, member_of
from first_level.bundle.network import build_network
from folds import assign, decode
from folds.conversion.label_files import read_labels
from yt8m.base.cli import parser_of
from yt8m.base.config import write_snapshot
from yt8m.data.store import Store
from yt8m.records import synthetic
from yt8m.records.description import Description
from yt8m.records.framing import write_records
from yt8m.records.messages import example
from yt8m.records.vocabulary import Vocabulary
from yt8m.training.weights import save_weights

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"(?:^<!-- (.*?) -->\n\n)?((?:^    .*\n|^\n+(?=    ))+)", re.M)
SHOWN_DATA = (
    "/data/yt8m",
    "/data/test",
    "/data/train",
    "/data/validate",
)  # make looks for records there
PROGRAMS = ("make", "python -m", "cp", "rm", "mkdir", "sed")
PROGRAMS += ("python example.py", "python alone.py", "python export/predict.py")


@dataclass(frozen=True)
class CodeBlock:
    """An indented block: its marker ("run" when there is none), file name or reason, and lines."""

    page: str
    kind: str
    argument: str
    text: str

    @property
    def lines(self) -> list[str]:
        return [line for line in self.text.splitlines() if line.strip()]


def blocks_of(page: str, text: str) -> list[CodeBlock]:
    found = []
    for marker, body in BLOCK.findall(text):
        kind, _, argument = marker.partition(": ")
        lines = [line.removeprefix("    ") for line in body.strip("\n").splitlines()]
        found.append(CodeBlock(page, kind or "run", argument, "\n".join(lines) + "\n"))
    return found


def _data_inputs(folder: Path) -> None:
    """The files that docs/data.md names: 60 videos of 3 to 6 frames, 12 classes."""
    rng = np.random.default_rng(0)
    ids = [f"v{number:02d}" for number in range(60)]
    lengths = rng.integers(3, 7, len(ids))
    frames = rng.uniform(-2, 2, (lengths.sum(), 6)).astype(np.float32)
    ragged = dict(zip(ids, np.split(frames, np.cumsum(lengths)[:-1]), strict=True))
    np.save(folder / "rgb.npy", rng.normal(size=(60, 6)).astype(np.float32))
    np.save(folder / "audio.npy", rng.normal(size=(60, 4)).astype(np.float32))
    np.save(folder / "title.npy", rng.normal(size=(60, 5)).astype(np.float32))
    np.save(folder / "clips.npy", rng.uniform(-2, 2, (60, 3, 6)).astype(np.float32))
    np.save(folder / "frames.npy", frames)
    np.save(folder / "lengths.npy", lengths)
    np.savez(folder / "ragged.npz", **ragged)
    table = {"id": ids, "clip": [video.tolist() for video in ragged.values()]}
    pyarrow.parquet.write_table(pyarrow.table(table), folder / "clips.parquet")
    titles, texts = rng.normal(size=(60, 5)).tolist(), rng.normal(size=(60, 4)).tolist()
    texts = [text if row % 2 else None for row, text in enumerate(texts)]
    table = {"id": ids, "title_vector": titles, "transcript": texts}
    pyarrow.parquet.write_table(pyarrow.table(table), folder / "posts.parquet")
    (folder / "ids.txt").write_text("".join(f"{identity}\n" for identity in ids))
    for name in ("rgb", "audio"):
        np.save(folder / f"{name}2.npy", np.load(folder / f"{name}.npy")[:5])
    (folder / "ids2.txt").write_text("".join(f"w{number}\n" for number in range(5)))
    (folder / "labels2.csv").write_text("id,labels\nw0,3 12\nw1,0\nw2,\n")
    labels = rng.integers(0, 12, (60, 2))
    rows = (f"{i},{a} {b}\n" for i, (a, b) in zip(ids, labels, strict=True))
    (folder / "labels.csv").write_text("id,labels\n" + "".join(rows))
    (folder / "groups.csv").write_text("id,group\n" + "".join(f"{i},{i[:2]}\n" for i in ids))
    write_records(folder / "other" / "a.tfrecord", map(_other_record, ids))


def _other_record(identity: str) -> bytes:
    number = int(identity[1:])
    features = {"clip_id": [identity.encode()], "tags": [number % 12]}
    return example({**features, "clip_embedding": np.array([number, 1.0])})


def _export_inputs(folder: Path) -> None:
    """The files that docs/export.md names: records, two arrays of three rows, a small export."""
    synthetic.main(folder / "records", videos=60, classes=25, rgb=16, audio=8)
    decode.main(folder / "records", folder / "store", jobs=1)
    config = DistillConfig.model_validate({"resnet": {"model": {"width": 8}}, "export": "resnet"})
    write_snapshot(folder / "distill.json", config)
    dims = Store(folder / "store").dims
    network = build_network([member_of("resnet", config)], config.inputs, dims)
    save_weights(network.members[0], folder / "parts/resnet/weights.safetensors")
    assign.main(folder / "store", folder / "folds.safetensors")
    run_export(folder / "parts", folder, folder / "export", config=folder / "distill.json")
    for name, width in (("rgb", 16), ("audio", 8)):
        np.save(folder / f"{name}.npy", np.ones((3, width), np.float32))


INPUTS = {"docs/data.md": _data_inputs, "docs/export.md": _export_inputs}
FOUND = ["README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]
PAGES = {page: blocks_of(page, (ROOT / page).read_text()) for page in FOUND}
RUNNING, SHOWING = (
    [page for page, blocks in PAGES.items() if any(block.kind == kind for block in blocks)]
    for kind in ("run", "shown")
)


@pytest.fixture(scope="module")
def page(request, tmp_path_factory, forked):
    """A page, and a copy of the project with an environment that make finds and its inputs."""
    tree = copy_project(tmp_path_factory.mktemp("docs"))
    (tree / ".venv/bin").mkdir(parents=True)
    shutil.copyfile(tree / "requirements.lock", tree / ".venv/requirements.lock")
    forked.write(tree / ".venv/bin/python")
    for folder in SHOWN_DATA:
        synthetic.main(tree / folder.lstrip("/"), videos=10, classes=5, rgb=4, audio=2)
    INPUTS.get(request.param, lambda _: None)(tree)
    for block in PAGES[request.param]:
        if block.kind == "file":
            (tree / block.argument).parent.mkdir(exist_ok=True)
            (tree / block.argument).write_text(block.text)
    return request.param, tree


def _shell(tree: Path, text: str) -> str:
    path = f"{tree / '.venv/bin'}:{os.environ['PATH']}"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "PYTHONPATH"))}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text], cwd=tree, capture_output=True, text=True,
        env=environment | {"PATH": path},
    )  # fmt: skip
    assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("page", RUNNING, indirect=True)
def test_the_commands_run_in_order(page):
    name, tree = page
    for block in PAGES[name]:
        if block.kind == "run":
            _shell(tree, block.text)


def _arguments_are_right(tree: Path, line: str) -> None:
    words = shlex.split(line, comments=True)
    if words[0] == "make":
        words = [word.replace("=/data/", f"={tree}/data/") for word in words]
        if not any(word.startswith("DATA=") for word in words):  # a run remembers it
            words.append(f"DATA={tree}{SHOWN_DATA[0]}")
        _shell(tree, f"make -n {shlex.join(words[1:])}")
        return
    module = importlib.import_module(words[2])
    try:
        parser_of(module.main).parse_args(words[3:])
    except SystemExit as error:
        raise AssertionError(f"{line}: not what {words[2]} takes") from error


@pytest.mark.parametrize("page", SHOWING, indirect=True)
def test_commands_that_are_only_shown_have_arguments_that_exist(page):
    name, tree = page
    for block in PAGES[name]:
        if block.kind == "shown":
            assert block.argument, f"{name}: say why {block.text!r} is not run"
            for line in block.lines:
                _arguments_are_right(tree, line)


@pytest.mark.parametrize("page", ["docs/data.md"], indirect=True)
@pytest.mark.parametrize(
    "line", ["make all PLNA=small", "make al", "python -m folds.download --shard 1,2 a b"]
)
def test_arguments_that_do_not_exist_are_found(page, line):
    with pytest.raises(AssertionError, match="PLNA|No rule|not what folds.download takes"):
        _arguments_are_right(page[1], line)


def test_every_block_is_commands_or_says_what_it_is():
    assert set(INPUTS) <= set(RUNNING)
    for block in (block for blocks in PAGES.values() for block in blocks):
        assert block.kind in ("run", "shown", "file", "text"), block
        if block.kind in ("run", "shown"):
            odd = [line for line in block.lines if not line.startswith(PROGRAMS)]
            assert odd == [], f"{block.page}: mark what is no command"


def test_blocks_are_found_with_their_markers():
    text = "A:\n\n    make a\n    make b\n\nB\n\n<!-- file: x/y -->\n\n    1\n\n      2\n\nC\n"
    assert blocks_of("p", text) == [
        CodeBlock("p", "run", "", "make a\nmake b\n"),
        CodeBlock("p", "file", "x/y", "1\n\n  2\n"),
    ]
    for page, blocks in PAGES.items():
        indented = re.findall(r"^    .*\S", (ROOT / page).read_text(), re.M)
        assert sum(len(block.lines) for block in blocks) == len(indented)


@pytest.mark.parametrize("page", ["docs/data.md"], indirect=True)
def test_both_files_of_labels_say_the_same(page):
    _, tree = page
    one, other = (read_labels(tree / n, Vocabulary([])) for n in ("lists.csv", "pairs.csv"))
    assert one.ids.tolist() == other.ids.tolist() == [b"b00k", b"dQw4", b"x9Yz"]
    assert one.labels.indices.tolist() == other.labels.indices.tolist() == [0, 7, 7]
    assert one.labels.indptr.tolist() == other.labels.indptr.tolist() == [0, 0, 2, 3]


def test_the_keys_of_dataset_toml_are_all_there():
    text = (ROOT / "docs/data.md").read_text()
    table = text[text.index("| key | default") :].partition("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines()[2:]]
    keys = [key for cell in cells for key in re.findall(r"`(\w+)`", cell)]
    assert keys == sorted(Description.model_fields, key=keys.index)
    assert len(keys) == len(Description.model_fields)


@pytest.mark.parametrize("path", [ROOT / page for page in FOUND], ids=FOUND)
def test_links_between_pages_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)]+)\)", path.read_text()):
        file, _, anchor = target.partition("#")
        if file.startswith("http"):
            continue
        linked = (path.parent / file).resolve() if file else path
        assert linked.exists(), target
        if anchor:
            heads = re.findall(r"^#+ (.*)", linked.read_text(), re.M)
            made = [re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads]
            assert anchor in made, target


@pytest.mark.parametrize("path", [ROOT / page for page in FOUND], ids=FOUND)
def test_modules_that_pages_name_exist(path):
    named = re.findall(r"`(\w+/[\w/]+\.py)`", path.read_text())
    assert [name for name in named if not (ROOT / name).exists()] == []
