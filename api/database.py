"""The views as the API reads them: one company at a time, and a problem where PostgreSQL is away."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import asyncpg
import structlog
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine

from api.problems import database_away, views_behind
from topics.settings import Settings
from views.reading import Reader, read_engine, reading
from views.tables import CHECKPOINT

RETRY_SECONDS = 5
FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.25
AWAY = (OSError, TimeoutError, PoolTimeout, asyncpg.PostgresError, asyncpg.InterfaceError)

#: The company of transactions that read no company's rows.
NOBODY = ""

log = structlog.get_logger(__name__)

T = TypeVar("T")


class Database:
    """A pool that may be empty: PostgreSQL can come and go while the process stays."""

    def __init__(self, settings: Settings, pool: Callable[[str], AsyncEngine] = read_engine) -> None:
        """Nothing is opened yet. `pool` makes connections of the role that shall read."""
        self._pool = pool(settings.database.get_secret_value())

    async def stop(self) -> None:
        await self._pool.dispose()

    async def read(self, company_id: str, work: Callable[[Reader], Awaitable[T]]) -> T:
        """What `work` reads in one transaction of the company. Raises the problem `database-away`."""
        async with _translated():
            try:
                return await self._once(company_id, work)
            except DBAPIError as fault:
                if not fault.connection_invalidated:
                    raise
            return await self._once(company_id, work)  # a pooled connection had died; a new one tells

    async def _once(self, company_id: str, work: Callable[[Reader], Awaitable[T]]) -> T:
        async with reading(self._pool, company_id) as reader:
            return await work(reader)

    async def reached(self, groups: frozenset[str], partition: int, position: int, patience: float) -> None:
        """Return when every view group has come to the position. Raises the problem `views-behind` when it is over."""
        deadline = time.monotonic() + patience
        pause = FIRST_PAUSE
        while (behind := await self._behind(groups, partition, position)) and time.monotonic() < deadline:
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        if behind:
            raise views_behind(
                f"{', '.join(sorted(behind))} has not reached position {position} of partition {partition}.",
                headers={"Retry-After": str(RETRY_SECONDS)},
            )

    async def _behind(self, groups: frozenset[str], partition: int, position: int) -> frozenset[str]:
        there = select(CHECKPOINT.c.view_group).where(
            CHECKPOINT.c.partition == partition, CHECKPOINT.c.position >= position
        )

        async def read(reader: Reader) -> frozenset[str]:
            return groups - set((await reader.connection.execute(there)).scalars())

        return await self.read(NOBODY, read)

    async def next_offsets(self) -> dict[tuple[str, int], int]:
        """For each view group and partition the offset that it will read next."""
        columns = select(CHECKPOINT.c.view_group, CHECKPOINT.c.partition, CHECKPOINT.c.next_offset)

        async def read(reader: Reader) -> dict[tuple[str, int], int]:
            return {(group, number): offset for group, number, offset in await reader.connection.execute(columns)}

        return await self.read(NOBODY, read)


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    try:
        yield
    except (*AWAY, DBAPIError) as fault:
        if isinstance(fault, DBAPIError) and not _is_away(fault):
            raise
        log.warning("database-away", reason=repr(fault))
        raise database_away(headers={"Retry-After": str(RETRY_SECONDS)}) from fault


def _is_away(fault: DBAPIError) -> bool:
    """Connection lost, server stopping or short of resources, statement stopped by its timeout."""
    return fault.connection_invalidated or str(getattr(fault.orig, "sqlstate", ""))[:2] in ("08", "53", "57")
