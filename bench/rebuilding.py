"""A view group folded again from the journal, compared with the live one and swapped, beside COPY of the same rows."""

import time

import asyncpg
from pydantic import SecretStr

from agents.rebuild import rebuild_view
from bench.journals import database, journal
from bench.projection import columns, created, rows_of
from bench.workers import append, with_prefix
from ops.errors import Fault
from topics.catalogue import EVENTS
from topics.provision import create_topics
from topics.settings import Settings
from views import GROUPS
from views.machine_counts import table as COUNTS
from views.tables import SCHEMA

GROUP = "fleet"


async def run(settings: Settings, events: int = 60_000) -> dict[str, float]:
    """Events per second of a rebuild, rows per second of COPY into the same tables, and the ratio of the two."""
    async with database(settings) as dsn:
        settings = with_prefix(settings, "rebuilding").model_copy(update={"database": SecretStr(dsn)})
        create_topics(settings)
        each = events // settings.partitions
        for partition in range(settings.partitions):
            records = journal(f"bench-{partition}", partition, map(created, range(each)))
            await append(settings, (record._replace(topic=EVENTS.named(settings.prefix)) for record in records))
        await _put_checkpoints(dsn, settings.partitions, each)
        await rebuild_view(settings, GROUP, accept_changes=True)  # where there was nothing live
        began = time.perf_counter()
        rebuilt = await rebuild_view(settings, GROUP)
        took = time.perf_counter() - began
        if not rebuilt.swapped:
            raise Fault(f"The rebuilt view differs: {rebuilt.differences}")
        copied = await _copy(dsn)
    rates = {"events_per_second": round(rebuilt.messages / took), "copy_per_second": round(copied)}
    return rates | {"events": rebuilt.messages, "ratio": round(rebuilt.messages / took / copied, 2)}


async def _put_checkpoints(dsn: str, partitions: int, position: int) -> None:
    """As if the live group had shown everything: a rebuild goes as far as that."""
    connection = await asyncpg.connect(dsn)
    rows = [(GROUP, partition, position, position) for partition in range(partitions)]
    await connection.copy_records_to_table("view_checkpoint", records=rows, schema_name=SCHEMA)
    await connection.close()


async def _copy(dsn: str) -> float:
    """Rows per second of COPY into the tables, which are emptied first; what triggers count they count again."""
    connection = await asyncpg.connect(dsn, server_settings={"synchronous_commit": "off"})
    tables = [table for table in GROUPS[GROUP].tables if table is not COUNTS]
    parts = [(table, await rows_of(connection, table)) for table in tables]
    began = time.perf_counter()
    for table, rows in parts:
        names = columns(table)
        await connection.copy_records_to_table(table.name, records=rows, columns=names, schema_name=SCHEMA)
    took = time.perf_counter() - began
    await connection.close()
    return sum(len(rows) for _, rows in parts) / took
