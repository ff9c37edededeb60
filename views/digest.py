"""Whether two tables hold the same rows, told by a digest; and where they differ, told by samples."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from views.tables import SCHEMA, is_secret

SAMPLES = 5


@dataclass(frozen=True)
class Digest:
    """Number of rows, and the MD5 over all of them in the order of their keys."""

    rows: int
    md5: str


@dataclass(frozen=True)
class Difference:
    """A table that two schemas hold differently; `samples` are rows that only one has, as JSON objects."""

    table: str
    live: Digest
    copy: Digest
    only_live: tuple[Mapping[str, Any], ...] = ()
    only_copy: tuple[Mapping[str, Any], ...] = ()

    def __str__(self) -> str:
        return (
            f"{self.table}: {self.live.rows} rows live, {self.copy.rows} in the copy; "
            f"only live: {list(map(dict, self.only_live))}; only in the copy: {list(map(dict, self.only_copy))}"
        )


def columns(table: Table) -> str:
    """All columns by name: a table that has grown by migrations has them in another order than a new one."""
    return ", ".join(f'"{column.name}"' for column in table.columns)


def named(table: Table, schema: str = SCHEMA) -> str:
    return f'"{schema}"."{table.name}"'


async def digest(connection: AsyncConnection, table: Table, schema: str = SCHEMA) -> Digest:
    """Company by company, so that no company's size but the largest bounds what the database holds in memory."""
    keys = ", ".join(f'"{column.name}"' for column in table.primary_key)
    found = await connection.execute(
        text(
            f"SELECT company_id, count(*), md5(string_agg(md5(ROW({columns(table)})::text), '' ORDER BY {keys})) "  # noqa: S608
            f"FROM {named(table, schema)} GROUP BY company_id ORDER BY company_id"
        )
    )
    rows, md5 = 0, hashlib.md5(usedforsecurity=False)
    for company_id, count, digest_of_company in found:
        rows += count
        md5.update(f"{company_id}:{digest_of_company}\n".encode())
    return Digest(rows, md5.hexdigest())


async def compare(connection: AsyncConnection, table: Table, schema: str) -> Difference | None:
    """How the live table differs from its copy in `schema`; None where it does not."""
    live, copy = await digest(connection, table), await digest(connection, table, schema)
    if live == copy:
        return None
    here, there = (f"SELECT {columns(table)} FROM {named(table, where)}" for where in (SCHEMA, schema))  # noqa: S608
    only_live = await _only(connection, table, here, there)
    return Difference(table.name, live, copy, only_live, await _only(connection, table, there, here))


async def _only(connection: AsyncConnection, table: Table, one: str, other: str) -> tuple[Mapping[str, Any], ...]:
    found = await connection.execute(
        text(f"SELECT to_jsonb(t) FROM ({one} EXCEPT {other} LIMIT {SAMPLES}) AS t")  # noqa: S608
    )
    return tuple(shown(table, row) for row in found.scalars())


def shown(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    """What may be shown of a row: of a secret table's its key alone."""
    keys = {column.name for column in table.primary_key}
    return {name: value for name, value in row.items() if name in keys or not is_secret(table)}
