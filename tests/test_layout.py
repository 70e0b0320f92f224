"""The house: imports go one way, modules and functions are short, calls name their arguments."""

from __future__ import annotations

import ast
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "sklearn_rcrnn"
SOURCES = [
    path
    for folder in ("sklearn_rcrnn", "benchmarks", "examples", "tests")
    for path in (PACKAGE.parent / folder).rglob("*.py")
]
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in PACKAGE.rglob("*.py")}


def imported_by(name: str) -> set[str]:
    """Modules of the package that a module imports anywhere, in functions and for types too."""
    path, found = MODULES[name], set()
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            source = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                own = f"{source}.{alias.name}"
                found.add(own if own in MODULES else source)
    return found


def test_nothing_imports_upwards():
    """The modules can be put in a row in which each imports only from those before it."""
    graph = {name: imported_by(name) for name in MODULES}
    assert "sklearn_rcrnn.nn.rcrnn" in graph["sklearn_rcrnn.detector"]
    row = list(TopologicalSorter(graph).static_order())  # raises CycleError, which names them
    assert row.index("sklearn_rcrnn.nn.rcrnn") < row.index("sklearn_rcrnn.detector")


def test_the_network_knows_no_estimator():
    for name in MODULES:
        if name.startswith("sklearn_rcrnn.nn."):
            outside = {other for other in imported_by(name) if ".nn" not in other}
            assert all(other.startswith("sklearn_rcrnn._utils") for other in outside), name


@cache
def functions_and_calls():
    """Definitions and calls in the sources, with their places for messages."""
    return [
        (node, f"{path.relative_to(PACKAGE.parent)}:{node.lineno}")
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (*FUNCTIONS, ast.ClassDef, ast.Call))
    ]


def test_modules_are_short():
    long = {
        str(path.relative_to(PACKAGE.parent)): n
        for path in SOURCES
        if (n := len(path.read_text(encoding="utf-8").splitlines())) > 400
    }
    assert not long


def test_functions_fit_a_screen():
    """The body has at most 50 lines; signature and docstring do not count."""
    long = {}
    for node, place in functions_and_calls():
        if isinstance(node, FUNCTIONS):
            body = node.body[ast.get_docstring(node) is not None :]
            n_lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            if n_lines > 50:
                long[f"{place} {node.name}"] = n_lines
    assert not long


def test_arguments_are_named_where_there_are_many():
    """No function of ours is given more than five by place, unless it takes any number."""
    defined = [node for node, _ in functions_and_calls() if not isinstance(node, ast.Call)]
    takes_any = {node.name for node in defined if isinstance(node, FUNCTIONS) and node.args.vararg}
    ours = {node.name for node in defined} - takes_any
    calls = [
        place
        for node, place in functions_and_calls()
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", getattr(node.func, "id", None)) in ours
        and sum(not isinstance(argument, ast.Starred) for argument in node.args) > 5
    ]
    assert not calls
