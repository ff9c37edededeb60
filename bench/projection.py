"""Folding events into views beside plain inserts of the same rows, in the same tables of the same database.

The fold is all that a view worker does but fetching: decode, plan, one transaction per batch with its checkpoint.
"""

import asyncio
import time
from collections.abc import Awaitable
from datetime import date
from typing import Any

import asyncpg
from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.projector import BATCH, TURN, entry_of
from bench.journals import NOW, database, journal
from domain.equipment import EquipmentCreated
from domain.model import Money
from topics.cloudevents import Record
from topics.settings import Settings
from views import GROUPS
from views.checkpoints import assigned
from views.machine_counts import table as COUNTS
from views.projecting import Entry, apply
from views.reading import write_engine
from views.view import Group

PARTITIONS = 3
MEASURED = ("fleet", "history")


async def run(settings: Settings, events: int = 20_000) -> dict[str, float]:
    """Rows per second folded and inserted for each view group, and the ratio over both."""
    async with database(settings) as dsn:
        return await _measure(dsn, events // PARTITIONS)


async def _measure(dsn: str, each: int) -> dict[str, float]:
    records = [journal(f"bench-{partition}", partition, map(created, range(each))) for partition in range(PARTITIONS)]
    pool = write_engine(dsn)
    plain = await asyncpg.connect(dsn, server_settings={"synchronous_commit": "off"})
    found: dict[str, float] = {}
    spent = {"projected": 0.0, "plain": 0.0}
    for group in (GROUPS[name] for name in MEASURED):
        projected = await _timed(_project(pool, group, records))
        rows = [(table, await rows_of(plain, table)) for table in group.tables]
        inserted = await _timed(_insert(plain, [part for part in rows if part[0] is not COUNTS]))
        count = sum(len(part) for _, part in rows)
        found |= {f"{group.name}_projected": round(count / projected), f"{group.name}_plain": round(count / inserted)}
        spent = {"projected": spent["projected"] + projected, "plain": spent["plain"] + inserted}
    await plain.close()
    await pool.dispose()
    return found | {"ratio": round(spent["plain"] / spent["projected"], 2)}


async def _timed(work: Awaitable[None]) -> float:
    started = time.perf_counter()
    await work
    return time.perf_counter() - started


async def _project(pool: AsyncEngine, group: Group, journals: list[list[Record]]) -> None:
    await asyncio.gather(*(_follow(pool, group, records) for records in journals))


async def _follow(pool: AsyncEngine, group: Group, records: list[Record]) -> None:
    partition = records[0].partition
    async with pool.connect() as connection:
        async with connection.begin():
            at = await assigned(connection, group.name, partition)
        for start in range(0, len(records), BATCH):
            at = await apply(connection, group, partition, await _decoded(group, records[start : start + BATCH]), at)


async def _decoded(group: Group, records: list[Record]) -> list[Entry]:
    entries: list[Entry] = []
    for record in records:
        entries.append(entry_of(group, record))
        if len(entries) % TURN == 0:
            await asyncio.sleep(0)
    return entries


def columns(table: Table) -> list[str]:
    """Those that are written."""
    return [column.name for column in table.columns if column.computed is None]


def quoted(table: Table) -> str:
    return ", ".join(f'"{name}"' for name in columns(table))


async def rows_of(connection: Any, table: Table) -> list[tuple[Any, ...]]:
    """What was projected, out of its table again."""
    rows = await connection.fetch(f"SELECT {quoted(table)} FROM {table}")  # noqa: S608
    await connection.execute(f"TRUNCATE {table}")
    return [tuple(row) for row in rows]


async def _insert(connection: Any, parts: list[tuple[Table, list[tuple[Any, ...]]]]) -> None:
    """Each table's rows; what triggers count beside them they count again."""
    for table, rows in parts:
        places = ", ".join(f"${number + 1}" for number in range(len(columns(table))))
        statement = f"INSERT INTO {table} ({quoted(table)}) VALUES ({places})"  # noqa: S608
        for start in range(0, len(rows), BATCH):
            async with connection.transaction():
                await connection.executemany(statement, rows[start : start + BATCH])


def created(number: int) -> EquipmentCreated:
    """A new machine."""
    return EquipmentCreated(
        equipment_id=f"M-{number}",
        name=f"Excavator {number}",
        serial_number=f"EQ-2026-BX-{number:06d}",
        category_id="rig",
        manufacturer="Komatsu",
        model="PC210LC-11",
        in_service_on=date(2026, 1, 1),
        purchase_price=Money(amount="125000.00", currency="EUR"),
        effective_at=NOW,
    )
