"""Where Kafka and PostgreSQL are: what the settings say, else the stack that `bitcorp up` runs in the directory."""

import json
import os
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import SecretStr

from ops import admission
from ops.errors import Fault
from topics.settings import Settings

FILE = "stack.json"
PATIENCE_SECONDS = 2.0


@dataclass(frozen=True)
class Addresses:
    """What a running stack tells other shells; `pid` is the process that keeps it running."""

    kafka: str
    database: str
    api: str = ""
    pid: int = 0

    def alive(self) -> bool:
        """Whether its process lives and its broker takes connections."""
        return (not self.pid or _lives(self.pid)) and answers(self.kafka)


def write(directory: Path, addresses: Addresses) -> Path:
    """Leave the addresses for other shells; the file holds a password, so it is ours alone."""
    directory.mkdir(parents=True, exist_ok=True)
    path, part = directory / FILE, directory / f"{FILE}.part"
    part.touch(mode=0o600)
    part.write_text(json.dumps(asdict(addresses)))
    part.replace(path)
    return path


def read(directory: Path) -> Addresses | None:
    """The stack that was started in the directory, running or not; None where there was none."""
    try:
        found = json.loads((directory / FILE).read_text())
        return Addresses(**{name: found[name] for name in Addresses.__dataclass_fields__ if name in found})
    except (FileNotFoundError, ValueError, TypeError):
        return None


def forget(directory: Path) -> None:
    """Remove the addresses of a stack that has ended."""
    (directory / FILE).unlink(missing_ok=True)


def running(settings: Settings) -> Addresses | None:
    """The stack of the settings' directory if it runs."""
    found = read(settings.directory)
    return found if found and found.alive() else None


def resolve(settings: Settings) -> Settings:
    """The settings with Kafka, database and the stack's keys. Raises Fault where they are neither set nor running."""
    if _is_of_here(settings):
        settings = admission.found(settings)
    database = settings.database.get_secret_value()
    if settings.kafka and database:
        return settings
    found = running(settings)
    if found is None:
        missing = [
            name for name, value in (("BITCORP_KAFKA", settings.kafka), ("BITCORP_DATABASE", database)) if not value
        ]
        raise Fault(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set, and no stack runs in "
            f"{settings.directory.absolute()}. Start one with: bitcorp up (or make up). To use servers of your own, "
            "set BITCORP_KAFKA=host:port and BITCORP_DATABASE=postgresql://user:password@host/name."
        )
    return settings.model_copy(
        update={"kafka": settings.kafka or found.kafka, "database": SecretStr(database or found.database)}
    )


def _is_of_here(settings: Settings) -> bool:
    """Whether the stack of the directory is meant: its keys prove nothing to the lanes of another cluster."""
    known = read(settings.directory)
    return not settings.kafka or (known is not None and known.kafka == settings.kafka)


def answers(kafka: str, seconds: float = PATIENCE_SECONDS) -> bool:
    """Whether one of the bootstrap servers takes a connection."""
    for server in kafka.split(","):
        host, _, port = server.strip().rpartition(":")
        with suppress(OSError, ValueError), socket.create_connection((host.strip("[]"), int(port)), timeout=seconds):
            return True
    return False


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
