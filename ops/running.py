"""The whole platform on one machine: servers, topics, schema, workers and API, started and stopped as one."""

import asyncio
import http.client
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import stamina
from pydantic import SecretStr

from ops import admission, stack
from ops.embedded import EmbeddedError, Kafka, Postgres
from ops.embedded.errors import Report, silent
from ops.embedded.locks import Lock, server_lock
from ops.embedded.ports import free_ports, require_port
from ops.migrate import bring_up_to_date
from ops.settings import as_environment
from ops.supervisor import Process, Supervisor
from topics.provision import create_topics
from topics.publisher import Unavailable
from topics.settings import Settings

READY_SECONDS = 90.0


@dataclass
class Server:
    """An embedded server under a name, as a supervisor wants it."""

    name: str
    embedded: Kafka | Postgres

    @property
    def pid(self) -> int | None:
        return self.embedded.pid

    @property
    def log_path(self) -> Path:
        return self.embedded.log_path

    def alive(self) -> bool:
        return self.embedded.alive()

    def start(self) -> None:
        self.embedded.start()

    def stop(self) -> None:
        self.embedded.stop()


class Platform:
    """`with Platform(Settings()) as platform: ...`; servers that the settings name are used, the others started."""

    def __init__(self, settings: Settings, *, workers: int = 2, report: Report = silent) -> None:
        """Nothing is started yet. `workers` is the number of lane workers."""
        self.settings = settings.model_copy(update={"directory": settings.directory.absolute()})
        self.workers = workers
        self.processes: list[Process] = []
        self.servers: list[Server] = []
        self._report = report
        self._lock = Lock(self.settings.directory / "stack.lock")
        self._supervisor = Supervisor(report)

    @property
    def url(self) -> str:
        """Where the API answers."""
        return f"http://{self.settings.api_host}:{self.settings.api_port}"

    def start(self) -> None:
        """Return when the API says that it is ready; if something cannot start, nothing stays."""
        self._take_directory()
        try:
            self._claim_port()
            self._start_servers()
            self._prepare()
            self._start_processes()
        except BaseException:
            self.stop()
            raise

    def look_after(self) -> None:
        """Start again what has ended; call it a few times a second."""
        self._supervisor.look()

    def stop(self) -> None:
        """Stop all cleanly; the data stay."""
        self._supervisor.stop()
        if self._lock.held:
            stack.forget(self.settings.directory)
        self._lock.release()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _take_directory(self) -> None:
        if not self._lock.acquire():
            raise EmbeddedError(
                f"A platform runs in {self.settings.directory} already (pid {self._lock.holder()}). Use it, stop it "
                "with Ctrl-C in its shell, or choose another directory: BITCORP_DIRECTORY=<folder>."
            )

    def _claim_port(self) -> None:
        if self.settings.api_port == 0:
            self.settings = self.settings.model_copy(update={"api_port": free_ports(1)[0]})
        require_port("The API", self.settings.api_port, "choose another port: BITCORP_API_PORT=<port>, 0 for any")

    def _start_servers(self) -> None:
        self.servers = []
        kafka = self._kafka()
        postgres = Postgres(self.settings.directory / "postgres", self.settings.jars, report=self._report)
        if not self.settings.kafka:
            self.servers.append(Server("kafka", kafka))
        if not self.settings.database.get_secret_value():
            self.servers.append(Server("postgres", postgres))
        self._supervisor.start(self.servers)
        database = self.settings.database.get_secret_value() or postgres.dsn
        self.settings = self.settings.model_copy(
            update={"kafka": self.settings.kafka or kafka.address, "database": SecretStr(database)}
        )

    def _kafka(self) -> Kafka:
        """The embedded broker; nothing is started yet."""
        return Kafka(self.settings.directory / "kafka", self.settings.jars, report=self._report)

    def _prepare(self) -> None:
        for done in create_topics(self.settings):
            self._report(done)
        self.settings = admission.ensure(self.settings)
        if self.settings.root_private_key.get_secret_value():
            self._admit()
        bring_up_to_date(self.settings)
        stack.write(
            self.settings.directory,
            stack.Addresses(self.settings.kafka, self.settings.database.get_secret_value(), self.url, os.getpid()),
        )

    def _admit(self) -> None:
        """A broker that has just made its topics may need a moment; what is said again has the same ids."""
        for attempt in stamina.retry_context(on=Unavailable, timeout=READY_SECONDS):
            with attempt:
                asyncio.run(admission.tell(self.settings, admission.admission_of(self.settings)))

    def _start_processes(self) -> None:
        self.processes = self._planned()
        self._supervisor.start(self.processes)
        self.processes[-1].wait_until(self._ready, READY_SECONDS)

    def _planned(self) -> list[Process]:
        """All processes; the last is the API at `url`."""
        named = [(f"lanes-{number}", ["worker", "lanes"]) for number in range(1, self.workers + 1)]
        named += [(name, ["worker", name]) for name in ("credentials", "views", "audit", "imports", "timer")]
        ports = free_ports(len(named))
        workers = [
            self._process(name, *words, metrics_port=port) for (name, words), port in zip(named, ports, strict=True)
        ]
        return [*workers, self._process("api", "api")]

    def _process(self, name: str, *words: str, **own: Any) -> Process:
        """`bitcorp <words>`; `own` are settings of its own."""
        return Process(name, words, self.settings.directory, self._environment(words[-1], own))

    def _environment(self, kind: str, own: Mapping[str, Any]) -> Mapping[str, str]:
        """No process gets the root's secret key, and only lanes get that of the lanes."""
        hidden = {"root_private_key": SecretStr("")}
        if kind not in ("lanes", "credentials"):
            hidden["lanes_private_key"] = SecretStr("")
        return os.environ | as_environment(self.settings.model_copy(update={"metrics_port": 0, **own, **hidden}))

    def _ready(self) -> bool:
        connection = http.client.HTTPConnection(self.settings.api_host, self.settings.api_port, timeout=2)
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/ready")
            return connection.getresponse().status == http.HTTPStatus.OK
        return False


def emptied(folder: Path) -> None:
    """Remove the data of an earlier platform. Raises EmbeddedError where one still runs in the folder."""
    guard = Lock(folder / "stack.lock")
    if not guard.acquire():
        raise EmbeddedError(
            f"A platform runs in {folder} already (pid {guard.holder()}). Wait for it or stop it with Ctrl-C."
        )
    try:
        for path in folder.glob("*/*.lock"):
            server_lock(path, path.stem).release()  # the servers of a killed demo need a moment to end
        for part in folder.iterdir():
            if part.is_dir():
                shutil.rmtree(part)
    finally:
        guard.release()
