"""The domain imports nothing that does I/O, and asks nobody for time or chance."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

MODULES = sorted((Path(__file__).parents[2] / "domain").glob("**/*.py"))

#: Packages that rules may rest on. The pinned tzdata is data, read through importlib.resources.
PURE = {"pydantic", "stdnum", "dateutil", "domain"}
PURE_STDLIB = {
    "base64",
    "calendar",
    "collections",
    "contextlib",
    "dataclasses",
    "datetime",
    "decimal",
    "enum",
    "functools",
    "hashlib",
    "heapq",
    "importlib",
    "itertools",
    "re",
    "typing",
    "unicodedata",
    "uuid",
    "zoneinfo",
}
#: Calls whose answer depends on when or where they are made.
ASKS = {"now", "utcnow", "today", "fromtimestamp", "uuid1", "uuid4", "open", "print", "input", "getenv"}


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "absolute imports tell the room"
            yield (node.module or "").partition(".")[0]


def calls(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield getattr(node.func, "attr", getattr(node.func, "id", ""))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_a_module_of_the_domain_imports_pure_packages_alone(path: Path) -> None:
    assert set(imports(ast.parse(path.read_text()))) <= PURE | PURE_STDLIB


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_a_module_of_the_domain_asks_neither_clock_nor_dice_nor_disk(path: Path) -> None:
    asked = set(calls(ast.parse(path.read_text()))) & ASKS
    allowed = {"zones.py": {"open"}, "rejections.py": {"print"}}  # the pinned tzdata; a page for people
    assert asked <= allowed.get(path.name, set())
