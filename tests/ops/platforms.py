"""A whole platform for the tests of a module, or what it stands on: topics and a database of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import SecretStr

from ops.embedded import Stack
from ops.migrate import bring_up_to_date
from ops.running import Platform
from tests.databases import database_of
from topics.provision import create_topics
from topics.settings import Settings

PARTITIONS = 2


@contextmanager
def platform_of(stack: Stack, directory: Path, **chosen: Any) -> Iterator[Platform]:
    """On the run's servers; `chosen` are settings."""
    with settings_of(stack, directory, api_port=0, **chosen) as settings, Platform(settings, workers=1) as running:
        yield running


@contextmanager
def provisioned(stack: Stack, directory: Path, **chosen: Any) -> Iterator[Settings]:
    """Settings whose topics and schema are there."""
    with settings_of(stack, directory, **chosen) as settings:
        create_topics(settings)
        bring_up_to_date(settings)
        yield settings


@contextmanager
def settings_of(stack: Stack, directory: Path, **chosen: Any) -> Iterator[Settings]:
    """Settings on the run's servers with an empty database and a prefix of their own."""
    with database_of(stack.postgres.dsn) as dsn:
        own = {"kafka": stack.kafka.address, "database": SecretStr(dsn), "prefix": f"test-{uuid4().hex[:10]}"}
        yield Settings(**{"partitions": PARTITIONS, "directory": directory} | own | chosen)
