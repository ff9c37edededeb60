"""PostgreSQL from the shell's side: faults become sentences."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from ops.errors import Fault
from topics.settings import Settings


def place(dsn: str) -> str:
    """Where the DSN leads, without its password."""
    parts = urlsplit(dsn)
    host = parts.hostname or dict(p.partition("=")[::2] for p in parts.query.split("&")).get("host", "its socket")
    return f"{host}{f':{parts.port}' if parts.port else ''}{parts.path}"


@contextmanager
def told(settings: Settings) -> Iterator[None]:
    """Faults of the database inside the block say what to do."""
    dsn = settings.database.get_secret_value()
    try:
        yield
    except DBAPIError as fault:
        raise _fault(dsn, fault.orig or fault) from fault
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as fault:
        raise _fault(dsn, fault) from fault


def _fault(dsn: str, fault: BaseException) -> Fault:
    cause = fault.__cause__ or fault
    for words, kinds in {
        "lets nobody in with this user and password ({}). Correct BITCORP_DATABASE.": (
            asyncpg.InvalidAuthorizationSpecificationError,
        ),
        "has no such database ({}). Create it, or correct BITCORP_DATABASE.": (asyncpg.InvalidCatalogNameError,),
        "refuses: {}. BITCORP_DATABASE must name the owner of the schema, who may also create roles: "
        "ALTER ROLE <user> CREATEROLE": (asyncpg.InsufficientPrivilegeError,),
        "lacks something that migrations make: {}. Run: bitcorp migrate": (
            asyncpg.UndefinedTableError,
            asyncpg.InvalidSchemaNameError,
        ),
    }.items():
        if isinstance(cause, kinds):
            return Fault(f"PostgreSQL at {place(dsn)} {words.format(cause)}")
    if isinstance(cause, asyncpg.PostgresError):
        return Fault(f"PostgreSQL at {place(dsn)} failed: {cause}")
    return Fault(f"PostgreSQL at {place(dsn)} does not answer ({cause or type(cause).__name__}). Does it run?")


@dataclass(frozen=True)
class DatabaseFacts:
    """What `bitcorp doctor` asks the database; of each role whether row-level security binds it."""

    place: str
    major: int
    revision: str | None
    required: str
    roles: dict[str, bool]
    now: float


async def facts(dsn: str) -> DatabaseFacts:
    """One connection's look around."""
    from views.migrate import current, required
    from views.reading import engine

    pool = engine(dsn, statement_seconds=10)
    try:
        async with pool.connect() as connection:
            roles = await connection.execute(text("SELECT rolname, rolsuper OR rolbypassrls FROM pg_roles"))
            version = await connection.scalar(text("SHOW server_version_num"))
            return DatabaseFacts(
                place(dsn),
                int(version) // 10_000,
                await current(connection),
                required(),
                {name: not exempt for name, exempt in roles if name.startswith("erp_")},
                float(await connection.scalar(text("SELECT extract(epoch FROM clock_timestamp())"))),
            )
    finally:
        await pool.dispose()
