"""The shape of the house: which room may know which, and what every command, event and name must have."""

import ast
import inspect
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from domain import REALMS
from domain.decider import Decider, Rule
from domain.model import Command, Event
from tests.domain.samples import sample_of
from tests.domain.scenario import HOMES, RULES

ROOT = Path(__file__).parents[1]
#: Each once, whatever realms it is of.
DECIDERS = list(dict.fromkeys(decider for realm in REALMS.values() for decider in realm.deciders))
EVENTS = {wire: event for realm in REALMS.values() for wire, event in realm.events.items()}
ROOMS = ("agents", "api", "domain", "ops", "topics", "views")


# --- rooms ----------------------------------------------------------------------------------------------------------


def test_rooms_import_downwards_only() -> None:
    """The contracts of import-linter in pyproject.toml."""
    lint = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    checked = subprocess.run(lint, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert checked.returncode == 0, checked.stdout + checked.stderr


CLIENTS = {"AIOKafkaConsumer", "AIOKafkaProducer", "AIOKafkaAdminClient", "AdminClient", "Consumer", "Producer"}
#: What a client of Kafka is made with, and nothing else.
GIVEN = ("for_aiokafka(", "for_librdkafka(", "**self._client")


@cache
def parsed(path: Path) -> ast.Module:
    """Read once for all tests."""
    return ast.parse(path.read_text())


def clients(path: Path) -> Iterator[str]:
    """The calls that make a client of Kafka, as source text."""
    calls = (node for node in ast.walk(parsed(path)) if isinstance(node, ast.Call))
    return (ast.unparse(call) for call in calls if getattr(call.func, "id", "") in CLIENTS)


@pytest.mark.thorough
def test_every_client_of_kafka_is_made_with_what_the_settings_say_of_access() -> None:
    made = {str(path): list(clients(path)) for room in ROOMS for path in modules(room)}
    assert sum(map(len, made.values())) >= 10
    assert [(path, call) for path, calls in made.items() for call in calls if not any(it in call for it in GIVEN)] == []
    for path in {path for path, calls in made.items() if any("self._client" in call for call in calls)}:
        assert "self._client = for_aiokafka(settings)" in Path(path).read_text()


# --- commands and events --------------------------------------------------------------------------------------------


def subclasses(base: type[Any]) -> set[type[Any]]:
    return {found for found in base.__subclasses__() if found.__module__.startswith("domain.")}


def test_each_command_has_exactly_one_rule() -> None:
    assert Counter(rule.command for rule in RULES.values()) == Counter(subclasses(Command))
    assert len(RULES) == sum(len(decider.rules) for decider in DECIDERS), "no two commands share a wire type"


def test_each_event_belongs_to_exactly_one_decider() -> None:
    assert Counter(event for decider in DECIDERS for event in decider.events) == Counter(subclasses(Event))
    assert len(EVENTS) == len(HOMES), "no two events share a wire type"


@pytest.mark.parametrize("event", HOMES, ids=lambda event: event.__name__)
def test_each_event_has_a_case_that_never_refuses(event: type[Event]) -> None:
    decider = HOMES[event]
    folded = decider.evolve(decider.initial, sample_of(event))
    assert isinstance(folded, type(decider.initial))


@pytest.mark.parametrize("event", HOMES, ids=lambda event: event.__name__)
def test_an_event_names_its_aggregate(event: type[Event]) -> None:
    assert HOMES[event].key in event.model_fields


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.permission)
def test_a_command_is_an_order_about_its_aggregate_that_says_what_it_does(rule: Rule[Any]) -> None:
    assert rule.decider.key in rule.command.model_fields
    assert rule.summary.endswith(".")
    assert rule.command.__name__[0].isupper()


@pytest.mark.parametrize("decider", DECIDERS, ids=lambda decider: decider.name)
def test_an_aggregate_is_one_file_named_after_it(decider: Decider[Any]) -> None:
    module = inspect.getmodule(decider.evolve)
    assert module is not None
    assert module.__name__ == f"domain.{decider.name}"
    homes = {event.__module__ for event in decider.events} | {command.__module__ for command in decider.rules}
    assert homes == {module.__name__}


# --- words ----------------------------------------------------------------------------------------------------------


def modules(room: str) -> Iterator[Path]:
    return (path for path in sorted((ROOT / room).glob("**/*.py")) if path.read_text().strip())


@pytest.mark.parametrize("path", [path for room in ROOMS for path in modules(room)], ids=lambda path: path.stem)
def test_a_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(parsed(path))


def public(tree: ast.Module) -> Iterator[ast.ClassDef | ast.FunctionDef]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            yield node


def is_obvious(node: ast.ClassDef | ast.FunctionDef) -> bool:
    """Events and enumerations tell by name and fields, rules by their command, short functions by their body."""
    if isinstance(node, ast.ClassDef):
        return bool({getattr(base, "id", "") for base in node.bases} & {"Event", "State", "StrEnum"})
    return node.name == "evolve" or bool(node.decorator_list) or len(node.body) == 1


@pytest.mark.parametrize("path", list(modules("domain")), ids=lambda path: path.stem)
def test_what_is_public_in_the_domain_says_what_it_is_for_where_that_is_not_obvious(path: Path) -> None:
    nodes = public(parsed(path))
    assert [node.name for node in nodes if not is_obvious(node) and not ast.get_docstring(node)] == []


# --- the tree -------------------------------------------------------------------------------------------------------


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def texts() -> Iterator[tuple[Path, str]]:
    for path in tracked():
        content = path.read_bytes()
        if b"\0" not in content[:8000]:
            yield path, content.decode("utf-8", "replace")


UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME)\b")
REGISTRIES = re.compile(
    "|".join(
        (
            r"py" r"pi\.org",
            r"python" r"hosted\.org",
            r"npm" r"js\.(org|com)",
            r"yarn" r"pkg\.com",
            r"maven\.(org|apache\.org)",
            r"repo1?\.maven",
            r"conda\.anaconda\.org",
            r"crates" r"\.io",
        )
    )
)

#: Files of others, kept as they came, with their licence and checksum beside them.
VENDORED = re.compile(r"/(vendor|swagger[^/]*|static)/")


def own_texts() -> Iterator[tuple[Path, str]]:
    return ((path, text) for path, text in texts() if not VENDORED.search(path.as_posix()))


def test_nothing_in_the_tree_is_left_to_be_done() -> None:
    assert [str(path.relative_to(ROOT)) for path, text in own_texts() if UNFINISHED.search(text)] == []


def test_no_file_names_the_host_of_a_package_registry() -> None:
    assert [str(path.relative_to(ROOT)) for path, text in own_texts() if REGISTRIES.search(text)] == []


@pytest.mark.parametrize("text", ["see https://" + "py" + "pi.org/simple", "https://repo1." + "maven" + ".org/maven2"])
def test_the_host_of_a_registry_would_be_noticed(text: str) -> None:
    assert REGISTRIES.search(text)
