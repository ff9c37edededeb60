"""A whole platform for the tests of a module: all processes, with topics and a database of their own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import SecretStr

from ops.embedded import Stack
from ops.running import Platform
from tests.databases import database_of
from topics.settings import Settings


@contextmanager
def platform_of(stack: Stack, directory: Path, **chosen: Any) -> Iterator[Platform]:
    """On the run's servers; `chosen` are settings."""
    with database_of(stack.postgres.dsn) as dsn:
        settings = Settings(
            kafka=stack.kafka.address,
            database=SecretStr(dsn),
            prefix=f"test-{uuid4().hex[:10]}",
            partitions=2,
            api_port=0,
            directory=directory,
            **chosen,
        )
        with Platform(settings, workers=1) as running:
            yield running
