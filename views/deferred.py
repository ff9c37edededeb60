"""What a rebuild's copy does once, at its end, instead of with every row: indexes for searching, and counting.

Both cost more than all the rest of a row. No projection reads what they give.
"""

from collections.abc import Iterator

from sqlalchemy import Index, Table, insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from views.digest import named
from views.tables import SCHEMA
from views.view import Group


async def put_off(connection: AsyncConnection, group: Group, schema: str) -> None:
    """Drop the copy's indexes for searching, and let its triggers rest."""
    for table in group.tables:
        await connection.execute(text(f"ALTER TABLE {named(table, schema)} DISABLE TRIGGER USER"))
    for index in _for_searching(group):
        await connection.execute(text(f'DROP INDEX "{schema}"."{index.name}"'))


async def make_indexes(connection: AsyncConnection, group: Group, schema: str) -> None:
    """Make the indexes that were put off, of all rows that there are; what is there stays."""
    own = await connection.execution_options(schema_translate_map={SCHEMA: schema})
    for index in _for_searching(group):
        await own.run_sync(index.create, checkfirst=True)


async def count(connection: AsyncConnection, group: Group, schema: str) -> None:
    """Count what triggers would have counted; from now on they do."""
    for table in group.tables:
        if "counts" in table.info:
            await _count(connection, table, schema)
        await connection.execute(text(f"ALTER TABLE {named(table, schema)} ENABLE TRIGGER USER"))


async def _count(connection: AsyncConnection, table: Table, schema: str) -> None:
    counted = insert(table).from_select([column.name for column in table.columns], table.info["counts"])
    await connection.execute(counted, execution_options={"schema_translate_map": {SCHEMA: schema}})


def _for_searching(group: Group) -> Iterator[Index]:
    every = (index for table in group.tables for index in table.indexes)
    return (index for index in every if index.dialect_options["postgresql"]["using"] == "gin")
