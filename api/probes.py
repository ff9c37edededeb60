"""Whether the process lives, whether it can serve, and how it fares: /health, /ready and /metrics."""

import asyncio
from collections.abc import Iterator

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
        kafka = self._publisher.ready()
        lag, postgres = await self._lag()
        state = {"kafka": "ready" if kafka else "away", "postgres": "ready" if postgres else "away"}
        views = {"views": {group: {"lag": records} for group, records in lag.items()}}
        status = "ready" if kafka and postgres else "not-ready"
        return answered(200 if status == "ready" else 503, {"status": status} | state | views, FRESH)

    async def metrics(self, request: web.Request) -> web.Response:
        """Metrics in Prometheus' text format."""
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST} | FRESH)

    async def _lag(self) -> tuple[dict[str, int | None], bool]:
        """Records not yet folded by view group, None where it cannot be told; and whether PostgreSQL answered."""
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                read = await self._database.next_offsets()
        except (Problem, TimeoutError):
            return dict.fromkeys(GROUPS), False
        return {name: await self._behind(name, read) for name in GROUPS}, True

    async def _behind(self, name: str, read: dict[tuple[str, int], int]) -> int | None:
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                ends = await self._follower.ends(f"{self._prefix}.{GROUPS[name].source}")
        except (KafkaError, OSError, TimeoutError):
            return None
        return sum(end - read.get((name, partition), 0) for partition, end in ends.items())
