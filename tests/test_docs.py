"""What the pages say is so: links lead somewhere, samples are files, the example of CONTRIBUTING.md works."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
#: Written by `make bench`, on the machine of whoever runs it.
MADE_LATER = {"bench/results.json"}


def links(page: Path) -> Iterator[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in target and not target.startswith("#"):
            yield target.partition("#")[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    dead = [link for link in links(page) if link not in MADE_LATER and not (page.parent / link).exists()]
    assert dead == []


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def test_the_sample_of_the_readme_is_the_file_that_it_names() -> None:
    (sample,) = blocks(ROOT / "README.md", "python")
    assert (ROOT / "examples" / "publish_command.py").read_text().endswith(sample)


def test_every_decision_is_listed_and_has_a_status_and_a_date() -> None:
    folder = ROOT / "docs" / "adr"
    listed = (folder / "README.md").read_text()
    for page in folder.glob("[0-9]*.md"):
        assert f"]({page.name})" in listed
        assert re.search(r"^Status: (accepted|replaced by .+), 20\d\d-\d\d-\d\d$", page.read_text(), re.MULTILINE)


# --- docs/seed-coverage.md --------------------------------------------------------------------------------------------

COVERAGE = ROOT / "docs" / "seed-coverage.md"
THEMES = {
    "notifications",
    "calendar feed",
    "webhooks",
    "reports",
    "analytics store",
    "web pages",
    "gateway and Kubernetes files",
    "shards and replicas",
    "identity",
}
#: What is being built; its lines name no test yet.
IN_WORK = {"import"}
FILES = (".md", ".py", ".yml")


def covered() -> list[list[str]]:
    lines = (line for line in COVERAGE.read_text().splitlines() if line.startswith("|"))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if not line.startswith("|---")]


def definitions(body: list[ast.stmt], within: str = "") -> Iterator[str]:
    """Names that a module or a class defines, those of a class with the class before a dot."""
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield within + node.name
        if isinstance(node, ast.ClassDef):
            yield from definitions(node.body, f"{within}{node.name}.")
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        yield from (within + target.id for target in targets if isinstance(target, ast.Name))


@cache
def defined(path: str) -> frozenset[str]:
    return frozenset(definitions(ast.parse((ROOT / path).read_text()).body))


def missing(cell: str) -> list[str]:
    """Files, and names in them as `path::name`, that a cell shows as code and that are not there."""
    named = [shown.partition("::") for shown in re.findall(r"`([^`]+)`", cell) if "/" in shown or shown.endswith(FILES)]
    return [
        f"{path}::{name}"
        for path, _, name in named
        if not (ROOT / path).is_file() or (name and name not in defined(path))
    ]


def test_each_word_of_the_seed_has_its_place() -> None:
    for line in covered():
        assert len(line) == 3
        assert all(line), line
        assert missing(line[1]) == []


def test_each_word_of_the_seed_has_its_test_or_its_theme() -> None:
    for word, _, shown in covered():
        state, _, name = shown.partition(": ")
        if state == "theme":
            assert name in THEMES, word
        elif shown != "shown by":
            tests = re.findall(r"`(tests/[^`]+::test_[^`]+)`", shown)
            assert tests, word
            assert "<br>".join(f"`{test}`" for test in tests) == shown, word
            assert missing(shown) == []


# --- SECURITY.md ----------------------------------------------------------------------------------------------------

UNSHOWN = ("not met: ", "does not apply: ")


def test_each_line_of_the_threat_model_has_a_test_that_exists_or_says_that_it_is_not_met() -> None:
    rows = [line.strip("| ") for line in (ROOT / "SECURITY.md").read_text().splitlines() if line.startswith("|")]
    shown = [row.split(" | ")[-1] for row in rows if not row.startswith("---")]
    assert len(shown) > 50
    for cell in shown:
        if cell != "shown by" and not cell.startswith(UNSHOWN):
            assert re.fullmatch(r"`tests/[^`]+::test_[^`]+`(<br>`tests/[^`]+::test_[^`]+`)*", cell), cell
            assert missing(cell) == []


# --- the example of CONTRIBUTING.md ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout with the example's change applied."""
    copy = tmp_path_factory.mktemp("checkout")
    for folder in ("agents", "api", "docs", "domain", "ops", "tests", "topics", "views"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    (change,) = blocks(ROOT / "CONTRIBUTING.md", "diff")
    applied = subprocess.run(
        ["git", "apply", "--unidiff-zero", "-"], cwd=copy, input=change, text=True, capture_output=True
    )
    assert applied.returncode == 0, applied.stderr
    return copy


def run(copy: Path, *words: str) -> subprocess.CompletedProcess[str]:
    jars = os.environ.get("BITCORP_JARS", str(ROOT / ".bitcorp" / "jars"))
    environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "BITCORP_JARS": jars}
    return subprocess.run(
        [sys.executable, *words], cwd=copy, env=environment, text=True, capture_output=True, timeout=300
    )


def test_the_example_touches_domain_views_and_tests_alone() -> None:
    (change,) = blocks(ROOT / "CONTRIBUTING.md", "diff")
    touched = {name.split("/")[0] for name in re.findall(r"^\+\+\+ b/(\S+)$", change, re.MULTILINE)}
    assert touched == {"domain", "views", "tests"}


@pytest.mark.slow
def test_the_example_passes_its_tests_and_those_of_the_architecture(changed: Path) -> None:
    tests = ["tests/domain/test_maintenance.py", "tests/domain/test_values.py", "tests/views/test_views.py"]
    checked = run(changed, "-m", "pytest", "-p", "no:cacheprovider", *tests)
    assert checked.returncode == 0, checked.stdout[-4000:] + checked.stderr[-1000:]


@pytest.mark.slow
def test_the_example_has_a_path_a_message_and_a_permission_without_being_told(changed: Path) -> None:
    printed = (
        "json.dumps(openapi.document()), json.dumps(asyncapi.document()), [it.permission for it in RULES.values()]"
    )
    told = run(
        changed, "-c", f"import json; from api import asyncapi, openapi; from domain import RULES; print({printed})"
    )
    assert told.returncode == 0, told.stderr
    assert "/equipment/{equipment_id}/appoint-technician" in told.stdout
    assert "com.bitcorp.erp.equipment.appoint-technician.v1" in told.stdout
    assert "equipment.appoint-technician" in told.stdout


@pytest.mark.servers
@pytest.mark.slow
def test_the_example_changes_a_view_of_a_real_database(changed: Path) -> None:
    checked = run(changed, "-m", "pytest", "-p", "no:cacheprovider", "tests/views/test_maintenance.py")
    assert checked.returncode == 0, checked.stdout[-4000:] + checked.stderr[-1000:]
