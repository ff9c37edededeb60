"""Migrations lead to exactly the tables that the code declares, whoever runs them and however often."""

import asyncio
from typing import Any

import asyncpg
import pytest
from sqlalchemy import MetaData

from views import migrate
from views.reading import engine
from views.tables import METADATA, SCHEMA

COLUMNS = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull, a.attgenerated,
    CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::regcollation::text END AS collation,
    pg_get_expr(d.adbin, d.adrelid) AS default
FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_type AS t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = $1::text::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND c.relname <> 'alembic_version'
ORDER BY 1, 2
"""
INDEXES = "SELECT indexdef FROM pg_indexes WHERE schemaname = $1 AND tablename <> 'alembic_version' ORDER BY 1"


async def shape(connection: "asyncpg.Connection[asyncpg.Record]", schema: str) -> tuple[Any, Any]:
    columns = [tuple(row) for row in await connection.fetch(COLUMNS, schema)]
    indexes = [row[0].replace(f"{schema}.", f"{SCHEMA}.") for row in await connection.fetch(INDEXES, schema)]
    return columns, sorted(indexes)


async def test_the_migrated_tables_are_those_that_the_code_declares(database: str) -> None:
    await migrate.upgrade(database)
    declared = MetaData()
    for table in METADATA.tables.values():
        table.to_metadata(declared, schema="declared")
    pool = engine(database)
    async with pool.begin() as owner:
        await owner.exec_driver_sql("CREATE SCHEMA declared")
        await owner.run_sync(declared.create_all)
    await pool.dispose()
    connection = await asyncpg.connect(database)
    assert await shape(connection, SCHEMA) == await shape(connection, "declared")
    await connection.close()


async def test_two_starters_migrate_once(database: str) -> None:
    found = await asyncio.gather(*(migrate.upgrade(database) for _ in range(3)))
    assert set(found) == {migrate.required()}
    await migrate.require(database)


async def test_a_database_without_views_is_refused_with_the_command_that_makes_them(database: str) -> None:
    with pytest.raises(migrate.SchemaDiffers, match=r"at revision none, .* Run: bitcorp migrate"):
        await migrate.require(database)


async def test_a_database_of_a_newer_build_is_left_alone(database: str) -> None:
    await migrate.upgrade(database)
    connection = await asyncpg.connect(database)
    await connection.execute("UPDATE erp.alembic_version SET version_num = 'later'")
    await connection.close()
    with pytest.raises(migrate.SchemaDiffers, match="at revision later, which this build does not know"):
        await migrate.require(database)


async def test_an_owner_who_is_no_superuser_can_migrate_and_work(database: str) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute("DROP ROLE IF EXISTS plain_owner")
    await connection.execute("CREATE ROLE plain_owner LOGIN CREATEROLE PASSWORD 'plain'")
    for role in ("erp_reader", "erp_writer", "erp_search"):
        await connection.execute(
            f"DO $$ BEGIN CREATE ROLE {role} NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        )
        await connection.execute(f"GRANT {role} TO plain_owner WITH ADMIN OPTION")
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute(f"ALTER DATABASE {name} OWNER TO plain_owner")
    dsn = database.replace("//postgres@", "//plain_owner@")
    await migrate.upgrade(dsn)
    await migrate.require(dsn)
    owner = await connection.fetchval("SELECT tableowner FROM pg_tables WHERE tablename = 'equipment'")
    assert owner == "plain_owner"
    await connection.execute(f"ALTER DATABASE {name} OWNER TO postgres")
    await connection.execute("REASSIGN OWNED BY plain_owner TO postgres")
    await connection.execute("DROP OWNED BY plain_owner")
    await connection.execute("DROP ROLE plain_owner")
    await connection.close()
