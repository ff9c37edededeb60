"""What benchmarks of the API share: lanes, views and API as processes, with topics and a database of their own."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp
import asyncpg
from pydantic import SecretStr

from api.tokens import mint
from bench.job_j import COMPANIES, commands
from bench.journals import database
from bench.latency import OPENING
from bench.workers import LOOK_AGAIN_SECONDS, outcomes_reach, publish, with_prefix, worker
from domain.decider import Actor
from ops.embedded.ports import free_ports
from ops.errors import Fault
from topics.provision import create_topics
from topics.settings import Settings

PATIENCE_SECONDS = 60.0
KINDS = ("lanes", "views", "api")
#: A benchmark is one address with many connections, and asks as often as it likes.
UNLIMITED: dict[str, str | int] = {"rate_limits": "", "address_connections": 100_000}
SHOWN = "SELECT sum(position)::bigint FROM erp.view_checkpoint WHERE view_group = 'fleet'"


@dataclass(frozen=True)
class Running:
    """A system with the companies of job J open; `pids` are those of lanes, views and API."""

    settings: Settings
    pids: dict[str, int]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings.api_port}"

    def client(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(self.url, connector=aiohttp.TCPConnector(limit=0))

    def bearer(self, company_id: str) -> dict[str, str]:
        """The header that opens the API to the company's admin."""
        return {"Authorization": f"Bearer {mint(self.settings, Actor('user', 'ann'), company_id)}"}

    def bearers(self) -> list[dict[str, str]]:
        """The same for each company of job J."""
        return [self.bearer(f"bench-{number}") for number in range(COMPANIES)]


@asynccontextmanager
async def running(settings: Settings, name: str) -> AsyncIterator[Running]:
    """One worker of each kind and an API, with the companies and categories of job J in the views."""
    async with database(settings) as dsn:
        own = {"database": SecretStr(dsn), "api_port": free_ports(1)[0], **UNLIMITED}
        settings = with_prefix(settings, name).model_copy(update=own)
        create_topics(settings)
        async with AsyncExitStack() as processes:
            pids = {kind: await processes.enter_async_context(worker(settings, kind)) for kind in KINDS}
            system = Running(settings, pids)
            await publish(settings, commands(0))
            await outcomes_reach(settings, OPENING)
            await until_shown(dsn, OPENING)
            await _until_ready(system)
            yield system


async def until_shown(dsn: str, events: int) -> None:
    """Return once so many positions of the journal are in the views."""
    connection = await asyncpg.connect(dsn)
    try:
        while (await connection.fetchval(SHOWN) or 0) < events:  # noqa: ASYNC110 - the database has no event for us
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
    finally:
        await connection.close()


async def _until_ready(system: Running) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    async with system.client() as session:
        while not await _is_ready(session):
            if time.monotonic() > deadline:
                raise Fault(f"The API was not ready within {PATIENCE_SECONDS:.0f} s.")
            await asyncio.sleep(LOOK_AGAIN_SECONDS)


async def _is_ready(session: aiohttp.ClientSession) -> bool:
    try:
        async with session.get("/ready") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False
