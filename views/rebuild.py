"""A second copy of a group's tables beside the live ones: filled from the log, compared with them, swapped with them.

The copy is a schema of its own with the same tables, checkpoints, rights and row-level security. It outlives a rebuild
that was interrupted, so that the next one goes on where that stopped. The schema's comment says of what the copy is
one: a copy that another build has begun, or that was folded from another topic, is worth nothing.
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
    """The second copy of a group. `owner` and `live` see the live tables."""

    group: Group
    schema: str
    owner: AsyncEngine
    live: AsyncEngine

    @property
    def writers(self) -> AsyncEngine:
        """Connections that take the copy's tables for the live ones."""
        return self.live.execution_options(schema_translate_map={SCHEMA: self.schema})

    async def drop(self) -> None:
        """Leave nothing of it."""
        async with self.owner.begin() as connection:
            await connection.execute(text(f'DROP SCHEMA IF EXISTS "{self.schema}" CASCADE'))


def schema_of(group: Group) -> str:
    """The schema of the group's copy."""
    return f"{SCHEMA}_rebuild_{group.name}"


@asynccontextmanager
async def copy_of(dsn: str, group: Group, mark: str = "", *, afresh: bool = False) -> AsyncIterator[Copy]:
    """The copy of the group's tables that has this mark, empty where there was none or it is wanted afresh. It stays
    until it is dropped.

    Raises RebuildUnderWay where somebody else works on it."""
    schema = schema_of(group)
    owner, live = engine(dsn, statement_seconds=0), write_engine(dsn)
    copy = Copy(group, schema, owner, live)
    try:
        async with owner.connect() as guard:
            if not await guard.scalar(text("SELECT pg_try_advisory_lock(hashtext(:schema))"), {"schema": schema}):
                raise RebuildUnderWay(f"The view group {group.name} is being rebuilt already; wait for that to end.")
            try:
                if afresh or await _mark(guard, schema) != mark:
                    await _create(copy, mark)
                yield copy
            finally:
                await guard.execute(text("SELECT pg_advisory_unlock(hashtext(:schema))"), {"schema": schema})
    finally:
        await owner.dispose()
        await live.dispose()


async def _mark(connection: AsyncConnection, schema: str) -> str | None:
    """The mark of the copy that is there; None where there is none, or one that nobody can use."""
    said = await connection.execute(
        text("SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = :schema"),
        {"schema": schema},
    )
    found: str | None = said.scalar()
    return found


async def _create(copy: Copy, mark: str) -> None:
    await copy.drop()
    tables = MetaData()
    for table in (CHECKPOINT, *copy.group.tables):
        table.to_metadata(tables, schema=copy.schema)
    async with copy.owner.begin() as connection:
        await connection.execute(text(f'CREATE SCHEMA "{copy.schema}"'))
        await connection.execute(text(f"COMMENT ON SCHEMA \"{copy.schema}\" IS '{mark}'"))
        await connection.run_sync(tables.create_all)
        await put_off(connection, copy.group, copy.schema)
        for statement in _rights(copy):
            await connection.execute(text(statement))


def _rights(copy: Copy) -> list[str]:
    checkpoint = f"GRANT SELECT, INSERT, UPDATE ON {named(CHECKPOINT, copy.schema)} TO {WRITER}"
    rights = [f'GRANT USAGE ON SCHEMA "{copy.schema}" TO {READER}, {WRITER}, {SEARCHER}, {SIGN_IN}', checkpoint]
    for table in copy.group.tables:
        reader = SIGN_IN if is_secret(table) else READER
        rights += protections(copy.schema, table.name, searched=table.info.get("searched", False), reader=reader)
    return rights


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
    """Put the copy's tables in place of the live ones when the transaction ends; nothing of it is left beside them.
    Raises TablesBusy."""
    for table in copy.group.tables:
        await connection.execute(text(f"ANALYZE {named(table, copy.schema)}"))
    await _lock(connection, ", ".join(named(table) for table in copy.group.tables))
    for table in copy.group.tables:
        await connection.execute(text(f"DROP TABLE {named(table)}"))
        await connection.execute(text(f"ALTER TABLE {named(table, copy.schema)} SET SCHEMA {SCHEMA}"))
    await connection.execute(text(f'DROP SCHEMA "{copy.schema}" CASCADE'))


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
