"""The database schema: which revision it has, which this build needs, and the way from one to the other."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from views.reading import engine
from views.tables import SCHEMA

LOCK = 0x65727001  # any number that all starters share
MIGRATIONS = Path(__file__).parent / "migrations"


class SchemaDiffers(Exception):
    """The database has another schema than this build needs; the text says what to do."""


def configuration() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    return config


def required() -> str:
    """The revision that this build needs."""
    return ScriptDirectory.from_config(configuration()).get_current_head() or ""


async def current(connection: AsyncConnection) -> str | None:
    """The revision that the database has; None for one that was never migrated."""
    return await connection.run_sync(_current)


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection, opts={"version_table_schema": SCHEMA}).get_current_revision()


async def require(dsn: str) -> None:
    """Raises SchemaDiffers unless the database has the schema of this build."""
    pool = engine(dsn)
    try:
        async with pool.connect() as connection:
            found = await current(connection)
    finally:
        await pool.dispose()
    if found == required():
        return
    known = {script.revision for script in ScriptDirectory.from_config(configuration()).walk_revisions()}
    if found is None or found in known:
        raise SchemaDiffers(
            f"The database's views are at revision {found or 'none'}, this build needs {required()}. "
            "Run: bitcorp migrate"
        )
    raise SchemaDiffers(f"The database's views are at revision {found}, which this build does not know. Update it.")


async def upgrade(dsn: str) -> str:
    """Bring the database to this build's schema; gives the revision. Several may call it at once: one does the work."""
    pool = engine(dsn, statement_seconds=0)
    try:
        async with pool.connect() as connection, connection.begin():
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            await connection.run_sync(_upgrade)
    finally:
        await pool.dispose()
    return required()


def _upgrade(connection: Connection) -> None:
    config = configuration()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
