"""`bitcorp verify` on real topics and views: clean where all is well, exit code 1 where a fault was planted."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from confluent_kafka import Producer
from sqlalchemy.ext.asyncio import AsyncConnection

from agents.projector import entry_of
from ops.audit.findings import Check, Findings
from ops.migrate import bring_up_to_date
from ops.verify import audit
from tests.agents.orders import rename
from tests.ops.history import ACME, PARTITIONS, Past, healthy, with_header
from tests.ops.shell import Shell
from topics.catalogue import AUDIT, COMMANDS, EVENTS, OUTCOMES, STATE, TOPICS, Topic
from topics.cloudevents import Record
from topics.provision import topic_id
from topics.settings import Settings
from views import GROUPS
from views.checkpoints import assigned
from views.projecting import apply
from views.reading import write_engine

pytestmark = [pytest.mark.servers, pytest.mark.parametrize("partitions", [PARTITIONS])]


@pytest.fixture
def past(settings: Settings) -> Past:
    """A healthy past on the topics, folded into the views."""
    bring_up_to_date(settings)
    past = healthy(settings.prefix, topic_id(settings, COMMANDS.named(settings.prefix)))
    write(settings, [record for topic in TOPICS for p in range(PARTITIONS) for record in past.of(topic, p)])
    asyncio.run(fold(settings, past))
    return past


def write(settings: Settings, records: list[Record]) -> None:
    """Append the records to their partitions, in order."""
    producer = Producer({"bootstrap.servers": settings.kafka, "enable.idempotence": True, "linger.ms": 5})
    for record in records:
        headers = list(record.headers)
        producer.produce(record.topic, record.value, record.key, record.partition, headers=headers)
    assert producer.flush(30) == 0


async def fold(settings: Settings, past: Past) -> None:
    """What the views workers do, without them."""
    async with writing(settings) as connection:
        for group in GROUPS.values():
            topic = next(topic for topic in TOPICS if topic.name == group.source)
            for partition in range(PARTITIONS):
                entries = [entry_of(group, record) for record in past.of(topic, partition)]
                async with connection.begin():
                    at = await assigned(connection, group.name, partition)
                await apply(connection, group, partition, entries, at)


@asynccontextmanager
async def writing(settings: Settings) -> AsyncIterator[AsyncConnection]:
    pool = write_engine(settings.database.get_secret_value())
    async with pool.connect() as connection:
        yield connection
    await pool.dispose()


def execute(settings: Settings, statement: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(settings.database.get_secret_value())
        await connection.execute(statement)
        await connection.close()

    asyncio.run(run())


def test_a_healthy_past_is_clean(settings: Settings, past: Past, bitcorp: Shell) -> None:
    bitcorp.use(settings)
    said = bitcorp("verify", "--json")
    told = json.loads(said.out)
    assert said.code == 0, told
    assert told["clean"]
    seen = {row["check"]: row["examined"] for row in told["checks"]}
    assert all(seen.values()), seen
    assert "Everything agrees with the journal." in bitcorp("verify").text


def test_what_was_published_twice_is_counted_and_void_state_is_ignored(settings: Settings, past: Past) -> None:
    void = Record(STATE.named(settings.prefix), 0, f"{ACME}/~chain".encode(), b"x", (("expect", b"1"), ("index", b"0")))
    write(settings, [past.of(EVENTS)[-1], past.of(OUTCOMES)[-1], void])
    found = audit(settings, wait=0)
    assert found.clean, found.samples
    assert found.repeats == {Check.EVENT_POSITIONS: 1, Check.OUTCOME_POSITIONS: 1}


def last(topic: Topic) -> Callable[[Past], Record]:
    return lambda past: past.of(topic)[-1]


def further(past: Past, **headers: str) -> Record:
    """The last event under the next position."""
    record = past.of(EVENTS)[-1]
    given = {"ce_sequence": str(len(past.of(EVENTS)) + 1), **headers}
    for name, value in given.items():
        record = with_header(record, name, value)
    return record


def forged_state(past: Past) -> Record:
    expect = str(len(past.of(STATE))).encode()
    headers = (("expect", expect), ("index", b"0"))
    return Record(STATE.named(past.prefix), 0, f"{ACME}/~chain".encode(), bytes(32), headers)


@pytest.mark.parametrize(
    ("plant", "check"),
    [
        pytest.param(lambda past: last(EVENTS)(past)._replace(value=b"{}"), Check.EVENTS, id="unreadable event"),
        pytest.param(
            lambda past: with_header(last(EVENTS)(past), "ce_actor", "user:eve"),
            Check.EVENT_POSITIONS,
            id="a position with two contents",
        ),
        pytest.param(lambda past: further(past, ce_sequence="9999"), Check.EVENT_POSITIONS, id="a gap in the journal"),
        pytest.param(further, Check.CHAIN, id="an event that no lane wrote"),
        pytest.param(
            lambda past: with_header(last(OUTCOMES)(past), "ce_sequence", "9999"),
            Check.OUTCOME_POSITIONS,
            id="a gap in the outcomes",
        ),
        pytest.param(forged_state, Check.STATE, id="state that the journal does not lead to"),
    ],
)
def test_a_fault_on_the_topics_is_found(
    settings: Settings, past: Past, plant: Callable[[Past], Record], check: Check
) -> None:
    write(settings, [plant(past)])
    assert_found(audit(settings, wait=0), check)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE erp.equipment SET name = 'Forged' WHERE equipment_id = 'ex-3'",
        "DELETE FROM erp.users WHERE user_id = 'ada'",
        "INSERT INTO erp.categories SELECT company_id, 'forged', 'Forged', version, updated_at FROM erp.categories",
        "DELETE FROM erp.history WHERE aggregate = 'category'",
        "UPDATE erp.outcomes SET status = 'accepted', recorded_at = now() WHERE status = 'rejected'",
    ],
)
def test_a_view_that_differs_from_the_fold_is_found(settings: Settings, past: Past, statement: str) -> None:
    execute(settings, statement)
    assert_found(audit(settings, wait=0), Check.VIEWS)


def test_a_view_that_is_behind_is_found(settings: Settings, past: Past) -> None:
    execute(
        settings, "UPDATE erp.view_checkpoint SET position = position - 1 WHERE view_group = 'history' AND position > 0"
    )
    assert_found(audit(settings, wait=0), Check.CHECKPOINTS)


def test_commands_that_nobody_has_decided_are_found(settings: Settings, past: Past) -> None:
    past.send(rename(ACME, "ex-3", "Waiting"))
    write(settings, [past.of(COMMANDS)[-1]])
    found = audit(settings, wait=0)
    assert_found(found, Check.HEADS)
    assert "are not decided" in str(found.samples)


def test_many_records_are_verified_by_several_processes(
    settings: Settings, past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.verify.MANY_RECORDS", 1)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    found = audit(settings, wait=0)
    assert found.clean, found.samples


def test_nothing_is_left_behind_in_the_database(settings: Settings, past: Past) -> None:
    audit(settings, wait=0)

    async def schemas() -> list[Any]:
        connection = await asyncpg.connect(settings.database.get_secret_value())
        rows = await connection.fetch("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'erp%'")
        await connection.close()
        return [row[0] for row in rows]

    assert asyncio.run(schemas()) == ["erp"]


def assert_found(found: Findings, check: Check) -> None:
    assert found.faults[check], found.samples
    assert found.samples[check]


def test_the_chains_alone_are_proved_also_while_commands_wait(settings: Settings, past: Past, bitcorp: Shell) -> None:
    past.send(rename(ACME, "ex-3", "Waiting"))
    write(settings, [past.of(COMMANDS)[-1]])
    bitcorp.use(settings)
    said = bitcorp("verify", "--chain")
    assert said.code == 0, said.text
    assert "All chains hold." in said.text
    told = json.loads(bitcorp("verify", "--chain", "--json").out)
    assert {row["check"] for row in told["checks"]} == {Check.EVENT_POSITIONS, Check.CHAIN, Check.AUDIT}
    assert all(row["examined"] for row in told["checks"])


def spoilt(records: list[Record], how: str) -> list[Record]:
    """The records with the fourth of them changed, dropped, or in the place of the next one."""
    fourth, fifth = records[3:5]
    new = {"changed": [with_header(fourth, "ce_actor", "user:eve"), fifth], "dropped": [fifth]}
    return [*records[:3], *new.get(how, [fifth, fourth]), *records[5:]]


@pytest.mark.parametrize(
    ("topic", "how", "told"),
    [
        (EVENTS, "changed", f"{ACME} breaks at position 0:4"),
        (EVENTS, "dropped", f"{ACME} breaks at position 0:5"),
        (EVENTS, "swapped", f"{ACME} breaks at position 0:5"),
        (AUDIT, "changed", "offset 3"),
        (AUDIT, "dropped", "told nowhere else"),
        (AUDIT, "swapped", "offset 5"),
    ],
    ids=lambda given: given if isinstance(given, str) else given.name,
)
def test_a_chain_that_was_tampered_with_is_named_with_the_place_where_it_breaks(
    settings: Settings, bitcorp: Shell, topic: Topic, how: str, told: str
) -> None:
    past = healthy(settings.prefix, "the-commands-topic")
    whole = [record for part in (EVENTS, AUDIT) for p in range(PARTITIONS) for record in past.of(part, p)]
    where = (topic.named(settings.prefix), 0)
    others = [record for record in whole if (record.topic, record.partition) != where]
    write(settings, [*others, *spoilt(past.of(topic), how)])
    bitcorp.use(settings)
    said = bitcorp("verify", "--chain")
    assert said.code == 1
    assert told in said.text
    assert "There are differences." in said.text
