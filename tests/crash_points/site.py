"""Real workers that end at a chosen point, on topics and a database of their own, and who finishes for them."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from random import Random
from typing import Any

from confluent_kafka import Producer

from ops.embedded import Stack
from ops.settings import as_environment
from ops.verify import audit
from tests.agents.story import story
from tests.agents.upstream import DEADLINE, Upstream, until
from tests.crash_points.hook import CRASHED
from tests.ops.platforms import PARTITIONS, provisioned
from tests.ops.shell import CHECKOUT, environment
from topics.catalogue import STATE
from topics.settings import Settings
from views import GROUPS

FEW, CROWD = 10, 300
#: Behind these points a worker of the kind has done something of what it is for, and listens to who tells it to stop.
WORKS = {
    "lanes": (
        "lane.Lane._settle: self._log.publish(current.commit.sends) | after",
        "decide.Worker.serve: until_told([self.app], self._left) | before",
    ),
    "views": (
        "projector.Projector._follow: self._patiently(self._applied, entries, at) | after",
        "project.Worker.serve: until_told(self.apps, asyncio.Event()) | before",
    ),
    "audit": (
        "recorder.Recorder._record: self._log.append(partition, records) | after",
        "recorder.Recorder.serve: until_told([], left) | before",
    ),
}


@dataclass
class Child:
    """One worker as a process of its own; `seen` is where it notes the points that it reaches."""

    process: "subprocess.Popen[bytes]"
    log: Path
    seen: Path

    @property
    def visits(self) -> Counter[str]:
        """Points with the number of visits, as far as these are noted."""
        return Counter(self.seen.read_text().splitlines())

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def stop(self) -> None:
        if not self.ended:
            self.process.kill()
            self.process.wait()


@dataclass
class Site:
    """`send` gives workers something to do, `finish` lets others end what was left, and looks whether all is well."""

    settings: Settings
    upstream: Upstream
    children: list[Child] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._story = story(Random(self.settings.prefix), 10**6, self.settings.prefix, PARTITIONS)

    def send(self, commands: int = FEW) -> None:
        self.upstream.send(islice(self._story, commands))

    def start(self, kind: str, *groups: str, at: str = "", visit: int = 1) -> Child:
        """A worker that ends at this visit of the point; one that goes on where none is named."""
        name = self.settings.directory / f"{kind}-{len(self.children)}"
        log, seen = name.with_suffix(".log"), name.with_suffix(".seen")
        seen.touch()
        chosen = {"CRASH_AT": at, "CRASH_VISIT": str(visit), "CRASH_SEEN": str(seen)}
        words = [sys.executable, "-m", "tests.crash_points.child", kind, *groups]
        given = environment() | as_environment(self.settings) | chosen
        with log.open("wb") as file:
            process = subprocess.Popen(words, cwd=CHECKOUT, env=given, stdout=file, stderr=file)
        self.children.append(Child(process, log, seen))
        return self.children[-1]

    def until_reached(self, child: Child, *points: str) -> None:
        """Until the child has come to the points, or to its end, with something to do all the time."""

        def reached() -> bool:
            self.send(2)
            return child.visits.keys() >= {*points} or child.ended

        until(reached, DEADLINE, f"{' and '.join(points)} are reached")

    def until_crashed(self, child: Child) -> int:
        """The exit code of the child, which has something to do until it ends, much at times, and a stale writer."""
        polls = count(1)

        def ended() -> bool:
            self.send(2)
            if next(polls) % 40 == 0:
                self.send(CROWD)
                self.write_beside()
            return child.ended

        until(ended, DEADLINE, f"the worker ends at its point; {child.log.read_text()[-1000:]}")
        return int(child.process.returncode)

    def write_beside(self) -> None:
        """What a stale writer of the state leaves: a record that is not where it was expected."""
        producer = Producer({"bootstrap.servers": self.settings.kafka})
        for partition in range(PARTITIONS):
            headers: list[Any] = [("expect", b"-9"), ("index", b"0")]
            producer.produce(STATE.named(self.settings.prefix), b"stale", b"firm/stale/key", partition, headers=headers)
        assert producer.flush(30) == 0

    def stop(self) -> None:
        for child in self.children:
            child.stop()

    def finish(self) -> None:
        """Whoever comes next ends what was left, and then nothing is lost, doubled or different."""
        self.stop()
        for kind in WORKS:
            self.start(kind, *(GROUPS if kind == "views" else ()))
        self.upstream.until_all_decided()
        found = audit(self.settings, wait=DEADLINE)
        self.stop()
        assert found.clean, found.samples


@contextmanager
def site_of(stack: Stack, directory: Path) -> Iterator[Site]:
    """On the run's servers. Lanes look at their changelog's end all the time, so that this is a step like others."""
    with provisioned(stack, directory, session_seconds=6, check_seconds=1) as settings:
        site = Site(settings, Upstream(settings))
        try:
            yield site
        finally:
            site.stop()
            site.upstream.close()


# -- which points are reached when -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Way:
    """When a point is reached first, and how often until then: while the worker works, when others come or go, or when
    it is told to stop."""

    when: str
    visits: int


WORKING, REBALANCE, STOP = "working", "rebalance", "stop"


def recorded(site: Site, kind: str) -> dict[str, Way]:
    """The points that workers of the kind reach without a crash, each with the way to it: one on topics that are empty
    at first, and one that goes on where others were."""
    helpers = [site.start("lanes")] if kind != "lanes" else []
    child, ways = site.start(kind), dict[str, Way]()
    for when, go in ((WORKING, _work), (REBALANCE, _share), (STOP, _stop)):
        go(site, kind, child)
        ways = {point: Way(when, visits) for point, visits in child.visits.items()} | ways
    successor = site.start(kind)
    site.until_reached(successor, *WORKS[kind])
    early = {point for point, way in ways.items() if way.when == WORKING}
    ways |= {point: Way(WORKING, 1) for point in successor.visits if point not in early}
    for child in (successor, *helpers):
        child.stop()
    return ways


def _work(site: Site, kind: str, child: Child) -> None:
    site.until_reached(child, *WORKS[kind])
    if kind == "lanes":
        site.write_beside()
        site.until_reached(child, "lane.Lane._append_all: self._append(part, self._head) | after")
    for _ in range(20):
        site.send(5 * FEW)


def _share(site: Site, kind: str, child: Child) -> None:
    """Another worker takes a part, and leaves it."""
    guest = site.start(kind)
    site.until_reached(guest, *WORKS[kind])
    guest.process.send_signal(signal.SIGTERM)
    guest.process.wait(DEADLINE)
    site.send(5 * FEW)


def _stop(site: Site, kind: str, child: Child) -> None:
    child.process.send_signal(signal.SIGTERM)
    assert child.process.wait(DEADLINE) == os.EX_OK, child.log.read_text()[-3000:]


# -- crashes -----------------------------------------------------------------------------------------------------------


def crash(site: Site, kind: str, point: str, way: Way, visit: int, *, sure: bool) -> None:
    """A worker of the kind ends at the visit of the point; one that it is not sure to reach, it may not reach."""
    print(f"{kind}: {point}, visit {visit}, {way.when}")
    site.send()
    child = site.start(kind, at=point, visit=visit)
    guest = None
    if way.when != WORKING:
        site.until_reached(child, *WORKS[kind])
    if way.when == REBALANCE:
        guest = site.start(kind)
    elif way.when == STOP:
        child.process.send_signal(signal.SIGTERM)
    with nullcontext() if sure else suppress(AssertionError):
        assert site.until_crashed(child) == CRASHED, child.log.read_text()[-3000:]
    for worker in filter(None, (child, guest)):
        worker.stop()
