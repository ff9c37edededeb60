"""A second copy of a group's tables beside the live ones: filled from the log, compared with them, swapped with them.

The copy is a schema of its own with the same tables, checkpoints, rights and row-level security.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import MetaData, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from views.checkpoints import Checkpoint, read
from views.deferred import count, make_indexes, put_off
from views.digest import Difference, compare, named
from views.protection import READER, SEARCHER, SIGN_IN, WRITER, protections
from views.reading import engine, write_engine
from views.tables import CHECKPOINT, SCHEMA, is_secret
from views.view import Group

#: How often, and how long apart, the live tables are asked for until no reader is just then in one of them.
ATTEMPTS, PAUSE_SECONDS = 200, 0.05
LOCK_NOT_AVAILABLE = "55P03"


class RebuildUnderWay(Exception):
    """Another rebuild of this group works in the same schema."""


class TablesBusy(Exception):
    """Readers never left all tables of the group at once; nothing was changed, and the rebuild may be run again."""


@dataclass(frozen=True)
class Copy:
    """The second copy of a group; it lives as long as `copy_of` is open. `owner` and `live` see the live tables."""

    group: Group
    schema: str
    owner: AsyncEngine
    live: AsyncEngine

    @property
    def writers(self) -> AsyncEngine:
        """Connections that take the copy's tables for the live ones."""
        return self.live.execution_options(schema_translate_map={SCHEMA: self.schema})


@asynccontextmanager
async def copy_of(dsn: str, group: Group) -> AsyncIterator[Copy]:
    """An empty copy of the group's tables, dropped at the end. Raises RebuildUnderWay where there is one already."""
    schema = f"{SCHEMA}_rebuild_{group.name}"
    owner, live = engine(dsn, statement_seconds=0), write_engine(dsn)
    copy = Copy(group, schema, owner, live)
    try:
        async with owner.connect() as guard:
            if not await guard.scalar(text("SELECT pg_try_advisory_lock(hashtext(:schema))"), {"schema": schema}):
                raise RebuildUnderWay(f"The view group {group.name} is being rebuilt already; wait for that to end.")
            try:
                await _create(copy)
                yield copy
            finally:
                await _drop(copy)
                await guard.execute(text("SELECT pg_advisory_unlock(hashtext(:schema))"), {"schema": schema})
    finally:
        await owner.dispose()
        await live.dispose()


async def _create(copy: Copy) -> None:
    await _drop(copy)
    tables = MetaData()
    for table in (CHECKPOINT, *copy.group.tables):
        table.to_metadata(tables, schema=copy.schema)
    async with copy.owner.begin() as connection:
        await connection.execute(text(f"CREATE SCHEMA {copy.schema}"))
        await connection.run_sync(tables.create_all)
        await put_off(connection, copy.group, copy.schema)
        for statement in _rights(copy):
            await connection.execute(text(statement))


def _rights(copy: Copy) -> list[str]:
    checkpoint = f"GRANT SELECT, INSERT, UPDATE ON {named(CHECKPOINT, copy.schema)} TO {WRITER}"
    rights = [f"GRANT USAGE ON SCHEMA {copy.schema} TO {READER}, {WRITER}, {SEARCHER}, {SIGN_IN}", checkpoint]
    for table in copy.group.tables:
        reader = SIGN_IN if is_secret(table) else READER
        rights += protections(copy.schema, table.name, searched=table.info.get("searched", False), reader=reader)
    return rights


async def _drop(copy: Copy) -> None:
    async with copy.owner.begin() as connection:
        await connection.execute(text(f"DROP SCHEMA IF EXISTS {copy.schema} CASCADE"))


@asynccontextmanager
async def stopped(copy: Copy) -> AsyncIterator[tuple[AsyncConnection, dict[int, Checkpoint]]]:
    """One transaction in which the live group does not move, with its checkpoints."""
    async with copy.owner.begin() as connection:
        yield connection, await read(connection, copy.group.name, lock=True)


async def index(copy: Copy) -> None:
    """Make the indexes that filling the copy goes without."""
    async with copy.owner.begin() as connection:
        await make_indexes(connection, copy.group, copy.schema)


async def differences(connection: AsyncConnection, copy: Copy) -> tuple[Difference, ...]:
    """How the live tables differ from the copy, which is complete now; both must be at the same positions."""
    await count(connection, copy.group, copy.schema)
    await connection.execute(text(f"SET LOCAL ROLE {WRITER}"))
    found = [await compare(connection, table, copy.schema) for table in copy.group.tables]
    await connection.execute(text("RESET ROLE"))
    return tuple(difference for difference in found if difference is not None)


async def swap(connection: AsyncConnection, copy: Copy) -> None:
    """Put the copy's tables in place of the live ones when the transaction ends. Raises TablesBusy."""
    for table in copy.group.tables:
        await connection.execute(text(f"ANALYZE {named(table, copy.schema)}"))
    await _lock(connection, ", ".join(named(table) for table in copy.group.tables))
    for table in copy.group.tables:
        await connection.execute(text(f"DROP TABLE {named(table)}"))
        await connection.execute(text(f"ALTER TABLE {named(table, copy.schema)} SET SCHEMA {SCHEMA}"))


async def _lock(connection: AsyncConnection, tables: str) -> None:
    """All tables or none: who held one while waiting for another could deadlock with a reader of both."""
    for _ in range(ATTEMPTS):
        try:
            async with connection.begin_nested():
                await connection.execute(text(f"LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE NOWAIT"))
            return
        except DBAPIError as fault:
            if getattr(fault.orig, "sqlstate", "") != LOCK_NOT_AVAILABLE:
                raise
        await asyncio.sleep(PAUSE_SECONDS)
    raise TablesBusy(f"Readers never left {tables} at once for {ATTEMPTS * PAUSE_SECONDS:.0f} s. Run it again later.")
