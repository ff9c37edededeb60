"""A real audit worker on real topics: every outcome is recorded once, in a chain, whoever dies or writes beside it."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from agents.recorder import AuditLog, Tail, tail_of
from domain.engine import NO_CHAIN
from domain.record import Audited, Status
from tests.topics.reading import records_of
from tests.topics.samples import outcome, outcome_record
from topics.audit import audited, read_audited, write_audited
from topics.catalogue import AUDIT, OUTCOMES, TOPICS_OF
from topics.cloudevents import Record, read
from topics.messages import chain_of
from topics.settings import Settings

WORKER = "from agents.recorder import main; from topics.settings import Settings; main(Settings())"
PATIENCE = 90
SIGN_INS = TOPICS_OF["credentials"].outcomes


class House:
    """Audit workers of a test, and the outcomes that they find."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.log = settings.directory / "audit.log"
        self.workers: list[subprocess.Popen[bytes]] = []
        self.given: Counter[tuple[str, int]] = Counter()
        self._producer = Producer({"bootstrap.servers": settings.kafka, "enable.idempotence": True})

    def start(self) -> "subprocess.Popen[bytes]":
        names = {"kafka", "prefix", "partitions", "session_seconds", "directory"}
        given = self.settings.model_dump(include=names) | {"session_seconds": 2.0}
        environment = os.environ | {f"BITCORP_{name.upper()}": str(value) for name, value in given.items()}
        with self.log.open("ab") as log:
            self.workers.append(subprocess.Popen([sys.executable, "-c", WORKER], env=environment, stderr=log))
        return self.workers[-1]

    def kill(self, worker: "subprocess.Popen[bytes]") -> None:
        worker.send_signal(signal.SIGKILL)
        worker.wait()

    def answer(self, count: int, realm: str = "business") -> None:
        """So many outcomes more in each partition."""
        topic = TOPICS_OF[realm].outcomes.named(self.settings.prefix)
        for partition in range(self.settings.partitions):
            for _ in range(count):
                self.given[realm, partition] += 1
                sequence = self.given[realm, partition]
                told = outcome_record(outcome(partition=partition, position=sequence), sequence)
                self._producer.produce(topic, told.value, told.key, partition, headers=list(told.headers))
            self._producer.poll(0)
        assert self._producer.flush(30) == 0

    def records(self) -> list[Record]:
        return asyncio.run(records_of(self.settings, AUDIT.named(self.settings.prefix)))

    def recorded(self) -> list[Audited]:
        return [told for told in map(read_audited, self.records()) if isinstance(told, Audited)]

    def until_recorded(self, count: int) -> list[Audited]:
        deadline = time.monotonic() + PATIENCE
        while len(found := self.recorded()) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count}: {self.log.read_text()}"
            assert any(worker.poll() is None for worker in self.workers), self.log.read_text()
            time.sleep(0.05)
        return found


@pytest.fixture
def house(settings: Settings) -> Iterator[House]:
    made = House(settings)
    yield made
    for worker in made.workers:
        worker.kill()
        worker.wait()


def assert_each_once(house: House, found: Sequence[Audited]) -> None:
    told = Counter((entry.realm, entry.partition, entry.sequence) for entry in found)
    assert set(told.values()) == {1}
    given = {(realm, p, n) for (realm, p), last in house.given.items() for n in range(1, last + 1)}
    assert set(told) == given


def assert_one_chain(records: Sequence[Record]) -> None:
    chains: dict[int, bytes] = {}
    for record in records:
        if isinstance(read_audited(record), Audited):
            linked = chain_of(record, chains.get(record.partition, NO_CHAIN))
            assert read(record).attributes["chain"] == linked.hex()
            chains[record.partition] = linked


@pytest.mark.long
def test_every_outcome_is_recorded_once_though_its_worker_is_killed_in_the_middle(house: House) -> None:
    first = house.start()
    house.answer(3000)
    house.answer(40, "credentials")
    house.until_recorded(500)
    house.kill(first)
    second = house.start()
    house.answer(200, "credentials")
    house.until_recorded(6000)
    house.kill(second)
    house.start()
    house.answer(100)
    total = house.given.total()
    found = house.until_recorded(total)
    assert_each_once(house, found)
    assert_one_chain(house.records())


@pytest.mark.long
def test_two_workers_share_the_partitions_and_one_takes_over_what_the_other_leaves(house: House) -> None:
    one = house.start()
    house.answer(200)
    house.until_recorded(600)
    house.start()
    house.answer(200)
    house.answer(20, "credentials")
    house.until_recorded(1260)
    one.send_signal(signal.SIGTERM)
    assert one.wait(30) == 0
    house.answer(50)
    assert_each_once(house, house.until_recorded(1410))
    assert_one_chain(house.records())


def test_a_batch_that_lands_behind_another_one_is_void_and_its_writer_goes_on_behind_the_other(house: House) -> None:
    settings = house.settings
    house.answer(2)
    topic = AUDIT.named(settings.prefix)

    async def write() -> tuple[int, int, Tail]:
        outcomes = [r for r in await records_of(settings, OUTCOMES.named(settings.prefix)) if r.partition == 0]
        fast, slow = AuditLog(settings), AuditLog(settings)
        await fast.start()
        await slow.start()
        at = await slow.tail(0)
        _, both = at.after("business", outcomes, topic)
        _, one = at.after("business", outcomes[:1], topic)
        landed = await fast.append(0, one), await slow.append(0, both)
        tail = await slow.tail(0)
        await fast.stop()
        await slow.stop()
        return *landed, tail

    first, second, tail = asyncio.run(write())
    assert (first, second) == (0, 1)
    kinds = [type(read_audited(record)).__name__ for record in house.records()]
    assert kinds == ["Audited", "Void", "Void"]
    assert (tail.end, tail.read) == (3, {"business": 1})
    house.start()
    assert_each_once(house, house.until_recorded(6))
    assert_one_chain(house.records())


def test_what_has_expired_unread_is_said_and_what_is_left_is_recorded(house: House) -> None:
    house.answer(5)
    admin = AdminClient({"bootstrap.servers": house.settings.kafka})
    place = TopicPartition(OUTCOMES.named(house.settings.prefix), 0, 3)
    for gone in admin.delete_records([place]).values():
        gone.result(20)
    house.start()
    found = house.until_recorded(12)
    assert sorted(told.sequence for told in found if told.partition == 0) == [4, 5]
    assert "outcomes expired unread" in house.log.read_text()


def test_outcomes_that_are_not_those_read_before_stop_the_worker(house: House) -> None:
    house.answer(3)
    worker = house.start()
    house.until_recorded(9)
    worker.terminate()
    worker.wait(30)
    topic = AUDIT.named(house.settings.prefix)

    async def pretend() -> None:
        """As if ten outcomes more had been read."""
        told = audited("business", outcome_record(outcome(partition=0), 4))
        log = AuditLog(house.settings)
        await log.start()
        tail = await log.tail(0)
        record, _ = write_audited(told, topic, tail.end + 1, {"business": 13}, tail.chain)
        await log.append(0, [record])
        await log.stop()

    asyncio.run(pretend())
    assert house.start().wait(60) == 70
    assert "topic, or has lost records" in house.log.read_text()


def test_the_tail_of_nothing_valid_is_none() -> None:
    record, _ = write_audited(audited("business", outcome_record(outcome())), "erp.audit", 7, {"business": 3}, NO_CHAIN)
    assert tail_of([record._replace(offset=9)], 10) is None
    found = tail_of([record._replace(offset=6)], 7)
    assert found is not None
    assert (found.end, found.read) == (7, {"business": 3})


def test_an_outcome_that_nobody_understands_stops_the_worker_rather_than_being_left_out(house: House) -> None:
    producer = Producer({"bootstrap.servers": house.settings.kafka})
    producer.produce(SIGN_INS.named(house.settings.prefix), b"{}", b"acme", 0)
    producer.flush(10)
    assert house.start().wait(60) == 70
    assert house.records() == []


def test_a_refusal_keeps_its_code_and_not_its_words() -> None:
    said = {"status": Status.REJECTED, "code": "invalid", "kind": "invalid", "detail": "EQ-1 is taken"}
    told = audited("business", outcome_record(outcome(**said, errors=({"field": "name", "detail": "hunter2"},))))
    assert (told.status, told.code) == ("rejected", "invalid")
    assert "EQ-1" not in told.model_dump_json()
    assert "hunter2" not in told.model_dump_json()
