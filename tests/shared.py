"""Servers that all processes of a test run share: the first that needs them starts them, and stops them when no other
needs them any more."""

import fcntl
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from ops.embedded import Stack


class Servers(NamedTuple):
    """Kafka's bootstrap address, and the DSN of PostgreSQL's first database."""

    kafka: str
    database: str


@contextmanager
def started(directory: Path) -> Iterator[Servers]:
    with Stack(directory) as stack:
        yield Servers(stack.kafka.address, stack.postgres.dsn)


@contextmanager
def shared(directory: Path, start: Callable[[Path], AbstractContextManager[Servers]] = started) -> Iterator[Servers]:
    """The servers of whoever was the first to ask for those in the directory. The operating system lets go of the locks
    of a process that has died."""
    directory.mkdir(exist_ok=True)
    told = directory / "servers.json"
    with (directory / "beginning").open("w") as beginning, (directory / "using").open("w") as using, ExitStack() as own:
        fcntl.flock(beginning, fcntl.LOCK_EX)
        first = not told.exists()
        if first:
            told.write_text(json.dumps(own.enter_context(start(directory))))
        fcntl.flock(using, fcntl.LOCK_SH)
        fcntl.flock(beginning, fcntl.LOCK_UN)
        yield Servers(*json.loads(told.read_text()))
        if first:
            fcntl.flock(beginning, fcntl.LOCK_EX)  # nobody begins to use them any more
            told.unlink()
            fcntl.flock(using, fcntl.LOCK_EX)  # nobody uses them any more
