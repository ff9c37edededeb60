"""Where the servers of a test run are."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ops.embedded import Stack


class Servers(NamedTuple):
    """Kafka's bootstrap address, and the DSN of PostgreSQL's first database. Nobody may stop them."""

    kafka: str
    database: str


@contextmanager
def started(directory: Path) -> Iterator[Servers]:
    with Stack(directory) as stack:
        yield Servers(stack.kafka.address, stack.postgres.dsn)
