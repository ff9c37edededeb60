"""PostgreSQL from the shell's side: faults become sentences."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import asyncpg
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
            asyncpg.UndefinedObjectError,
        ),
    }.items():
        if isinstance(cause, kinds):
            return Fault(f"PostgreSQL at {place(dsn)} {words.format(cause)}")
    if isinstance(cause, asyncpg.PostgresError):
        return Fault(f"PostgreSQL at {place(dsn)} failed: {cause}")
    return Fault(f"PostgreSQL at {place(dsn)} does not answer ({cause or type(cause).__name__}). Does it run?")
