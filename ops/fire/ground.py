"""The ground of a campaign: a platform of its own, each of whose lane workers reaches the broker through a proxy."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import SecretStr

from ops.embedded import Kafka
from ops.embedded.ports import free_ports
from ops.fire.disk import Disk
from ops.fire.proxy import HOST, Network, Proxy
from ops.fire.waiting import until
from ops.running import Platform
from ops.supervisor import Kept, Process
from topics.settings import Settings

WORKERS = 3
PARTITIONS = 6
SESSION_SECONDS = 4.0
LOOK_SECONDS = 0.2
#: A process that ends often is started again after half a minute at most.
BACK_SECONDS = 60.0
OTHERS = {
    "credentials": "credentials",
    "views-1": "views",
    "views-2": "views",
    "audit": "audit",
    "imports": "imports",
    "timer": "timer",
}


def settings_of(settings: Settings, folder: Path) -> Settings:
    """Embedded servers in a folder of the campaign's own, at free ports, with a short session and no limits of rate."""
    return settings.model_copy(
        update={
            "directory": folder.absolute(),
            "kafka": "",
            "database": SecretStr(""),
            "partitions": PARTITIONS,
            "replication": 1,
            "single_node": True,
            "session_seconds": SESSION_SECONDS,
            "rate_limits": "",
            "api_port": 0,
        }
    )


def disk_of(folder: Path) -> Disk:
    """The disk of the broker's data in a campaign's folder, mounted or not."""
    return Disk(folder / "kafka" / "data")


class Ground(Platform):
    """Three lane workers, two projections, two APIs and the rest, looked after in a thread as `bitcorp up` does."""

    def __init__(self, settings: Settings, *, small_disk: bool = False) -> None:
        """With `small_disk` the broker's data lie on a disk that can be filled."""
        super().__init__(settings, workers=WORKERS, report=self._note)
        self.lanes = [f"lanes-{number}" for number in range(1, WORKERS + 1)]
        self.network = Network({})
        self.disk = disk_of(settings.directory) if small_disk else None
        self._ends = threading.Event()
        self._caretaker = threading.Thread(target=self._care, name="caretaker", daemon=True)
        self._guests = 0
        self._log = settings.directory / "campaign.log"

    def start(self) -> None:
        super().start()
        self._caretaker.start()

    def stop(self) -> None:
        self._ends.set()
        if self._caretaker.is_alive():
            self._caretaker.join()
        self.heal()
        super().stop()
        self.network.stop()
        if self.disk:
            self.disk.unmount()

    def _care(self) -> None:
        while not self._ends.wait(LOOK_SECONDS):
            self.look_after()

    def _note(self, text: str) -> None:
        """What ends and comes back is told in a file: it is what a campaign is for."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("a") as file:
            file.write(f"{time.strftime('%H:%M:%S')} {text}\n")

    # -- what runs ---------------------------------------------------------------------------------------------------

    def _kafka(self) -> Kafka:
        if self.disk:
            self.disk.mount()
        doors = dict(zip(self.lanes, free_ports(WORKERS), strict=True))
        kafka = Kafka(self.settings.directory / "kafka", self.settings.jars, beside=doors, report=self._report)
        self.network = Network({name: Proxy(port, kafka.port_of(name)) for name, port in doors.items()})
        self.network.start()
        return kafka

    def _planned(self) -> list[Process]:
        lanes = [self._worker(name, kafka=f"{HOST}:{self.network.proxies[name].port}") for name in self.lanes]
        others = [self._worker(name, kind) for name, kind in OTHERS.items()]
        self.second = free_ports(1)[0]
        apis = [self._process("api-1", "api", api_port=self.second), self._process("api-2", "api")]
        return [*lanes, *others, *apis]

    def _worker(self, name: str, kind: str = "lanes", **chosen: str) -> Process:
        process = self._process(name, "worker", kind, **chosen)
        process.module = "ops.fire.process"
        return process

    @property
    def urls(self) -> list[str]:
        """Where both APIs answer."""
        return [f"http://{self.settings.api_host}:{port}" for port in (self.second, self.settings.api_port)]

    # -- what faults are made of -------------------------------------------------------------------------------------

    @property
    def things(self) -> list[Kept]:
        """All processes and servers."""
        return [*self.processes, *self.servers]

    def thing(self, name: str) -> Kept:
        return next(thing for thing in self.things if thing.name == name)

    def tell(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a process or server, if it runs."""
        pid = self.thing(name).pid
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def end(self, name: str, number: signal.Signals) -> None:
        """End a process or server by a signal; return when its successor runs."""
        thing = self.thing(name)
        first = thing.pid
        self.tell(name, number)
        until(lambda: thing.pid not in (None, first), BACK_SECONDS, f"{name} runs again")

    @contextmanager
    def guest(self) -> Iterator[Process]:
        """One lane worker more, with no proxy, which leaves at the end."""
        self._guests += 1
        process = self._worker(f"guest-{self._guests}", kafka=self.settings.kafka)
        process.start()
        try:
            yield process
        finally:
            process.stop()

    def heal(self) -> None:
        """Nothing is cut, paused or full any more."""
        self.network.heal()
        if self.disk:
            self.disk.free()
        for thing in self.things:
            self.tell(thing.name, signal.SIGCONT)

    def whole(self) -> bool:
        """Whether everything runs."""
        return all(thing.alive() for thing in self.things) and self._ready()
