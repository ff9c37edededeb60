"""The view worker against real Kafka and PostgreSQL: each message changes the views once, whatever happens to it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from domain.equipment import EquipmentRenamed
from domain.model import Event
from ops.embedded import Stack
from tests.domain.acme import ACME, EXCAVATOR, scheduled
from tests.views.journal import Answers, Journal
from topics.cloudevents import Record
from topics.settings import Settings
from views.migrate import upgrade

PATIENCE_SECONDS = 60.0
RUN = (
    "import sys; from agents.project import main; from topics.settings import Settings; main(Settings(), sys.argv[1:])"
)


async def until(fact: Callable[[], Awaitable[Any]], what: str) -> Any:
    """The fact as soon as it is true; fails when it does not become so."""
    async with asyncio.timeout(PATIENCE_SECONDS) as deadline:
        while True:
            found = await fact()
            if found:
                return found
            assert not deadline.expired(), what
            await asyncio.sleep(0.05)


@dataclass
class Site:
    """The topics and the database of a test, and the workers that it has started."""

    settings: Settings
    database: "asyncpg.Connection[asyncpg.Record]"
    producer: AIOKafkaProducer
    log: Path
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *groups: str) -> subprocess.Popen[bytes]:
        given = self.settings.model_dump(include={"kafka", "prefix", "partitions", "directory"})
        variables = {f"BITCORP_{name.upper()}": str(value) for name, value in given.items()}
        variables["BITCORP_DATABASE"] = self.settings.database.get_secret_value()
        variables["BITCORP_SESSION_SECONDS"] = "6"
        with self.log.open("ab") as log:
            worker = subprocess.Popen([sys.executable, "-c", RUN, *groups], env=os.environ | variables, stderr=log)
        self.workers.append(worker)
        return worker

    async def write(self, *records: Record) -> None:
        """Records of one partition, as a lane would write them."""
        batch = self.producer.create_batch()
        for record in records:
            batch.append(key=record.key, value=record.value, timestamp=None, headers=list(record.headers))
        await (await self.producer.send_batch(batch, records[0].topic, partition=records[0].partition))

    async def count(self, table: str) -> int:
        return await self.database.fetchval(f"SELECT count(*) FROM erp.{table}")

    async def position(self, group: str, partition: int = 0) -> int:
        question = "SELECT position FROM erp.view_checkpoint WHERE view_group = $1 AND partition = $2"
        return await self.database.fetchval(question, group, partition) or 0

    async def reached(self, group: str, position: int, partition: int = 0) -> None:
        async def there() -> bool:
            return await self.position(group, partition) >= position

        await until(there, f"{group} at {position}; {self.log.read_text()[-3000:]}")

    def logged(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    async def says(self, event: str) -> dict[str, Any]:
        async def said() -> list[dict[str, Any]]:
            return self.logged(event)

        found: list[dict[str, Any]] = await until(said, event)
        return found[-1]


@pytest.fixture
async def site(settings: Settings, tmp_path: Path) -> AsyncIterator[Site]:
    dsn = settings.database.get_secret_value()
    await upgrade(dsn)
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, max_batch_size=1_000_000)
    await producer.start()
    database = await asyncpg.connect(dsn)
    made = Site(settings, database, producer, tmp_path / "worker.log")
    yield made
    for worker in made.workers:
        worker.kill()
        worker.wait()
    await database.close()
    await producer.stop()


def journal_of(site: Site, partition: int = 0) -> Journal:
    return Journal(partition, f"{site.settings.prefix}.events")


async def test_events_and_outcomes_become_rows_of_their_views(site: Site) -> None:
    journal, answers = journal_of(site), Answers(0, f"{site.settings.prefix}.outcomes")
    journal.tell(*ACME, EXCAVATOR, scheduled())
    answers.give(uuid4())
    worker = site.start()
    await site.write(*journal.records)
    await site.write(*answers.records)
    for group, position in (("fleet", 8), ("history", 8), ("outcomes", 1)):
        await site.reached(group, position)
    counts = {t: await site.count(t) for t in ("companies", "users", "categories", "equipment", "history", "outcomes")}
    assert counts == {"companies": 1, "users": 4, "categories": 1, "equipment": 1, "history": 8, "outcomes": 1}
    worker.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(worker.wait, 30) == 0


def fleet_of(machines: int) -> list[Event]:
    """A life of three events for each machine, interleaved."""
    made = [
        EXCAVATOR.model_copy(update={"equipment_id": f"ex-{n}", "serial_number": f"EQ-2024-EX-{n:06}"})
        for n in range(machines)
    ]
    named = [EquipmentRenamed(equipment_id=f"ex-{n}", name=f"Excavator {n}") for n in range(machines)]
    booked = [scheduled().model_copy(update={"equipment_id": f"ex-{n}"}) for n in range(machines)]
    return [*made, *named, *booked]


async def test_a_killed_worker_leaves_views_in_which_each_event_counts_once(site: Site) -> None:
    journals = [journal_of(site, partition) for partition in range(3)]
    for journal in journals:
        journal.tell(*fleet_of(500), company=f"acme-{journal.partition}")
    worker = site.start()
    for start in range(0, 1500, 100):
        for journal in journals:
            await site.write(*journal.records[start : start + 100])
        if start % 500 == 300:
            await site.reached("fleet", start // 2)
            worker.kill()
            worker = site.start()
    for journal in journals:
        await site.reached("fleet", 1500, journal.partition)
        await site.reached("history", 1500, journal.partition)
    assert (await site.count("equipment"), await site.count("history")) == (1500, 4500)
    assert await site.database.fetchval("SELECT count(*) FROM erp.equipment WHERE version <> 3") == 0
    assert await site.database.fetchval("SELECT count(*) FROM erp.maintenance_jobs") == 1500


async def test_messages_that_come_twice_count_once(site: Site) -> None:
    journal = journal_of(site)
    journal.tell(*fleet_of(20))
    await site.write(*journal.records[:40])
    await site.write(*journal.records[:40])
    await site.write(*journal.records[30:])
    site.start("history")
    await site.reached("history", 60)
    assert await site.count("history") == 60


async def test_a_gap_stops_its_partition_and_says_so_while_others_go_on(site: Site) -> None:
    journal, other = journal_of(site, 0), journal_of(site, 1)
    journal.tell(*fleet_of(5))
    other.tell(*fleet_of(5), company="other")
    await site.write(*journal.records[:7], *journal.records[8:])
    await site.write(*other.records)
    site.start("history")
    said = await site.says("view group stands still")
    assert said["reason"].startswith("position 8 is missing")
    assert (said["group"], said["partition"]) == ("history", 0)
    await site.reached("history", 15, 1)
    assert await site.position("history") == 7


async def test_an_event_of_a_newer_build_is_waited_for_and_never_skipped(site: Site) -> None:
    journal = journal_of(site)
    journal.tell(*fleet_of(2))
    known = journal.records[3]
    newer = tuple((n, v.replace(b".v1", b".v9") if n == "ce_type" else v) for n, v in known.headers)
    await site.write(*journal.records[:3], known._replace(headers=newer), *journal.records[4:])
    site.start("fleet", "history")
    said = await site.says("view group stands still")
    assert "this build does not know" in said["reason"]
    await site.reached("history", 3)
    await site.reached("fleet", 3)
    assert await site.count("history") == 3


@pytest.mark.long
async def test_a_database_restored_from_a_dump_catches_up(site: Site) -> None:
    journal = journal_of(site)
    journal.tell(*fleet_of(100))
    await site.write(*journal.records)
    worker = site.start("history")
    await site.reached("history", 300)
    worker.send_signal(signal.SIGTERM)
    await asyncio.to_thread(worker.wait, 30)
    await site.database.execute("DELETE FROM erp.history WHERE position > 200")
    await site.database.execute("UPDATE erp.view_checkpoint SET position = 200, next_offset = 200 WHERE partition = 0")
    site.start("history")
    await site.reached("history", 300)
    assert await site.count("history") == 300


async def test_a_checkpoint_beyond_the_topic_is_refused_with_what_to_do(site: Site) -> None:
    await site.database.execute("INSERT INTO erp.view_checkpoint VALUES ('history', 0, 100, 100)")
    site.start("history")
    said = await site.says("view group stands still")
    assert "Run: bitcorp views rebuild history" in said["reason"]


@pytest.mark.long
async def test_outcomes_that_expired_unread_leave_no_hole_to_wait_for(site: Site) -> None:
    answers = Answers(0, f"{site.settings.prefix}.outcomes")
    for _ in range(10):
        answers.give(uuid4())
    await site.write(*answers.records)
    await delete_before(site, answers.topic, 4)
    site.start("outcomes")
    await site.reached("outcomes", 10)
    assert await site.count("outcomes") == 6


async def test_while_postgresql_is_away_nothing_is_lost(site: Site, stack: Stack) -> None:
    journal = journal_of(site)
    journal.tell(*fleet_of(200))
    site.start("fleet", "history")
    await site.write(*journal.records[:300])
    await site.reached("history", 300)
    await site.database.close()
    await asyncio.to_thread(stack.postgres.stop)
    await site.write(*journal.records[300:])
    await site.says("waits")
    await asyncio.to_thread(stack.postgres.start)
    site.database = await asyncpg.connect(site.settings.database.get_secret_value())
    await site.reached("history", 600)
    await site.reached("fleet", 600)
    assert (await site.count("history"), await site.count("equipment")) == (600, 200)


async def test_a_database_of_an_older_build_is_refused_with_the_command_that_mends_it(site: Site) -> None:
    await site.database.execute("DROP SCHEMA erp CASCADE")
    worker = site.start("history")
    assert await asyncio.to_thread(worker.wait, 60) == 78
    assert "bitcorp migrate" in site.logged("worker does not start")[0]["reason"]


async def delete_before(site: Site, topic: str, offset: int) -> None:
    """Records before the offset are gone, as after their retention."""
    admin = AIOKafkaAdminClient(bootstrap_servers=site.settings.kafka)
    await admin.start()
    await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(offset)})
    await admin.close()
