"""How cost grows: one worker with ever more companies, machines of one company, and partitions.

`make growth` measures all points on servers of its own and writes bench/growth.json, the graphs in docs/scaling/ and
the tables of docs/scaling.md; a point that is measured is kept at once.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.job_j import command, opening
from bench.latency import measure
from bench.workers import lane_worker, outcomes_reach, percentile, publish, resident_bytes, with_prefix
from ops.bench import directory_of, servers
from ops.bench import machine as this_machine
from ops.console import say
from topics.catalogue import EVENTS
from topics.messages import CommandMessage
from topics.provision import create_topics, delete_topics
from topics.settings import Settings

RESULTS = Path(__file__).parent / "growth.json"
RATE, SECONDS, RENAMES = 200, 5, 30_000


@dataclass(frozen=True)
class Point:
    """What a worker holds: companies with so many machines each, in so many partitions. `axis` is what is varied."""

    axis: str
    companies: int = 100
    machines: int = 10
    partitions: int = 12

    @property
    def value(self) -> int:
        """How much there is of what is varied."""
        return int(getattr(self, self.axis))

    @property
    def name(self) -> str:
        return f"{self.axis}={self.value}"

    def filling(self) -> Iterator[CommandMessage]:
        """Companies with a category each, then their machines."""
        for number in range(self.companies):
            yield from opening(f"grow-{number}")
        for number in range(self.machines):
            for company in range(self.companies):
                yield _machine(f"grow-{company}", number)

    def renames(self, count: int, again: str) -> Iterator[CommandMessage]:
        """Commands of all companies in turn, for their machines in turn; other ones for each `again`."""
        for number in range(count):
            company, machine = number % self.companies, number // self.companies % self.machines
            data = {"equipment_id": f"M-{machine}", "name": f"Renamed {again} {number}"}
            yield command(
                f"grow-{company}", "equipment", "rename-equipment", f"M-{machine}", "user:ann", data, f"{again}{number}"
            )


POINTS = (
    *(Point("companies", companies=count) for count in (1, 100)),
    Point("companies", companies=10_000, machines=1),
    *(Point("machines", companies=1, machines=count) for count in (1, 1_000, 100_000)),
    *(Point("partitions", partitions=count) for count in (1, 12, 48)),
)
#: The same in a minute, to see whether it works.
SMALL = (
    Point("companies", companies=3, machines=2, partitions=2),
    Point("machines", companies=1, machines=5, partitions=1),
    Point("partitions", companies=3, machines=2, partitions=3),
)


def _machine(company: str, number: int) -> CommandMessage:
    said = {"name": f"Excavator {number}", "serial_number": f"EQ-2026-BX-{number:06d}", "in_service_on": "2026-01-01"}
    data = {"equipment_id": f"M-{number}", "category_id": "rig", **said}
    return command(company, "equipment", "create-equipment", f"M-{number}", "user:ann", data)


async def measured(settings: Settings, point: Point, renames: int = RENAMES) -> dict[str, float]:
    """Figures of one worker at this point, on topics of its own."""
    settings = with_prefix(settings, "growth").model_copy(update={"partitions": point.partitions})
    create_topics(settings)
    async with lane_worker(settings):
        filled = await publish(settings, point.filling())
        await outcomes_reach(settings, filled)
    waiting = await publish(settings, point.renames(renames, "r"))
    async with _timed_worker(settings, filled) as (pid, recovery):
        done = await outcomes_reach(settings, filled + waiting // 5)  # all lanes are at work by then
        began = time.perf_counter()
        total = await outcomes_reach(settings, filled + waiting)
        rate = (total - done) / (time.perf_counter() - began)
        times = await measure(settings, list(point.renames(RATE * SECONDS, "l")), RATE)
        resident = resident_bytes(pid)
    commands = filled + waiting + len(times)
    log_bytes, journal_bytes = _log_bytes(settings, "*"), _log_bytes(settings, f"{EVENTS.name}-*")
    delete_topics(settings)
    return {
        "commands_per_second": round(rate),
        "p50_ms": percentile(times, 0.5),
        "p99_ms": percentile(times, 0.99),
        "resident_mb": round(resident / 1e6),
        "recovery_seconds": round(recovery, 2),
        "log_bytes_per_command": round(log_bytes / commands),
        "journal_bytes_per_command": round(journal_bytes / commands),
    }


@asynccontextmanager
async def _timed_worker(settings: Settings, decided: int) -> AsyncIterator[tuple[int, float]]:
    """A worker that takes over what another has left; its pid, and the seconds from its start to its first outcome."""
    began = time.perf_counter()
    async with lane_worker(settings) as pid:
        await outcomes_reach(settings, decided + 1)
        yield pid, time.perf_counter() - began


def _log_bytes(settings: Settings, topics: str) -> int:
    """What the broker keeps of these topics, one replica."""
    logs = directory_of(settings).rglob(f"{settings.prefix}.{topics}/*.log")
    return sum(path.stat().st_size for path in logs)


def grow(points: tuple[Point, ...], settings: Settings, renames: int, results: Path) -> None:
    """Measure the points one after the other, and keep each."""
    found: dict[str, Any] = {"machine": this_machine(), "at": "", "points": {}}
    with servers(settings) as own:
        for point in points:
            figures = asyncio.run(measured(own, point, renames))
            say(f"{point.name}: {figures}")
            found["points"][point.name] = {"axis": point.axis, "value": point.value, **figures}
            found["at"] = datetime.now(UTC).isoformat(timespec="seconds")
            results.write_text(json.dumps(found, indent=2) + "\n")


def main(small: bool) -> None:
    """All points, or the small ones, which are kept elsewhere and change no page."""
    if small:
        grow(SMALL, Settings(), 200, Settings().directory / "growth-small.json")
        return
    from bench import growth_page

    grow(POINTS, Settings(), RENAMES, RESULTS)
    growth_page.write()


if __name__ == "__main__":
    main("--small" in sys.argv[1:])
