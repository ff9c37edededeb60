"""The views against a fold of their own: tables beside the live ones, in a transaction that is rolled back.

The fold stops where the live view's checkpoint stands in the same snapshot, so projectors may go on meanwhile.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeAlias

import asyncpg
from confluent_kafka import Consumer
from sqlalchemy import Table

from agents.projector import entry_of
from ops.audit.findings import Check, Findings
from ops.records import bounds, consumer, partitions, read
from topics.cloudevents import Malformed, Record
from topics.settings import Settings
from views import GROUPS
from views.digest import shown
from views.projecting import Entry, runs
from views.protection import WRITER
from views.tables import SCHEMA
from views.view import Content, Group

SHADOW = "erp_verify"
TRIGGERS = """
SELECT pg_get_triggerdef(trigger.oid) AS definition
FROM pg_trigger AS trigger JOIN pg_class AS class ON class.oid = tgrelid
WHERE relnamespace = $1::text::regnamespace AND NOT tgisinternal
"""
AT_ONCE = 2000
#: Rows that are about to expire may be gone on one side already.
MARGIN = "1 day"

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


async def audit_views(settings: Settings) -> Findings:
    """Fold events and outcomes into shadow tables and compare each table row by row."""
    findings = Findings()
    connection = await asyncpg.connect(settings.database.get_secret_value(), timeout=10)
    try:
        transaction = connection.transaction(isolation="repeatable_read")
        await transaction.start()
        try:
            await _make_shadow(connection)
            with consumer(settings) as reader:
                await _fold(connection, reader, settings, findings)
            for group in GROUPS.values():
                for view in group.views:
                    await _compare(connection, group, view.table, findings)
        finally:
            await transaction.rollback()
    finally:
        await connection.close()
    return findings


async def _make_shadow(connection: Connection) -> None:
    """Empty tables of the same shape, with their keys and triggers and no other index; the projectors' role fills and
    compares."""
    await connection.execute(f"CREATE SCHEMA {SHADOW}")
    for table in _tables():
        name = f'{SHADOW}."{table.name}"'
        keys = ", ".join(f'"{column.name}"' for column in table.primary_key)
        shape = "INCLUDING DEFAULTS INCLUDING GENERATED"
        await connection.execute(f'CREATE TABLE {name} (LIKE {SCHEMA}."{table.name}" {shape}, PRIMARY KEY ({keys}))')
    for trigger in await connection.fetch(TRIGGERS, SCHEMA):
        await connection.execute(trigger["definition"].replace(f" ON {SCHEMA}.", f" ON {SHADOW}.", 1))
    await connection.execute(f"GRANT USAGE ON SCHEMA {SHADOW} TO {WRITER}")
    await connection.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA {SHADOW} TO {WRITER}")
    await connection.execute(f"SET LOCAL ROLE {WRITER}")
    # Plans are made while the tables are empty, when reading a whole table looks cheapest. Forbidding that makes plans
    # look dear enough to be compiled, which takes seconds.
    await connection.execute("SET LOCAL enable_seqscan = off; SET LOCAL jit = off")


def _tables() -> Iterator[Table]:
    return (table for group in GROUPS.values() for table in group.tables)


async def _fold(connection: Connection, reader: Consumer, settings: Settings, findings: Findings) -> None:
    for source in {group.source for group in GROUPS.values()}:
        groups = [group for group in GROUPS.values() if group.source == source]
        topic = f"{settings.prefix}.{source}"
        for partition in partitions(reader, topic):
            at = {group.name: await _checkpoint(connection, group, partition) for group in groups}
            kept = bounds(reader, topic, partition)
            entries = _entries(groups[0], read(reader, topic, partition, kept.first, kept.end), findings)
            for chunk in _chunks(entries):
                for group in groups:
                    await _apply(connection, group, (e.content for e in chunk if e.position <= at[group.name]))


async def _checkpoint(connection: Connection, group: Group, partition: int) -> int:
    question = f"SELECT position FROM {SCHEMA}.view_checkpoint WHERE view_group = $1 AND partition = $2"  # noqa: S608
    return await connection.fetchval(question, group.name, partition) or 0


def _entries(group: Group, records: Iterable[Record], findings: Findings) -> Iterator[Entry]:
    """What can be read, each position once."""
    last = 0
    for record in records:
        try:
            entry = entry_of(group, record)
        except (Malformed, KeyError, ValueError) as fault:
            findings.fault(Check.VIEWS, f"{record.topic}/{record.partition} offset {record.offset}: {fault}")
            continue
        if entry.position > last:
            yield entry
            last = entry.position


def _chunks(entries: Iterator[Entry]) -> Iterator[list[Entry]]:
    while chunk := list(islice(entries, AT_ONCE)):
        yield chunk


async def _apply(connection: Connection, group: Group, contents: Iterable[Content]) -> None:
    for statement, rows in runs(group, contents):
        await connection.executemany(statement.text(SHADOW), rows)


async def _compare(connection: Connection, group: Group, table: Table, findings: Findings) -> None:
    given = [] if group.keeps is None else [group.keeps]
    live, fold = (_select(schema, table, bool(given)) for schema in (SCHEMA, SHADOW))
    findings.saw(Check.VIEWS, await connection.fetchval(fold.replace("*", "count(*)", 1), *given))
    keys = [column.name for column in table.primary_key]
    for what, ours, theirs in (("the fold has", fold, live), ("the view has", live, fold)):
        for row in await connection.fetch(f"{ours} EXCEPT ALL {theirs}", *given):
            place = "/".join(str(row[key]) for key in keys)
            findings.fault(Check.VIEWS, f"{table.name} {place}: {what} {_plain(shown(table, dict(row)))}")


def _select(schema: str, table: Table, expires: bool) -> str:
    lasting = f" WHERE recorded_at > now() - $1::interval + interval '{MARGIN}'" if expires else ""
    return f'SELECT * FROM {schema}."{table.name}"{lasting}'  # noqa: S608


def _plain(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in row.items() if value is not None)
