"""Kafka and PostgreSQL together in one directory."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from ops.embedded.errors import EmbeddedError, Report, silent
from ops.embedded.kafka import Kafka
from ops.embedded.locks import Lock
from ops.embedded.postgres import Postgres


class Stack:
    """Both servers, started and stopped as one: `with Stack(Path(".bitcorp")) as stack: ...`."""

    def __init__(
        self,
        directory: Path,
        *,
        jars: Path | None = None,
        postgres_port: int | None = None,
        report: Report = silent,
    ) -> None:
        """Nothing is started yet. The parameters are those of `Kafka` and `Postgres`."""
        self.directory = directory.absolute()
        self.kafka = Kafka(self.directory / "kafka", jars, report=report)
        self.postgres = Postgres(self.directory / "postgres", jars, port=postgres_port, report=report)
        self._lock = Lock(self.directory / "stack.lock")

    def start(self) -> None:
        """Return when both servers answer; if one cannot start, neither stays."""
        if not self._lock.held and not self._lock.acquire():
            raise EmbeddedError(
                f"Another stack (pid {self._lock.holder()}) works in {self.directory}. Stop it first, or choose "
                "another directory."
            )
        pool = ThreadPoolExecutor(2)
        try:
            starts = [pool.submit(server.start) for server in (self.kafka, self.postgres)]
            for start in starts:
                start.result()
        except BaseException:
            # First to end the waiting of both threads, then to end what one of them still started.
            self._stop_servers()
            pool.shutdown()
            self.stop()
            raise
        pool.shutdown()

    def stop(self) -> None:
        """Stop both cleanly; the data stay."""
        self._stop_servers()
        self._lock.release()

    def _stop_servers(self) -> None:
        with ThreadPoolExecutor(2) as pool:
            for stop in [pool.submit(server.stop) for server in (self.kafka, self.postgres)]:
                stop.result()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
