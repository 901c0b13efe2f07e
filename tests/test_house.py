"""The rules of the house that can be counted (docs/architecture.md): names, sizes, imports."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = (  # imports go down: from a later one to an earlier one
    *("yt8m.base", "yt8m.records", "yt8m.data", "yt8m.inputs", "yt8m.networks", "yt8m.training"),
    *("folds", "first_level", "stacking", "distill", "jobs", "report", "bench"),
)
FRONT_DOORS = {"yt8m.convert"}  # a short name for people of a verb of another floor
TOP = ("yt8m", *FLOORS[6:], "tests")
MOST_MODULES, MOST_LINES, MOST_LINES_OF_A_TEST, MOST_LINES_OF_AN_ARCHITECTURE = 14, 250, 300, 120
MOST_LINES_OF_A_FUNCTION = {"main": 45, "other": 40}
MOST_PARAMETERS = {"main": 16, "other": 9}
# One word that ends like a participle; not those that are verbs, nouns or adjectives.
PARTICIPLE = re.compile(
    r"_?(?:[a-z0-9]+(?:ed|en)|drawn|found|held|kept|known|made|said|shown|sought|taught|told)"
)
OTHER_WORDS = {"between", "embed", "feed", "need", "open", "seed", "shorten", "speed", "token"}
EMPTY_WORDS = {"told", "said", "there", "some"}
FILE_NAME = re.compile(r"[a-z_0-9]+\.[a-z]+")
OTHER_FILES = {
    "distill.export.alone: model.onnx",  # it is copied into exports and imports nothing of ours
    "folds.join: rows.json",
    "report.page: report.html",
}  # of a store; a template


def name_of(path: Path) -> str:
    """The dotted name of a module."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


PATHS = sorted(path for top in TOP for path in (ROOT / top).rglob("*.py"))
TREES = {name_of(path): ast.parse(path.read_text()) for path in PATHS}
SOURCE = {name: tree for name, tree in TREES.items() if not name.startswith("tests")}


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    """(dotted name, function) of all functions and methods below a node."""
    for node in ast.iter_child_nodes(tree):
        name = f"{prefix}.{node.name}" if isinstance(node, ast.ClassDef | ast.FunctionDef) else ""
        if isinstance(node, ast.FunctionDef):
            yield name, node
        yield from functions(node, name or prefix)


FUNCTIONS = [pair for name, tree in SOURCE.items() for pair in functions(tree, name)]


def is_verb(tree: ast.Module) -> bool:
    """Whether a module ends in cli.run(main)."""
    return "cli.run(main)" in ast.unparse(tree.body[-1]) if tree.body else False


def imports_of(tree: ast.Module) -> set[str]:
    """Modules of the repository that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found & TREES.keys()


def floor_of(name: str) -> int | None:
    """The number of a module's floor; None for front doors and the top of yt8m."""
    places = [i for i, floor in enumerate(FLOORS) if f"{name}.".startswith(f"{floor}.")]
    return places[0] if places else None


def kind_of(name: str) -> str:
    """A main has a parameter for each option, an architecture one for each key of [model]."""
    called, module = name.rsplit(".", 1)[1], name.split(".")[:2]
    networks = module in (["first_level", "models"], ["yt8m", "networks"])
    return "main" if called == "main" or (networks and called == "__init__") else "other"


def broken_class() -> set[str]:
    """Public class names that occur twice; every architecture has a class Model."""
    nodes = [node for tree in TREES.values() for node in ast.walk(tree)]
    classes = [node.name for node in nodes if isinstance(node, ast.ClassDef)]
    public = [name for name in classes if name != "Model" and not name.startswith("_")]
    return {name for name, count in Counter(public).items() if count > 1}


def broken_modules() -> set[str]:
    """Folders with too many modules; one of architectures may have any number."""
    counts = Counter(path.parent for path in PATHS if path.name != "__init__.py")
    full = {folder for folder, count in counts.items() if count > MOST_MODULES}
    return {str(folder.relative_to(ROOT)) for folder in full - {ROOT / "first_level" / "models"}}


def broken_lines() -> set[str]:
    """Files that are too long."""
    found = set()
    for path in PATHS:
        name = str(path.relative_to(ROOT))
        most = MOST_LINES_OF_A_TEST if name.startswith("tests/") else MOST_LINES
        if name.startswith("first_level/models/"):
            most = MOST_LINES_OF_AN_ARCHITECTURE
        if len(path.read_text().splitlines()) > most:
            found.add(name)
    return found


def broken_function() -> set[str]:
    """Functions that are too long."""
    return {
        name
        for name, node in FUNCTIONS
        if node.end_lineno - node.lineno + 1 > MOST_LINES_OF_A_FUNCTION[kind_of(name)]
    }


def broken_parameters() -> set[str]:
    """Functions with too many parameters; self is none."""
    found = set()
    for name, node in FUNCTIONS:
        names = [
            arg.arg for arg in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        ]
        if len(set(names) - {"self", "cls"}) > MOST_PARAMETERS[kind_of(name)]:
            found.add(name)
    return found


def broken_verb() -> set[str]:
    """Verbs that something else than a test imports."""
    verbs = {name for name, tree in SOURCE.items() if is_verb(tree)}
    users = {name: tree for name, tree in SOURCE.items() if name not in FRONT_DOORS}
    return verbs & {used for tree in users.values() for used in imports_of(tree)}


def broken_import() -> set[str]:
    """Imports that go up: "module -> module"."""
    found = set()
    for name, tree in SOURCE.items():
        own = floor_of(name)
        for used in imports_of(tree) if own is not None else ():
            other = floor_of(used)
            if other is not None and other > own:
                found.add(f"{name} -> {used}")
    return found


def broken_participle() -> set[str]:
    """Functions that return something and are named by a bare participle, such as `joined`."""
    found = set()
    for name, node in FUNCTIONS:
        own = name.rsplit(".", 1)[1]
        decorators = {ast.unparse(part) for part in node.decorator_list}
        returns = node.returns is None or ast.unparse(node.returns) != "None"
        wanted = returns and not decorators & {"property", "cached_property"}
        if wanted and PARTICIPLE.fullmatch(own) and own.strip("_") not in OTHER_WORDS:
            found.add(name)
    return found


def broken_variable() -> set[str]:
    """Variables and parameters that are named by words that say nothing."""
    found = set()
    for name, tree in SOURCE.items():
        for node in ast.walk(tree):
            word = node.arg if isinstance(node, ast.arg) else getattr(node, "id", "")
            if word in EMPTY_WORDS:
                found.add(f"{name}: {word}")
    return found


def broken_path() -> set[str]:
    """Names of a run's files that are spelled outside yt8m/base/paths.py."""
    names = {text for text in texts_of(TREES["yt8m.base.paths"]) if FILE_NAME.fullmatch(text)}
    others = {name: tree for name, tree in SOURCE.items() if name != "yt8m.base.paths"}
    found = {f"{name}: {text}" for name, tree in others.items() for text in texts_of(tree) & names}
    return found - OTHER_FILES


def texts_of(tree: ast.AST) -> set[str]:
    """All string constants of a module."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return {node.value for node in nodes if isinstance(node.value, str)}


RULES = {
    name.removeprefix("broken_"): rule for name, rule in globals().items() if "broken_" in name
}


@pytest.mark.parametrize("rule", RULES)
def test_rule(rule):
    assert sorted(RULES[rule]()) == []
