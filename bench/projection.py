"""Folding events into views beside plain inserts of the same rows, in the same tables of the same database.

The fold is all that a view worker does but fetching: decode, plan, one transaction per batch with its checkpoint.
"""

import asyncio
import os
import time
from collections.abc import Awaitable
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import NAMESPACE_OID, uuid5

import asyncpg
from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.projector import BATCH, TURN, entry_of
from domain.decider import Actor
from domain.engine import NO_CHAIN, Fact, encode_event
from domain.equipment import EquipmentCreated, equipment
from domain.model import Money
from topics.cloudevents import Record
from topics.messages import CommandMessage, write_event
from topics.settings import Settings
from views import GROUPS
from views.checkpoints import assigned
from views.migrate import upgrade
from views.projecting import Entry, apply
from views.reading import write_engine
from views.view import Group

PARTITIONS = 3
NOW = datetime(2026, 1, 1, tzinfo=UTC)
MEASURED = ("fleet", "history")


async def run(settings: Settings, events: int = 20_000) -> dict[str, float]:
    """Rows per second folded and inserted for each view group, and the ratio over both."""
    dsn = settings.database.get_secret_value()
    name = f"bench_{os.urandom(4).hex()}"
    own = urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))
    server = await asyncpg.connect(dsn)
    await server.execute(f"CREATE DATABASE {name}")
    try:
        await upgrade(own)
        return await _measure(own, events // PARTITIONS)
    finally:
        await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await server.close()


async def _measure(dsn: str, each: int) -> dict[str, float]:
    journal = [_journal(partition, each) for partition in range(PARTITIONS)]
    pool = write_engine(dsn)
    plain = await asyncpg.connect(dsn, server_settings={"synchronous_commit": "off"})
    found: dict[str, float] = {}
    spent = {"projected": 0.0, "plain": 0.0}
    for group, table in ((GROUPS[name], GROUPS[name].tables[-1]) for name in MEASURED):
        projected = await _timed(_project(pool, group, journal))
        rows = await _rows(plain, table)
        inserted = await _timed(_insert(plain, table, rows))
        found[f"{group.name}_projected"] = round(len(rows) / projected)
        found[f"{group.name}_plain"] = round(len(rows) / inserted)
        spent = {"projected": spent["projected"] + projected, "plain": spent["plain"] + inserted}
    await plain.close()
    await pool.dispose()
    return found | {"ratio": round(spent["plain"] / spent["projected"], 2)}


async def _timed(work: Awaitable[None]) -> float:
    started = time.perf_counter()
    await work
    return time.perf_counter() - started


async def _project(pool: AsyncEngine, group: Group, journal: list[list[Record]]) -> None:
    await asyncio.gather(*(_follow(pool, group, records) for records in journal))


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


def _columns(table: Table) -> list[str]:
    return [f'"{column.name}"' for column in table.columns if column.computed is None]


async def _rows(connection: Any, table: Table) -> list[tuple[Any, ...]]:
    """What was projected, out of its table again."""
    rows = await connection.fetch(f"SELECT {', '.join(_columns(table))} FROM {table}")  # noqa: S608
    await connection.execute(f"TRUNCATE {table}")
    return [tuple(row) for row in rows]


async def _insert(connection: Any, table: Table, rows: list[tuple[Any, ...]]) -> None:
    names = _columns(table)
    places = ", ".join(f"${number + 1}" for number in range(len(names)))
    statement = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})"  # noqa: S608
    for start in range(0, len(rows), BATCH):
        async with connection.transaction():
            await connection.executemany(statement, rows[start : start + BATCH])


def _journal(partition: int, count: int) -> list[Record]:
    """Events of one company: machines that were bought."""
    company = f"bench-{partition}"
    records, chain = [], NO_CHAIN
    for number in range(count):
        machine = _machine(number)
        fact = Fact(equipment, machine.equipment_id, 1, machine, encode_event(machine))
        command = CommandMessage(
            uuid5(NAMESPACE_OID, f"{company}/{number}"),
            "bench",
            company,
            equipment.name,
            machine.equipment_id,
            Actor("user", "ann"),
            b"{}",
        )
        record, chain = write_event(fact, command, "bench.events", partition, number + 1, NOW, chain)
        records.append(record._replace(offset=number))
    return records


def _machine(number: int) -> EquipmentCreated:
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
