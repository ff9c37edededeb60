"""Following the outcomes topic, so that a request can wait for the answer to its command."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from domain import BUSINESS
from domain.realm import Realm
from domain.record import Outcome
from topics.catalogue import TOPICS_OF
from topics.cloudevents import Malformed, Record
from topics.messages import CommandMessage, read_outcome
from topics.settings import Settings

RETRY_SECONDS = 1.0
START_SECONDS = 5.0

log = structlog.get_logger(__name__)

Answer = asyncio.Future[Outcome | None]


@dataclass(eq=False)
class Waiter:
    """One request that waits for the outcome of its command."""

    company_id: str
    fingerprint: str
    answer: Answer

    def wants(self, outcome: Outcome) -> bool:
        """Company and fingerprint count beside the id: another's outcome under the same id is not ours."""
        same = (outcome.company_id, outcome.fingerprint) == (self.company_id, self.fingerprint)
        return same and not self.answer.done()


class Follower:
    """Reads every partition of a realm's outcomes topic from its end, without a group: each process sees them all."""

    def __init__(self, settings: Settings, realm: Realm = BUSINESS) -> None:
        """Nothing is opened yet."""
        self._address = settings.kafka
        self._topic = TOPICS_OF[realm.name].outcomes.named(settings.prefix)
        self._waiters: dict[bytes, list[Waiter]] = {}
        self._next: dict[TopicPartition, int] = {}
        self._following = asyncio.Event()
        self._consumer: AIOKafkaConsumer | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when outcomes are followed, or after some seconds without Kafka; it is looked for until `stop`."""
        self._task = asyncio.create_task(self._follow_for_ever())
        with suppress(TimeoutError):
            await asyncio.wait_for(self._following.wait(), START_SECONDS)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self.release()

    def release(self) -> None:
        """Let everybody who waits go on without an outcome."""
        for waiter in chain.from_iterable(self._waiters.values()):
            if not waiter.answer.done():
                waiter.answer.set_result(None)

    @contextmanager
    def waiting(self, command: CommandMessage) -> Iterator[Answer]:
        """The outcome to come. Enter before publishing: an outcome may be faster than the acknowledgement."""
        answer: Answer = asyncio.get_running_loop().create_future()
        waiter = Waiter(command.company_id, command.fingerprint, answer)
        command_id = command.id.encode()
        waiters = self._waiters.setdefault(command_id, [])
        waiters.append(waiter)
        try:
            yield answer
        finally:
            waiters.remove(waiter)
            if not waiters:
                del self._waiters[command_id]

    async def ends(self, topic: str) -> dict[int, int]:
        """The end offset of each partition of a topic. Raises KafkaError, OSError."""
        if self._consumer is None:
            raise ConnectionError("Kafka does not answer")
        partitions = [TopicPartition(topic, partition) for _, partition in self._consumer.assignment()]
        return {found.partition: end for found, end in (await self._consumer.end_offsets(partitions)).items()}

    async def _follow_for_ever(self) -> None:
        while True:
            try:
                await self._follow()
            except (KafkaError, OSError) as fault:
                log.warning("outcomes-not-followed", reason=repr(fault), retry_seconds=RETRY_SECONDS)
            self._following.clear()
            await asyncio.sleep(RETRY_SECONDS)

    async def _follow(self) -> None:
        consumer = AIOKafkaConsumer(self._topic, bootstrap_servers=self._address, auto_offset_reset="latest")
        try:
            await consumer.start()
            await self._take_up(consumer)
            self._consumer = consumer
            self._following.set()
            while True:
                for partition, records in (await consumer.getmany(timeout_ms=1000)).items():
                    for record in records:
                        self._deliver(record)
                    self._next[partition] = records[-1].offset + 1
        finally:
            self._consumer = None
            await consumer.stop()

    async def _take_up(self, consumer: AIOKafkaConsumer) -> None:
        """Go on where reading ended; at the end of a partition that was not read yet."""
        for partition in consumer.assignment():
            if partition in self._next:
                consumer.seek(partition, self._next[partition])
            else:
                self._next[partition] = await consumer.position(partition)

    def _deliver(self, record: ConsumerRecord) -> None:
        waiters = self._waiters.get(dict(record.headers).get("ce_causationid", b""))
        if not waiters:
            return  # nobody here waits: not worth the parsing
        try:
            outcome = read_outcome(_plain(record))[0]
        except (Malformed, ValueError, KeyError) as fault:
            log.warning("outcome-unreadable", partition=record.partition, offset=record.offset, reason=str(fault))
            return
        for waiter in waiters:
            if waiter.wants(outcome):
                waiter.answer.set_result(outcome)


def _plain(record: ConsumerRecord) -> Record:
    return Record(record.topic, record.partition, record.key, record.value, tuple(record.headers))
