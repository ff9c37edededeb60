"""A foreign system beside real workers: confluent-kafka only, what it sends and what it reads of a run."""

import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from agents.decision import REMEMBERED_FOR, Place
from agents.lane import REMEMBERED_AT_MOST
from domain.record import Outcome
from tests.agents.broker import Stored
from tests.agents.checker import Run, judge
from topics.catalogue import BATCH_LIMIT, COMMANDS, DEAD_LETTERS, OUTCOMES, STATE, TOPICS, Topic, partition_of
from topics.cloudevents import Record
from topics.messages import DeadLetter, read_dead_letter, read_outcome
from topics.provision import topic_id
from topics.settings import Settings

DEADLINE = 60.0
GIVEN = {"kafka", "prefix", "partitions", "session_seconds", "directory"}
WORKER = "from agents.decide import main; from topics.settings import Settings; main(Settings())"


def until(fact: Callable[[], Any], seconds: float = DEADLINE, what: str = "") -> Any:
    """The fact as soon as there is one."""
    deadline = time.monotonic() + seconds
    while not (found := fact()):
        assert time.monotonic() < deadline, f"still not so after {seconds:.0f} s: {what or fact}"
        time.sleep(0.05)
    return found


# -- workers ---------------------------------------------------------------------------------------------------------


@dataclass
class Worker:
    """One lane worker as a process of its own."""

    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def until_serving(self) -> "Worker":
        until(lambda: "lane serves" in self.said or self.process.poll() is not None, what="the worker serves")
        assert self.process.poll() is None, self.said
        return self

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def exit_code(self) -> int:
        return self.process.wait(DEADLINE)


@dataclass
class Workers:
    """All workers that a test has started."""

    settings: Settings
    directory: Path
    started: list[Worker] = field(default_factory=list)

    def start(self, **more: Any) -> Worker:
        given = (
            self.settings.model_dump(
                include={"kafka", "prefix", "partitions", "session_seconds", "directory", "standbys"}
            )
            | more
        )
        env = {f"BITCORP_{name.upper()}": str(value) for name, value in given.items()}
        log = self.directory / f"worker-{len(self.started)}.log"
        with log.open("wb") as file:
            process = subprocess.Popen([sys.executable, "-c", WORKER], env=os.environ | env, stderr=file, stdout=file)
        self.started.append(Worker(process, log))
        return self.started[-1]

    def stop(self) -> None:
        for worker in self.started:
            if worker.process.poll() is None:
                worker.signal(signal.SIGCONT)
                worker.kill()


@contextmanager
def workers_of(settings: Settings, directory: Path) -> Iterator[Workers]:
    workers = Workers(settings, directory)
    try:
        yield workers
    finally:
        workers.stop()


# -- messages --------------------------------------------------------------------------------------------------------


class Upstream:
    """Sends commands, follows their outcomes, and reads all topics at the end."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._producer = Producer(
            {"bootstrap.servers": settings.kafka, "linger.ms": 2, "message.max.bytes": BATCH_LIMIT}
        )
        self._admin = AdminClient({"bootstrap.servers": settings.kafka})
        self._consumer = self._new_consumer()
        self._consumer.assign([*self._places(OUTCOMES), *self._places(DEAD_LETTERS)])
        self.outcomes: dict[str, list[Outcome]] = defaultdict(list)
        self.letters: list[DeadLetter] = []

    def close(self) -> None:
        self._producer.flush(10)
        self._consumer.close()

    def send(self, records: Iterable[Record], rate: float = 0.0) -> None:
        """Each to the partition that it names, and that by librdkafka's own partitioner where it is negative."""
        for record in records:
            place = {"partition": record.partition} if record.partition >= 0 else {}
            headers = list(record.headers)
            self._producer.produce(record.topic, record.value, record.key, headers=headers, **place)
            self._producer.poll(0)
            if rate:
                time.sleep(1 / rate)
        assert self._producer.flush(30) == 0, "Kafka did not take all commands"

    def command(self, record: Record) -> Record:
        """The record on this run's topic and its company's partition."""
        partition = partition_of(record.key or b"", self.settings.partitions)
        return record._replace(topic=self._name(COMMANDS), partition=partition)

    def follow(self) -> None:
        """Take in the outcomes and dead letters that have come since."""
        while messages := self._consumer.consume(100, 0.02):
            for message in messages:
                self._take(_record(message))

    def _take(self, record: Record) -> None:
        if record.topic == self._name(DEAD_LETTERS):
            self.letters.append(read_dead_letter(record))
        else:
            outcome, _ = read_outcome(record)
            self.outcomes[str(outcome.command_id)].append(outcome)

    def outcome(self, command_id: object) -> Outcome:
        """The first outcome of the command, as soon as there is one."""

        def found() -> list[Outcome]:
            if not self.outcomes[str(command_id)]:
                self.follow()
            return self.outcomes[str(command_id)]

        first: Outcome = until(found, what=f"command {command_id} has an outcome")[0]
        return first

    def read(self) -> dict[tuple[str, int], list[Record]]:
        """All records of all topics by topic and partition, up to their present ends."""
        places = [place for topic in TOPICS for place in self._places(topic)]
        ends = self._ends(places)
        found: dict[tuple[str, int], list[Record]] = {at: [] for at in ends}
        consumer = self._new_consumer()
        consumer.assign(places)
        while any(end > 0 and (not found[at] or found[at][-1].offset < end - 1) for at, end in ends.items()):
            for record in map(_record, consumer.consume(500, 0.1)):
                found[record.topic, record.partition].append(record)
        consumer.close()
        return found

    def group_offsets(self) -> list[int]:
        """Up to where the workers have acknowledged each partition; negative where they have nothing yet."""
        group = f"{self.settings.prefix}-lanes"
        places = [TopicPartition(place.topic, place.partition) for place in self._places(COMMANDS)]
        asked = self._admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group, places)])
        found = asked[group].result(10).topic_partitions
        return [place.offset for place in sorted(found, key=attrgetter("partition"))]

    def _ends(self, places: list[TopicPartition]) -> dict[tuple[str, int], int]:
        asked = self._admin.list_offsets(dict.fromkeys(places, OffsetSpec.latest()))
        return {(place.topic, place.partition): asked[place].result(10).offset for place in places}

    def _new_consumer(self) -> Consumer:
        return Consumer({"bootstrap.servers": self.settings.kafka, "group.id": "none", "enable.auto.commit": False})

    def _name(self, topic: Topic) -> str:
        return topic.named(self.settings.prefix)

    def _places(self, topic: Topic) -> list[TopicPartition]:
        return [TopicPartition(self._name(topic), partition, 0) for partition in range(self.settings.partitions)]

    # -- the whole run -----------------------------------------------------------------------------------------------

    def until_all_decided(self) -> None:
        """Every command, re-routed ones included, has been decided and published, and the group knows it."""

        def all_known() -> bool:
            ends = self._ends(self._places(COMMANDS)).values()
            return all(known == end for known, end in zip(self.group_offsets(), ends, strict=True) if end)

        until(all_known, what="the group has acknowledged every command")

    def violations(self) -> list[str]:
        """How the run differs from what one owner without faults would have made of its commands."""
        read = self.read()
        id_ = topic_id(self.settings, self._name(COMMANDS))
        return [
            f"partition {partition}: {violation}"
            for partition in range(self.settings.partitions)
            for violation in judge(
                Run(
                    Place(self.settings.prefix, partition, self.settings.partitions),
                    id_,
                    read[self._name(COMMANDS), partition],
                    list(_stored(read[self._name(STATE), partition])),
                    lambda topic, p: read[f"{self.settings.prefix}.{topic}", p],
                    len(read[self._name(COMMANDS), partition]),
                    REMEMBERED_FOR,
                    REMEMBERED_AT_MOST,
                )
            )
        ]


def _record(message: Message) -> Record:
    assert message.error() is None, message.error()
    headers = tuple((name, value) for name, value in message.headers() or ())
    place = message.topic(), message.partition(), message.key(), message.value()
    return Record(*place, headers, message.offset(), message.timestamp()[1])


def _stored(records: Iterable[Record]) -> Iterator[Stored]:
    """Records of the changelog with the batch that each belongs to: a batch begins at index 0."""
    batch = 0
    for record in records:
        said = dict(record.headers)
        batch += said["index"] == b"0"
        key = (record.key or b"").decode()
        yield Stored(record.offset, key, record.value, list(record.headers), record.timestamp, batch)
