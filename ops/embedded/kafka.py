"""One Kafka broker in one directory (KRaft, broker and controller in one process)."""

import base64
import hashlib
import os
import signal
import socket
import ssl
import struct
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from ops.embedded import jars
from ops.embedded.errors import Report, silent
from ops.embedded.guard import Guard
from ops.embedded.java import Java, find_java
from ops.embedded.locks import Lock, server_lock
from ops.embedded.ports import remembered_ports, require_port
from ops.embedded.process import Child, spawn

START_SECONDS = 90.0
STOP_SECONDS = 30.0
# Without the optimizing compiler and with the simplest collector a small broker starts in half the time, as fast later.
JVM = (
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ",
)
# A record may be 8 MiB (`max.message.bytes` of the state changelog); the broker leaves room for its batch.
LARGEST_MESSAGE = 9 * 1024 * 1024
SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "CLIENT",
    "log.dirs": "data",  # relative, so that no character of the directory's name can do harm
    "auto.create.topics.enable": "false",
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "message.max.bytes": str(LARGEST_MESSAGE),
    "replica.fetch.max.bytes": str(LARGEST_MESSAGE),
    "log.cleaner.dedupe.buffer.size": str(8 * 1024 * 1024),
    "log.index.size.max.bytes": str(1024 * 1024),
    # After a kill the new broker waits until the old one's session has ended (9 s by default).
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "400",
}


class Kafka:
    """A one-node Kafka on 127.0.0.1 that keeps its data in `directory` and ends with this process."""

    def __init__(
        self,
        directory: Path,
        jars_directory: Path | None = None,
        *,
        guard: Guard | None = None,
        beside: Mapping[str, int] | None = None,
        report: Report = silent,
    ) -> None:
        """With `guard`, clients need TLS, a user with its password, and rights; without it everybody may do everything.
        `beside` are more listeners, each with the port that its clients are told: that of a proxy before it.
        """
        self.directory = directory.absolute()
        self.log_path = self.directory / "kafka.log"
        self._jars = (jars_directory or jars.default_directory()).absolute()
        self._guard = guard
        self._beside = dict(beside or {})
        self._new_archive: Path | None = None
        self._report = report
        self._child: Child | None = None

    @property
    def address(self) -> str:
        """Bootstrap server, as "127.0.0.1:<port>"."""
        return f"127.0.0.1:{self._ports()['client']}"

    @property
    def operators_address(self) -> str:
        """Bootstrap server for holders of the operator's certificate, where there is a guard."""
        return f"127.0.0.1:{self._ports()['operator']}"

    def port_of(self, listener: str) -> int:
        """Where a listener of `beside` really listens."""
        return self._ports()[listener]

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child and self._child.alive() else None

    def alive(self) -> bool:
        return self._child is not None and self._child.alive()

    def start(self) -> None:
        """Return when the broker answers; nothing happens when it already runs."""
        if self.alive():
            return
        started = time.monotonic()
        java = find_java(self._report)
        classpath = jars.fetch(jars.locked("kafka"), self._jars, self._report)
        self.directory.mkdir(parents=True, exist_ok=True)
        lock = server_lock(self.directory / "kafka.lock", "A Kafka")
        try:
            self._child = self._spawn(java, classpath, lock)
        finally:
            lock.release()
        self._child.wait_until(self._answers, START_SECONDS)
        self._report(f"Kafka answers on {self.address} after {time.monotonic() - started:.1f} s")

    def stop(self) -> None:
        """Stop cleanly; after half a minute, kill."""
        if self._child:
            if self._new_archive:
                self._report("Kafka stops; this once for some seconds, to start faster from now on")
            clean = self._child.stop(STOP_SECONDS)
            self._keep_archive(clean)

    def kill(self) -> None:
        """End it as a power failure would (SIGKILL)."""
        if self._child:
            self._child.kill()
            self._keep_archive(clean=False)

    def _spawn(self, java: Java, classpath: Sequence[Path], lock: Lock) -> Child:
        self._prepare_data()
        for port in self._ports().values():
            require_port("Kafka", port, f"start in another directory: the port belongs to the data in {self.directory}")
        command = [str(java.path), *JVM, *self._archive_flags(java, classpath)]
        command += ["-cp", os.pathsep.join(map(str, classpath)), "kafka.Kafka", "server.properties"]
        return spawn(
            "Kafka",
            command,
            directory=self.directory,
            log_path=self.log_path,
            lock=lock,
            stop_signal=signal.SIGTERM,
        )

    # Data and settings

    @property
    def _ports_path(self) -> Path:
        return self.directory / "ports.json"

    def _ports(self) -> dict[str, int]:
        operator = ("operator",) if self._guard else ()
        return remembered_ports(self._ports_path, ("client", "controller", *operator, *self._beside))

    def _prepare_data(self) -> None:
        """What Kafka's StorageTool would do, without a second or two of another JVM."""
        data = self.directory / "data"
        data.mkdir(exist_ok=True)
        properties = data / "meta.properties"
        if not properties.exists():
            identity = {"version": "1", "cluster.id": _kafka_id(), "node.id": "1", "directory.id": _kafka_id()}
            _write_properties(properties, identity)
        guarded = self._guard.properties() if self._guard else {}
        _write_properties(self.directory / "server.properties", SETTINGS | self._listeners() | guarded)

    def _listeners(self) -> dict[str, str]:
        ports = self._ports()
        told = {name: port for name, port in (ports | self._beside).items() if name != "controller"}
        protocols = [
            SETTINGS["listener.security.protocol.map"],
            *(f"{name.upper()}:PLAINTEXT" for name in self._beside),
        ]
        return {
            "listener.security.protocol.map": ",".join(protocols),
            "listeners": _places(ports),
            "advertised.listeners": _places(told),
            "controller.quorum.voters": f"1@127.0.0.1:{ports['controller']}",
        }

    def _answers(self) -> bool:
        if self._guard:
            return brokers_known_at("127.0.0.1", self._ports()["operator"], self._guard.context()) > 0
        return brokers_known_at("127.0.0.1", self._ports()["client"]) > 0

    # The archive of loaded classes, made at the first clean stop: with it the JVM starts in half the time

    def _archive_flags(self, java: Java, classpath: Sequence[Path]) -> list[str]:
        archive = self._jars / f"kafka-{_fingerprint(java, classpath)}.{'aot' if java.version >= 25 else 'jsa'}"
        self._new_archive = None
        if archive.exists():
            return _use_archive(java, archive)
        self._new_archive = archive
        return _make_archive(java, self._unfinished(archive))

    def _keep_archive(self, clean: bool) -> None:
        if self._new_archive:
            made = self._unfinished(self._new_archive)
            if clean and made.exists():
                made.replace(self._new_archive)
            made.unlink(missing_ok=True)
            self._new_archive = None

    def _unfinished(self, archive: Path) -> Path:
        """No other Kafka has our port."""
        return archive.with_name(f"{self._ports()['client']}-{archive.name}")


def _use_archive(java: Java, archive: Path) -> list[str]:
    # A JVM that does not like its archive starts without it; the last flags keep it from talking about that.
    flag = "-XX:AOTCache" if java.version >= 25 else "-XX:SharedArchiveFile"
    return [f"{flag}={archive}", "-Xlog:disable", "-Xlog:all=error:stderr"]


def _make_archive(java: Java, archive: Path) -> list[str]:
    flag = "-XX:AOTCacheOutput" if java.version >= 25 else "-XX:ArchiveClassesAtExit"
    return [f"{flag}={archive}", "-Xlog:disable", "-Xlog:all=error:stderr"]


def _fingerprint(java: Java, classpath: Sequence[Path]) -> str:
    """An archive fits only the JVM, the flags and the very files that it was made with."""
    facts = [*JVM, *(f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in (java.path, *classpath))]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def _kafka_id() -> str:
    """A random id in Kafka's spelling, which must not look like a command line option."""
    while (text := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return text


def _places(ports: Mapping[str, int]) -> str:
    return ",".join(f"{name.upper()}://127.0.0.1:{port}" for name, port in ports.items())


def _write_properties(path: Path, properties: dict[str, str]) -> None:
    part = path.with_suffix(".part")
    part.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
    part.replace(path)


def brokers_known_at(host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
    """How many brokers a Kafka at this address knows to be at work (0 also when nobody answers).

    One Metadata request (api key 3, version 1, no topics), so that waiting needs no client with threads of its own.
    """
    request = struct.pack(">hhihi", 3, 1, 1, -1, 0)
    try:
        with ExitStack() as opened:
            connection = opened.enter_context(socket.create_connection((host, port), timeout=2))
            if tls:
                connection = opened.enter_context(tls.wrap_socket(connection, server_hostname=host))
            connection.sendall(struct.pack(">i", len(request)) + request)
            answer = connection.makefile("rb").read(12)
    except OSError:
        return 0
    return int(struct.unpack(">iii", answer)[2]) if len(answer) == 12 else 0
