"""Rebuilding a view group from the log beside the live one: compared, swapped, or left alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.rebuild import LogTooShort, Progress, rebuild_view
from domain.equipment import EquipmentRenamed
from tests.domain.acme import ACME, BROKEN, EXCAVATOR, scheduled
from tests.views.journal import Answers, Journal
from topics.cloudevents import Record
from topics.settings import Settings
from views import GROUPS
from views.checkpoints import assigned
from views.equipment import EQUIPMENT
from views.migrate import upgrade
from views.projecting import Entry, apply
from views.reading import engine, read_engine, reading, write_engine
from views.rebuild import RebuildUnderWay, copy_of
from views.resource import page, parse


@dataclass
class Live:
    """A database whose views have followed the log."""

    settings: Settings
    journal: Journal
    owner: AsyncEngine
    writers: AsyncEngine
    producer: AIOKafkaProducer

    async def follow(self, group: str, entries: list[Entry]) -> None:
        async with self.writers.connect() as connection:
            async with connection.begin():
                at = await assigned(connection, group, 0)
            await apply(connection, GROUPS[group], 0, entries, at)

    async def write(self, records: list[Record]) -> None:
        for record in records:
            await self.producer.send(
                record.topic, record.value, record.key, partition=record.partition, headers=list(record.headers)
            )
        await self.producer.flush()

    async def change(self, statement: str) -> None:
        async with self.owner.begin() as connection:
            await connection.execute(text(statement))

    async def names(self) -> list[str]:
        pool = read_engine(self.settings.database.get_secret_value())
        async with reading(pool, "acme") as reader:
            found = await page(reader, EQUIPMENT, parse(EQUIPMENT, [("q", "e")]))
        await pool.dispose()
        return [item.name for item in found.items]

    async def schemas(self) -> set[str]:
        async with self.owner.connect() as connection:
            found = await connection.execute(text("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'erp%'"))
            return set(found.scalars())


@pytest.fixture
async def live(settings: Settings) -> AsyncIterator[Live]:
    dsn = settings.database.get_secret_value()
    await upgrade(dsn)
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka)
    await producer.start()
    made = Live(settings, Journal(topic=f"{settings.prefix}.events"), engine(dsn), write_engine(dsn), producer)
    made.journal.tell(*ACME, EXCAVATOR, scheduled(), EquipmentRenamed(equipment_id="ex-7", name="Old Bess"))
    await made.write(made.journal.records)
    for group in ("fleet", "history"):
        await made.follow(group, made.journal.entries)
    yield made
    await producer.stop()
    await made.owner.dispose()
    await made.writers.dispose()


@pytest.mark.parametrize("group", ["fleet", "history"])
async def test_a_view_that_is_right_is_replaced_by_its_equal(live: Live, group: str) -> None:
    seen: list[Progress] = []
    rebuilt = await rebuild_view(live.settings, group, report=seen.append)
    assert (rebuilt.swapped, rebuilt.messages, rebuilt.differences) == (True, 9, ())
    assert seen[-1] == Progress(9, 9)
    assert await live.names() == ["Old Bess"]
    assert await live.schemas() == {"erp"}


async def test_a_replaced_view_goes_on_from_its_checkpoint(live: Live) -> None:
    await rebuild_view(live.settings, "fleet")
    await live.follow("fleet", live.journal.tell(EquipmentRenamed(equipment_id="ex-7", name="Bess again")))
    assert await live.names() == ["Bess again"]
    assert (await rebuild_view(live.settings, "history")).swapped


async def test_machines_of_a_replaced_view_are_still_counted(live: Live) -> None:
    await rebuild_view(live.settings, "fleet")
    broken = live.journal.tell(BROKEN)
    await live.write(live.journal.records[-1:])
    await live.follow("fleet", broken)
    assert (await rebuild_view(live.settings, "fleet")).differences == ()
    async with live.owner.connect() as connection:
        counted = await connection.execute(text("SELECT status, machines FROM erp.machine_counts"))
        assert counted.all() == [("IN_MAINTENANCE", 1)]


async def test_a_replaced_view_has_the_indexes_and_triggers_that_it_had(live: Live) -> None:
    async def made() -> set[tuple[str, ...]]:
        async with live.owner.connect() as connection:
            indexes = await connection.execute(text("SELECT indexdef, 'I' FROM pg_indexes WHERE schemaname = 'erp'"))
            fires = "SELECT tgname, tgenabled::text FROM pg_trigger WHERE NOT tgisinternal"
            return {tuple(row) for row in (*indexes, *await connection.execute(text(fires)))}

    before = await made()
    assert any("gin_trgm_ops" in index for index, _ in before)
    assert (await rebuild_view(live.settings, "fleet")).swapped
    assert await made() == before


async def test_readers_of_a_replaced_view_go_on_and_see_their_own_company(live: Live) -> None:
    pool = read_engine(live.settings.database.get_secret_value(), connections=1)

    async def seen_by(company: str) -> list[str]:
        async with reading(pool, company) as reader:
            found = await page(reader, EQUIPMENT, parse(EQUIPMENT, []))
        return [item.name for item in found.items]

    for _ in range(2):
        assert await seen_by("acme") == ["Old Bess"]
        assert await seen_by("elsewhere") == []
        await rebuild_view(live.settings, "fleet")
    await pool.dispose()


async def test_a_view_that_differs_is_shown_and_kept(live: Live) -> None:
    await live.change("UPDATE erp.equipment SET name = 'Wrecked'")
    rebuilt = await rebuild_view(live.settings, "fleet")
    assert not rebuilt.swapped
    (difference,) = rebuilt.differences
    assert (difference.table, difference.live.rows, difference.copy.rows) == ("equipment", 1, 1)
    assert [row["name"] for row in difference.only_live] == ["Wrecked"]
    assert [row["name"] for row in difference.only_copy] == ["Old Bess"]
    assert "equipment: 1 rows live, 1 in the copy" in str(difference)
    assert await live.names() == ["Wrecked"]
    assert await live.schemas() == {"erp"}


async def test_changes_are_accepted_on_request(live: Live) -> None:
    await live.change("DELETE FROM erp.maintenance_jobs")
    await live.change("UPDATE erp.equipment SET name = 'Wrecked'")
    rebuilt = await rebuild_view(live.settings, "fleet", accept_changes=True)
    assert rebuilt.swapped
    assert [found.table for found in rebuilt.differences] == ["maintenance_jobs", "equipment"]
    assert await live.names() == ["Old Bess"]


async def cancelled_after(live: Live, messages: int) -> None:
    """A rebuild that is cancelled as soon as its copy holds so many messages."""
    filled = asyncio.Event()

    def look(progress: Progress) -> None:
        if progress.done >= messages:
            filled.set()

    rebuild = asyncio.create_task(rebuild_view(live.settings, "fleet", report=look))
    await asyncio.wait_for(filled.wait(), 60)
    rebuild.cancel()
    with suppress(asyncio.CancelledError):
        await rebuild


async def test_a_cancelled_rebuild_leaves_the_live_tables_as_they_were_and_goes_on_when_called_again(
    live: Live,
) -> None:
    await cancelled_after(live, 9)
    assert await live.schemas() == {"erp", "erp_rebuild_fleet"}
    assert await live.names() == ["Old Bess"]
    await live.follow("fleet", live.journal.tell(EquipmentRenamed(equipment_id="ex-7", name="Bess again")))
    await live.write(live.journal.records[-1:])
    rebuilt = await rebuild_view(live.settings, "fleet")
    assert (rebuilt.swapped, rebuilt.resumed, rebuilt.messages, rebuilt.differences) == (True, 9, 10, ())
    assert await live.names() == ["Bess again"]
    assert await live.schemas() == {"erp"}


async def test_an_interrupted_rebuild_is_begun_anew_on_request(live: Live) -> None:
    await cancelled_after(live, 9)
    rebuilt = await rebuild_view(live.settings, "fleet", afresh=True)
    assert (rebuilt.swapped, rebuilt.resumed, rebuilt.messages) == (True, 0, 9)


async def test_what_another_build_has_begun_is_not_gone_on_with(live: Live) -> None:
    await cancelled_after(live, 9)
    await live.change("COMMENT ON SCHEMA erp_rebuild_fleet IS 'another build'")
    rebuilt = await rebuild_view(live.settings, "fleet")
    assert (rebuilt.swapped, rebuilt.resumed, rebuilt.messages) == (True, 0, 9)


async def test_views_whose_names_have_a_hyphen_are_rebuilt_too(live: Live) -> None:
    assert (await rebuild_view(live.settings, "dead-letters")).swapped
    assert await live.schemas() == {"erp"}


async def test_only_one_rebuild_of_a_group_runs_at_a_time(live: Live) -> None:
    async with copy_of(live.settings.database.get_secret_value(), GROUPS["fleet"]):
        with pytest.raises(RebuildUnderWay, match="fleet is being rebuilt already"):
            await rebuild_view(live.settings, "fleet")
        assert (await rebuild_view(live.settings, "history")).swapped


async def test_what_a_killed_rebuild_left_behind_is_cleared_away(live: Live) -> None:
    await live.change("CREATE SCHEMA erp_rebuild_fleet")
    await live.change("CREATE TABLE erp_rebuild_fleet.equipment (nothing integer)")
    assert (await rebuild_view(live.settings, "fleet")).swapped
    assert await live.schemas() == {"erp"}


async def test_a_projector_goes_on_while_its_group_is_rebuilt(live: Live) -> None:
    stop = asyncio.Event()

    async def project() -> int:
        written = 0
        while not stop.is_set():
            entries = live.journal.tell(EquipmentRenamed(equipment_id="ex-7", name=f"Excavator {written}"))
            await live.write(live.journal.records[-1:])
            await live.follow("fleet", entries)
            assert await live.names() == [f"Excavator {written}"]
            written += 1
        return written

    projecting = asyncio.create_task(project())
    rebuilt = [await rebuild_view(live.settings, "fleet") for _ in range(2)]
    stop.set()
    written = await projecting
    assert written > 0
    assert [found.differences for found in rebuilt] == [(), ()]
    assert await live.names() == [f"Excavator {written - 1}"]


async def test_outcomes_are_rebuilt_as_far_as_their_topic_goes_back(live: Live) -> None:
    answers = Answers(topic=f"{live.settings.prefix}.outcomes")
    old, young = datetime.now(UTC) - timedelta(days=31), datetime.now(UTC)
    entries = [answers.give(uuid4(), recorded_at=at) for at in (old, old, young)]
    await live.follow("outcomes", entries)
    await live.write(answers.records)
    await live.change("DELETE FROM erp.outcomes WHERE ctid IN (SELECT ctid FROM erp.outcomes LIMIT 1)")
    rebuilt = await rebuild_view(live.settings, "outcomes")
    assert (rebuilt.swapped, rebuilt.messages) == (True, 3)


async def test_a_log_that_has_lost_what_the_view_shows_is_refused(live: Live) -> None:
    await live.follow("fleet", live.journal.tell(EquipmentRenamed(equipment_id="ex-7", name="Unwritten")))
    with pytest.raises(LogTooShort, match="gives nothing more"):
        await rebuild_view(live.settings, "fleet", patience_seconds=2)
    assert await live.names() == ["Unwritten"]
    assert await live.schemas() == {"erp"}
