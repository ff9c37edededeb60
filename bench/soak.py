"""Steady load for a long time: what memory and files each process has, and whether that grows.

Machines are renamed again and again, so that nothing which is kept grows; before, lanes remember as many command ids as
they ever will.
"""

import csv
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from agents.lane import REMEMBERED_AT_MOST
from bench.job_j import COMPANIES, command, commands
from bench.latency import OPENING
from bench.posting import WAIT, send
from bench.running import Running, running, until_shown
from bench.workers import open_files, outcomes_reach, publish, resident_bytes
from ops.console import say
from topics.messages import CommandMessage
from topics.settings import Settings

SAMPLES = Path(__file__).parent / "soak.csv"
MACHINES = 600
PARTITIONS = 2
PARTS = 60
#: Of the samples: how many at the start are warm-up, and how many at either end are compared.
WARM, COMPARED = 0.1, 0.1


class Sample(NamedTuple):
    """What a process had at a time."""

    minute: float
    process: str
    resident_mb: float
    open_files: int


async def soak(
    settings: Settings, minutes: float = 60, rate: int = 100, remembered: int = REMEMBERED_AT_MOST
) -> dict[str, float]:
    """Growth of each process's memory and open files after the warm-up, as a share; samples go to bench/soak.csv."""
    settings = settings.model_copy(update={"partitions": PARTITIONS})
    async with running(settings, "soak") as system:
        await _warm_up(system, PARTITIONS * remembered)
        samples = [sample async for sample in _soaked(system, minutes, rate)]
    with SAMPLES.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([Sample._fields, *samples])
    return {"minutes": minutes, "commands_per_second": rate, **grown(samples)}


async def _warm_up(system: Running, renames: int) -> None:
    """Machines, and more commands than a lane remembers."""
    total = OPENING + await publish(system.settings, islice(commands(MACHINES), OPENING, None))
    await outcomes_reach(system.settings, total)
    total += await publish(system.settings, islice(_renames(), renames))
    await outcomes_reach(system.settings, total)
    await until_shown(system.settings.database.get_secret_value(), total)


def _renames() -> Iterator[CommandMessage]:
    for number in count():
        company, machine = f"bench-{number % COMPANIES}", f"M-{number % MACHINES}"
        data = {"equipment_id": machine, "name": f"Crane {number}"}
        yield command(company, "equipment", "rename-equipment", machine, "user:ann", data, str(number))


def _requests(system: Running, first: int) -> Iterator[dict[str, Any]]:
    """The same over HTTP, with tokens that are good for an hour."""
    bearers = system.bearers()
    for number in count(first):
        url = f"/api/v1/equipment/M-{number % MACHINES}/rename"
        yield {"url": url, "json": {"name": f"Drill {number}"}, "headers": bearers[number % COMPANIES] | WAIT}


async def _soaked(system: Running, minutes: float, rate: int) -> AsyncIterator[Sample]:
    """What each process has after each part of the load."""
    began = time.monotonic()
    async with system.client() as session:
        for part in range(PARTS):
            seconds = minutes * 60 / PARTS
            await send(session, _requests(system, round(part * rate * seconds)), rate, seconds)
            minute = round((time.monotonic() - began) / 60, 2)
            say(f"soak: {minute:g} of {minutes:g} minutes")
            for process, pid in system.pids.items():
                yield Sample(minute, process, round(resident_bytes(pid) / 1e6, 1), open_files(pid))


def grown(samples: Sequence[Sample]) -> dict[str, float]:
    """By process, how much more it has at the end than after the warm-up; `growth` is the largest of memory."""
    figures: dict[str, float] = {}
    for process in dict.fromkeys(sample.process for sample in samples):
        own = [sample for sample in samples if sample.process == process]
        figures[f"{process}_mb"] = median(each.resident_mb for each in _end(own))
        figures[f"{process}_growth"] = _growth(own, lambda sample: sample.resident_mb)
        figures[f"{process}_files_growth"] = _growth(own, lambda sample: sample.open_files)
    largest = max(value for name, value in figures.items() if name.endswith("growth") and "files" not in name)
    return figures | {"growth": largest}


def _growth(own: Sequence[Sample], of: Callable[[Sample], float]) -> float:
    return round(median(map(of, _end(own))) / median(map(of, _start(own))) - 1, 3)


def _start(own: Sequence[Sample]) -> Sequence[Sample]:
    """The first samples after the warm-up."""
    return own[(warm := round(len(own) * WARM)) : warm + max(1, round(len(own) * COMPARED))]


def _end(own: Sequence[Sample]) -> Sequence[Sample]:
    return own[-max(1, round(len(own) * COMPARED)) :]
