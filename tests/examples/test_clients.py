"""The example clients: they share no code with the product, and they understand each other."""

import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime
from uuid import UUID, uuid4
from zlib import crc32

import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from domain.record import Outcome, Status
from ops.records import read_all
from tests.examples.scripts import EXAMPLES, load
from topics import cloudevents
from topics.cloudevents import Record
from topics.messages import read_command, write_outcome
from topics.settings import Settings

NOW = datetime(2026, 11, 20, tzinfo=UTC)
SIZE_LIMIT = 40


@pytest.mark.parametrize("name", ["publish_command", "read_events", "foreign_confluent"])
def test_a_client_fits_on_a_page(name: str) -> None:
    assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) <= SIZE_LIMIT


def test_the_sample_of_the_readme_has_fifteen_lines_of_code() -> None:
    lines = (EXAMPLES / "publish_command.py").read_text().splitlines()[1:]
    assert len([line for line in lines if line]) <= 15


async def run(*words: str) -> str:
    """Run a client as its user would; what it printed."""
    child = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    told, complaint = await asyncio.wait_for(child.communicate(), 60)
    assert child.returncode == 0, complaint.decode()
    return told.decode()


async def put(settings: Settings, *records: Record) -> None:
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka) as producer:
        for record in records:
            await producer.send_and_wait(
                record.topic, record.value, record.key, record.partition, headers=list(record.headers)
            )


@pytest.mark.servers
async def test_what_plain_aiokafka_publishes_is_a_command(settings: Settings) -> None:
    topic = f"{settings.prefix}.commands"
    await run(str(EXAMPLES / "publish_command.py"), settings.kafka, topic)
    [record] = read_all(settings, topic)
    command = read_command(record)
    assert (command.type, command.company_id) == ("com.bitcorp.erp.company.create-company.v1", "sol-mining")
    assert json.loads(command.data)["admin"]["user_id"] == "ann"


def event(settings: Settings, position: int) -> Record:
    """Some event at a position of partition 0."""
    headers = cloudevents.write({"type": "com.bitcorp.erp.company.company-reactivated.v1", "sequence": str(position)})
    return Record(f"{settings.prefix}.events", 0, b"sol-mining", b'{"company_id": "sol-mining"}', headers)


@pytest.mark.servers
async def test_a_reader_sees_each_event_once_though_it_was_published_twice(settings: Settings) -> None:
    await put(settings, *(event(settings, position) for position in (1, 2, 1, 2, 3)))
    client = load("read_events.py")
    seen = []
    async for attributes, data in client.events(settings.kafka, f"{settings.prefix}.events"):
        seen.append((attributes["sequence"], data["company_id"]))
        if attributes["sequence"] == "3":
            break
    assert seen == [("1", "sol-mining"), ("2", "sol-mining"), ("3", "sol-mining")]


@pytest.mark.servers
async def test_a_reader_stops_where_an_event_is_missing(settings: Settings) -> None:
    await put(settings, event(settings, 1), event(settings, 3))
    client = load("read_events.py")
    with pytest.raises(RuntimeError, match="events 2 to 2 of partition 0 are missing"):
        async for _ in client.events(settings.kafka, f"{settings.prefix}.events"):
            pass


@pytest.mark.servers
async def test_librdkafka_chooses_its_own_partition_and_the_command_is_readable(settings: Settings) -> None:
    client = load("foreign_confluent.py")
    command_id = str(uuid4())
    client.send(settings.kafka, command_id, f"{settings.prefix}.commands")
    [record] = read_all(settings, f"{settings.prefix}.commands")
    assert record.partition == crc32(b"sol-mining") % settings.partitions
    assert read_command(record).id == command_id


@pytest.mark.servers
async def test_a_foreign_client_finds_the_answer_to_its_command(settings: Settings) -> None:
    topic = f"{settings.prefix}.outcomes"
    mine, other = uuid4(), uuid4()
    await put(settings, *(write_outcome(outcome(identity), topic, 1, None, None) for identity in (other, mine)))
    consumer = Consumer({"bootstrap.servers": settings.kafka, "group.id": "foreign"})
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    try:
        assert load("foreign_confluent.py").answer(consumer, str(mine))["command_id"] == str(mine)
    finally:
        consumer.close()


def outcome(command_id: UUID) -> Outcome:
    return Outcome(
        command_id=str(command_id),
        type="com.bitcorp.erp.category.define-category.v1",
        company_id="sol-mining",
        aggregate="category",
        aggregate_id="cranes",
        actor="user:ann",
        status=Status.ACCEPTED,
        partition=0,
        position=1,
        fingerprint="",
        offset=0,
        recorded_at=NOW,
    )
