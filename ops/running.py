"""The whole platform on one machine: servers, topics, schema, workers and API, started and stopped as one."""

import asyncio
import http.client
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import SecretStr

from ops import admission, stack
from ops.embedded import EmbeddedError, Kafka, Postgres
from ops.embedded.errors import Report, silent
from ops.embedded.locks import Lock
from ops.embedded.ports import free_ports, require_port
from ops.migrate import bring_up_to_date
from ops.settings import as_environment
from ops.supervisor import Kept, Process, Supervisor
from topics.provision import create_topics
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
        folder, jars = self.settings.directory, self.settings.jars
        kafka = Kafka(folder / "kafka", jars, report=self._report)
        postgres = Postgres(folder / "postgres", jars, report=self._report)
        servers: list[Kept] = []
        if not self.settings.kafka:
            servers.append(Server("kafka", kafka))
        if not self.settings.database.get_secret_value():
            servers.append(Server("postgres", postgres))
        self._supervisor.start(servers)
        database = self.settings.database.get_secret_value() or postgres.dsn
        self.settings = self.settings.model_copy(
            update={"kafka": self.settings.kafka or kafka.address, "database": SecretStr(database)}
        )

    def _prepare(self) -> None:
        for done in create_topics(self.settings):
            self._report(done)
        self.settings = admission.ensure(self.settings)
        if self.settings.root_private_key.get_secret_value():
            asyncio.run(admission.tell(self.settings, admission.admission_of(self.settings)))
        bring_up_to_date(self.settings)
        stack.write(
            self.settings.directory,
            stack.Addresses(self.settings.kafka, self.settings.database.get_secret_value(), self.url, os.getpid()),
        )

    def _start_processes(self) -> None:
        named = [(f"lanes-{number}", ["worker", "lanes"]) for number in range(1, self.workers + 1)]
        named += [(name, ["worker", name]) for name in ("credentials", "views", "audit", "imports", "timer")]
        ports = free_ports(len(named))
        folder = self.settings.directory
        self.processes = [
            *(
                Process(name, words, folder, self._environment(port, lanes=words[-1] in ("lanes", "credentials")))
                for (name, words), port in zip(named, ports, strict=True)
            ),
            Process("api", ["api"], folder, self._environment(0)),
        ]
        self._supervisor.start(self.processes)
        self.processes[-1].wait_until(self._ready, READY_SECONDS)

    def _environment(self, metrics_port: int, *, lanes: bool = False) -> Mapping[str, str]:
        """No process gets the root's secret key, and only lanes get that of the lanes."""
        hidden = {"root_private_key": SecretStr("")} | ({} if lanes else {"lanes_private_key": SecretStr("")})
        own = self.settings.model_copy(update={"metrics_port": metrics_port, **hidden})
        return os.environ | as_environment(own)

    def _ready(self) -> bool:
        connection = http.client.HTTPConnection(self.settings.api_host, self.settings.api_port, timeout=2)
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/ready")
            return connection.getresponse().status == http.HTTPStatus.OK
        return False
