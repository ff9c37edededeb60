"""Whether the process lives, whether it can serve, and how it fares: /health, /ready and /metrics."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress

from aiohttp import web
from aiokafka.errors import KafkaError
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from api.answers import answered
from api.database import Database
from api.outcomes import Follower
from api.problems import Problem
from topics.publisher import Publisher
from topics.settings import Settings
from views import GROUPS

PROBE_SECONDS = 3.0
SOURCES = {group.source for group in GROUPS.values()}
FRESH = {"Cache-Control": "no-store"}


class Probes:
    """/health looks at this process alone, so that an outage elsewhere restarts nothing here."""

    def __init__(self, settings: Settings, publisher: Publisher, follower: Follower, database: Database) -> None:
        self._prefix = settings.prefix
        self._publisher = publisher
        self._follower = follower
        self._database = database

    def routes(self) -> Iterator[web.RouteDef]:
        yield web.get("/health", self.health)
        yield web.get("/ready", self.ready)
        yield web.get("/metrics", self.metrics)

    async def health(self, request: web.Request) -> web.Response:
        """200 while the process answers."""
        return answered(200, {"status": "alive"}, FRESH)

    async def ready(self, request: web.Request) -> web.Response:
        """200 while Kafka takes commands and PostgreSQL answers; else 503 with what is away."""
        kafka, read = self._publisher.ready(), await self._read()
        ready = kafka and read is not None
        lag = await self._lag(read) if kafka and read is not None else dict.fromkeys(GROUPS)
        state = {
            "status": "ready" if ready else "not-ready",
            "kafka": "ready" if kafka else "away",
            "postgres": "ready" if read is not None else "away",
            "views": {group: {"lag": records} for group, records in lag.items()},
        }
        return answered(200 if ready else 503, state, FRESH)

    async def metrics(self, request: web.Request) -> web.Response:
        """Metrics in Prometheus' text format."""
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST} | FRESH)

    async def _read(self) -> dict[tuple[str, int], int] | None:
        """How far each view group has read; None where PostgreSQL does not answer."""
        with suppress(Problem, TimeoutError):
            async with asyncio.timeout(PROBE_SECONDS):
                return await self._database.next_offsets()
        return None

    async def _lag(self, read: dict[tuple[str, int], int]) -> dict[str, int | None]:
        """Records not yet folded by view group; None where Kafka does not tell."""
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                ends = await self._follower.ends(*(self._topic(source) for source in SOURCES))
        except (KafkaError, OSError, TimeoutError):
            return dict.fromkeys(GROUPS)
        return {
            name: sum(
                end - read.get((name, partition), 0)
                for (topic, partition), end in ends.items()
                if topic == self._topic(group.source)
            )
            for name, group in GROUPS.items()
        }

    def _topic(self, source: str) -> str:
        return f"{self._prefix}.{source}"
