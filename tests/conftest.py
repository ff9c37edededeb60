"""Real servers for the tests that need them: one Kafka and one PostgreSQL a run, own topics and database a test."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import hypothesis
import pytest

from ops.embedded import Stack
from tests.databases import database_of
from topics.garbage import collect_rarely
from topics.provision import create_topics
from topics.settings import Settings

hypothesis.settings.register_profile("erp", deadline=None, max_examples=30)
hypothesis.settings.load_profile("erp")
collect_rarely()  # thousands of tests are read, and stay


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever uses the stack needs servers: nobody has to remember the mark."""
    for item in items:
        if "stack" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.servers)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Kafka and PostgreSQL of this run, with data in a temporary directory."""
    with Stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture
def partitions() -> int:
    """Partitions of the test's topics; a test that wants others has `@pytest.mark.parametrize("partitions", [6])`."""
    return 3


@pytest.fixture
def blank(stack: Stack, partitions: int, tmp_path: Path) -> Settings:
    """Settings with a prefix whose topics do not exist yet, and no database."""
    prefix = f"test-{uuid4().hex[:10]}"
    return Settings(kafka=stack.kafka.address, prefix=prefix, partitions=partitions, directory=tmp_path)


@pytest.fixture
def settings(blank: Settings, database: str) -> Settings:
    """Settings with topics and an empty database of the test's own."""
    create_topics(blank)
    return Settings(**blank.model_dump() | {"database": database})


@pytest.fixture
def prefix(settings: Settings) -> str:
    """The prefix of the test's own topics, which exist."""
    return settings.prefix


@pytest.fixture
def database(stack: Stack) -> Iterator[str]:
    """The DSN of a database of the test's own, dropped after it."""
    with database_of(stack.postgres.dsn) as dsn:
        yield dsn
