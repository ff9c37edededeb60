"""Connections to the views: as the reader of one company, or as the projector.

PostgreSQL's row-level security is the second lock behind the readers' own filters: the reader's role sees rows of the
company that its transaction has named, and none before that.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from views.protection import READER, SIGN_IN, WRITER

#: Both for the transaction that it begins, in one go.
READ_ONLY = text("SELECT set_config('transaction_read_only', 'on', true), set_config('erp.company', :company, true)")


@dataclass(frozen=True)
class Reader:
    """A transaction that sees one company."""

    connection: AsyncConnection
    company_id: str


def engine(
    dsn: str, role: str | None = None, *, connections: int = 10, statement_seconds: float = 30, **parameters: str
) -> AsyncEngine:
    """A pool on the DSN (asyncpg's spelling) whose connections act as `role`; None is the owner. `parameters` are
    PostgreSQL's own."""
    settings = {"statement_timeout": str(int(statement_seconds * 1000)), "timezone": "UTC", **parameters}
    if role is not None:
        settings["role"] = role

    async def connect() -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(dsn, server_settings=settings, timeout=10)

    return create_async_engine(
        "postgresql+asyncpg://", async_creator=connect, pool_size=connections, max_overflow=0, pool_timeout=10
    )


def read_engine(dsn: str, *, connections: int = 10) -> AsyncEngine:
    """The pool that API processes use; no statement runs longer than ten seconds, and most for less time than it takes
    to compile them."""
    return engine(dsn, READER, connections=connections, statement_seconds=10, jit="off")


def sign_in_engine(dsn: str, *, connections: int = 4) -> AsyncEngine:
    """The pool that reads what passwords are compared with."""
    return engine(dsn, SIGN_IN, connections=connections, statement_seconds=10)


def write_engine(dsn: str, *, connections: int = 4) -> AsyncEngine:
    """The pool that projectors use. They need no wait for the disk: checkpoint and rows are lost together, if ever,
    and the log still has what is to be read again."""
    return engine(dsn, WRITER, connections=connections, statement_seconds=60, synchronous_commit="off")


def watch_engine(dsn: str) -> AsyncEngine:
    """One connection that reads the rows of all companies, again and again; what it asks takes less time to run than
    to compile."""
    parameters = {"default_transaction_read_only": "on", "jit": "off"}
    return engine(dsn, WRITER, connections=1, statement_seconds=60, **parameters)


@asynccontextmanager
async def reading(pool: AsyncEngine, company_id: str) -> AsyncIterator[Reader]:
    """One read-only transaction on behalf of one company. The company leaves the connection with the transaction."""
    async with pool.connect() as connection, connection.begin():
        await connection.execute(READ_ONLY, {"company": company_id})
        yield Reader(connection, company_id)
