"""What the benchmarks of views share: a database of their own, and journals put together by hand."""

import os
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from urllib.parse import urlsplit, urlunsplit
from uuid import NAMESPACE_OID, uuid5

import asyncpg

from domain.decider import Actor
from domain.engine import NO_CHAIN, Fact, encode_event
from domain.equipment import EquipmentEvent, equipment
from topics.cloudevents import Record
from topics.messages import CommandMessage, write_event
from topics.settings import Settings
from views.migrate import upgrade

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@asynccontextmanager
async def database(settings: Settings) -> AsyncIterator[str]:
    """The DSN of a database with the views' schema, dropped afterwards."""
    dsn = settings.database.get_secret_value()
    name = f"bench_{os.urandom(4).hex()}"
    own = urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))
    server = await asyncpg.connect(dsn)
    await server.execute(f"CREATE DATABASE {name}")
    try:
        await upgrade(own)
        yield own
    finally:
        await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await server.close()


def journal(company: str, partition: int, events: Iterable[EquipmentEvent]) -> list[Record]:
    """Events of one company's machines as records of its partition."""
    records: list[Record] = []
    versions: Counter[str] = Counter()
    chain = NO_CHAIN
    for number, event in enumerate(events):
        about = event.equipment_id
        versions[about] += 1
        fact = Fact(equipment, about, versions[about], event, encode_event(event))
        command_id = str(uuid5(NAMESPACE_OID, f"{company}/{number}"))
        command = CommandMessage(command_id, "bench", company, equipment.name, about, Actor("user", "ann"), b"{}")
        moment = event.effective_at or NOW
        record, chain = write_event(fact, command, "bench.events", partition, number + 1, moment, chain)
        records.append(record._replace(offset=number))
    return records
