"""A whole platform for the tests of a module: all processes, with topics and a database of their own."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
from pydantic import SecretStr

from ops.embedded import Stack
from ops.running import Platform
from topics.settings import Settings


@contextmanager
def platform_of(stack: Stack, directory: Path, **chosen: Any) -> Iterator[Platform]:
    """On the run's servers; `chosen` are settings."""
    name = f"test_{uuid4().hex[:10]}"
    asyncio.run(execute(stack.postgres.dsn, f"CREATE DATABASE {name}"))
    settings = Settings(
        kafka=stack.kafka.address,
        database=SecretStr(urlunsplit(urlsplit(stack.postgres.dsn)._replace(path=f"/{name}"))),
        prefix=name.replace("_", "-"),
        partitions=2,
        api_port=0,
        directory=directory,
        **chosen,
    )
    with Platform(settings, workers=1) as running:
        yield running
    asyncio.run(execute(stack.postgres.dsn, f"DROP DATABASE {name} WITH (FORCE)"))


async def execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
