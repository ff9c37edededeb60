"""From POST to the outcome, and to the row in the view: commands over HTTP at rates that do not wait for answers (an
open loop), up to more than the machine can do. Then the API takes no more than lanes decide, and says so.
"""

import asyncio
import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count, cycle
from typing import Any, NamedTuple

import aiohttp
import asyncpg

from bench.job_j import machine
from bench.running import PATIENCE_SECONDS, Running, running
from bench.workers import percentile
from ops.errors import Fault
from topics.settings import Settings

#: The last two are more than two cores can do.
RATES = (100, 500, 2000, 4000)
#: Connections of the client, opened before: so many requests are under way at most, and what would be more is not sent.
#: They are more than the API takes commands.
CONNECTIONS, AT_ONCE = 800, 50
WAIT = {"Prefer": "wait=30"}
LOOK_SECONDS = 0.01
POSITIONS = "SELECT partition, position FROM erp.view_checkpoint WHERE view_group = 'fleet'"


class Answer(NamedTuple):
    """A command that was accepted: when it was sent and answered, and the place of its event."""

    sent: float
    answered: float
    partition: int
    position: int


@dataclass
class Shown:
    """When the views had come to which position, by partition: what was seen at each look."""

    times: dict[int, list[float]] = field(default_factory=dict)
    positions: dict[int, list[int]] = field(default_factory=dict)

    def look(self, partition: int, position: int, now: float) -> None:
        seen = self.positions.setdefault(partition, [])
        if not seen or seen[-1] < position:
            seen.append(position)
            self.times.setdefault(partition, []).append(now)

    def reached(self, answer: Answer) -> bool:
        return self.positions.get(answer.partition, [0])[-1] >= answer.position

    def at(self, answer: Answer) -> float:
        """When the command's event was seen in the views."""
        return self.times[answer.partition][bisect_left(self.positions[answer.partition], answer.position)]


@dataclass
class Load:
    """One run at one rate: what was accepted, how many are under way, and how many were answered 503."""

    answers: list[Answer] = field(default_factory=list)
    refused: int = 0
    under_way: int = 0
    seconds: float = 0.0

    def figures(self, shown: Shown) -> dict[str, float]:
        answered = [each.answered - each.sent for each in self.answers]
        visible = [max(each.answered, shown.at(each)) - each.sent for each in self.answers]
        return {
            "sent_per_second": round((len(self.answers) + self.refused) / self.seconds),
            "accepted_per_second": round(len(self.answers) / self.seconds),
            "refused_share": round(self.refused / (len(self.answers) + self.refused), 3),
            "p50_ms": percentile(answered, 0.5),
            "p99_ms": percentile(answered, 0.99),
            "visible_p50_ms": percentile(visible, 0.5),
            "visible_p99_ms": percentile(visible, 0.99),
        }


async def run(settings: Settings, rates: tuple[int, ...] = RATES, seconds: int = 10) -> dict[str, float]:
    """Milliseconds by rate, what share was refused, and how p99 at the highest rate compares with that before it."""
    figures: dict[str, float] = {}
    async with running(settings, "posting") as system, _looking(system) as shown, system.client() as session:
        requests = _requests(system)
        await _connect(session)
        await send(session, requests, rates[0], 2)
        for rate in rates:
            load = await send(session, requests, rate, seconds)
            await _all_shown(load, shown)
            figures |= {f"{name}_at_{rate}": value for name, value in load.figures(shown).items()}
    last, before = (figures[f"p99_ms_at_{rate}"] for rate in (rates[-1], rates[-2]))
    return figures | {"levels_off": round(last / before, 2)}


def _requests(system: Running) -> Iterator[dict[str, Any]]:
    """A new machine each, of one company after the other."""
    for number, bearer in zip(count(), cycle(system.bearers()), strict=False):
        yield {"url": "/api/v1/equipment", "json": machine(number), "headers": bearer | WAIT}


async def send(session: aiohttp.ClientSession, requests: Iterator[dict[str, Any]], rate: int, seconds: float) -> Load:
    """Send at the rate, whatever comes back, and wait for the answers. A client that cannot keep up sends as fast as it
    can."""
    load, began = Load(), time.perf_counter()
    async with asyncio.TaskGroup() as sending:
        for number in range(round(rate * seconds)):
            now = time.perf_counter() - began
            if now > seconds:
                break
            if number / rate > now:
                await asyncio.sleep(number / rate - now)
            elif number % 20 == 0:
                await asyncio.sleep(0)
            if load.under_way < CONNECTIONS:
                load.under_way += 1
                sending.create_task(_post(session, next(requests), load))
        load.seconds = time.perf_counter() - began
    return load


async def _connect(session: aiohttp.ClientSession) -> None:
    """Open the connections, some at a time, and leave them open."""
    for open_ in range(AT_ONCE, CONNECTIONS + 1, AT_ONCE):
        await asyncio.gather(*(_greet(session) for _ in range(open_)))


async def _greet(session: aiohttp.ClientSession) -> None:
    async with session.get("/health") as answer:
        await answer.read()


async def _post(session: aiohttp.ClientSession, request: dict[str, Any], load: Load) -> None:
    sent = time.perf_counter()
    async with session.post(**request) as answer:
        body = await answer.read()
        load.under_way -= 1
        if answer.status == 503:
            load.refused += 1
        elif answer.status in (200, 201):
            partition, position = map(int, answer.headers["Consistency"].split(":"))
            load.answers.append(Answer(sent, time.perf_counter(), partition, position))
        else:
            raise Fault(f"The API answered {answer.status}: {body.decode()}")


@asynccontextmanager
async def _looking(system: Running) -> AsyncIterator[Shown]:
    """Look every hundredth of a second how far the views have come."""
    shown = Shown()
    looking = asyncio.create_task(_look_for_ever(system.settings.database.get_secret_value(), shown))
    try:
        yield shown
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking


async def _look_for_ever(dsn: str, shown: Shown) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        while True:
            found = await connection.fetch(POSITIONS)
            now = time.perf_counter()
            for partition, position in found:
                shown.look(partition, position, now)
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        connection.terminate()


async def _all_shown(load: Load, shown: Shown) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not all(map(shown.reached, load.answers)):  # noqa: ASYNC110 - the database has no event for us
            await asyncio.sleep(LOOK_SECONDS)
