"""Reading one machine as it was known a while ago beside reading it as it is, after 200 events."""

import time
from collections.abc import Iterator
from datetime import date, timedelta

from agents.projector import BATCH, entry_of
from bench.journals import NOW, database, journal
from domain.equipment import EquipmentCreated, EquipmentEvent, EquipmentMoved, EquipmentRenamed
from topics.settings import Settings
from views import GROUPS
from views.checkpoints import assigned
from views.equipment import EQUIPMENT, EquipmentItem
from views.projecting import apply
from views.reading import Reader, read_engine, reading, write_engine
from views.resource import Moments, Resource, one

COMPANY, OTHERS, EVENTS = "bench", 5_000, 200
KEY = {"equipment_id": "M-0"}


async def run(settings: Settings, reads: int = 500) -> dict[str, float]:
    """Milliseconds for each way of reading, and their ratio."""
    async with database(settings) as dsn:
        await _fill(dsn)
        pool = read_engine(dsn)
        middle = NOW + timedelta(minutes=EVENTS // 2)
        assert EQUIPMENT.at is not None
        then = EQUIPMENT.at(Moments(middle, middle))
        async with reading(pool, COMPANY) as reader:
            for resource in (EQUIPMENT, then):
                await _seconds(reader, resource, reads // 10)
            live, past = await _seconds(reader, EQUIPMENT, reads), await _seconds(reader, then, reads)
        await pool.dispose()
    return {"live_ms": round(live * 1000, 2), "past_ms": round(past * 1000, 2), "ratio": round(past / live, 2)}


async def _seconds(reader: Reader, resource: Resource[EquipmentItem], reads: int) -> float:
    started = time.perf_counter()
    for _ in range(reads):
        assert await one(reader, resource, KEY) is not None
    return (time.perf_counter() - started) / reads


async def _fill(dsn: str) -> None:
    pool = write_engine(dsn)
    records = journal(COMPANY, 0, _events())
    async with pool.connect() as connection:
        for group in (GROUPS["fleet"], GROUPS["history"]):
            async with connection.begin():
                at = await assigned(connection, group.name, 0)
            for start in range(0, len(records), BATCH):
                entries = [entry_of(group, record) for record in records[start : start + BATCH]]
                at = await apply(connection, group, 0, entries, at)
    await pool.dispose()


def _events() -> Iterator[EquipmentEvent]:
    """Many machines, and one that is renamed and moved every minute."""
    for number in range(OTHERS):
        yield EquipmentCreated(
            equipment_id=f"M-{number}",
            name=f"Excavator {number}",
            serial_number=f"EQ-2026-BX-{number:06d}",
            category_id="rig",
            in_service_on=date(2026, 1, 1),
            effective_at=NOW,
        )
    for minute in range(1, EVENTS):
        moment = NOW + timedelta(minutes=minute)
        if minute % 2:
            yield EquipmentRenamed(equipment_id="M-0", name=f"Excavator 0.{minute}", effective_at=moment)
        else:
            yield EquipmentMoved(equipment_id="M-0", place=f"yard-{minute}", effective_at=moment)
