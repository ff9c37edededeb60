"""Following a topic from its end, without a group: each API process sees every record from when it started."""

import asyncio
from contextlib import suppress

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from topics.access import FORBIDDEN, for_aiokafka, forbidden
from topics.settings import Settings

RETRY_SECONDS = 1.0
START_SECONDS = 5.0

log = structlog.get_logger(__name__)


class Following:
    """Reads every partition of a topic, and goes on where it was when Kafka has been away."""

    def __init__(self, settings: Settings, topic: str) -> None:
        """Nothing is opened yet."""
        self._settings = settings
        self._client = for_aiokafka(settings)
        self._topic = topic
        self._next: dict[TopicPartition, int] = {}
        self._following = asyncio.Event()
        self._consumer: AIOKafkaConsumer | None = None
        self._task: asyncio.Task[None] | None = None

    def deliver(self, record: ConsumerRecord) -> None:
        """What is done with a record."""
        raise NotImplementedError

    async def start(self) -> None:
        """Return when the topic is followed, or after some seconds without Kafka; it is looked for until `stop`."""
        self._task = asyncio.create_task(self._follow_for_ever())
        with suppress(TimeoutError):
            await asyncio.wait_for(self._following.wait(), START_SECONDS)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def ends(self, *topics: str) -> dict[tuple[str, int], int]:
        """The end offset of each partition (topic, number), asked for at once: a question waits for the fetch that is
        under way. Raises KafkaError, OSError."""
        if self._consumer is None:
            raise ConnectionError("Kafka does not answer")
        partitions = [TopicPartition(topic, number) for topic in topics for _, number in self._consumer.assignment()]
        return {
            (found.topic, found.partition): end for found, end in (await self._consumer.end_offsets(partitions)).items()
        }

    async def _follow_for_ever(self) -> None:
        while True:
            try:
                await self._follow()
            except (KafkaError, OSError) as fault:
                log.warning("not-followed", topic=self._topic, reason=self._reason(fault), retry_seconds=RETRY_SECONDS)
            self._following.clear()
            await asyncio.sleep(RETRY_SECONDS)

    def _reason(self, fault: Exception) -> str:
        return forbidden(self._settings, repr(fault)) if isinstance(fault, FORBIDDEN) else repr(fault)

    async def _follow(self) -> None:
        consumer = AIOKafkaConsumer(self._topic, **self._client, auto_offset_reset="latest")
        try:
            await consumer.start()
            await self._take_up(consumer)
            self._consumer = consumer
            await self.took_up()
            self._following.set()
            while True:
                for partition, records in (await consumer.getmany(timeout_ms=1000)).items():
                    for record in records:
                        self._delivered(record)
                    self._next[partition] = records[-1].offset + 1
        finally:
            self._consumer = None
            await consumer.stop()

    def _delivered(self, record: ConsumerRecord) -> None:
        try:
            self.deliver(record)
        except Exception:  # one record that nobody understands must not end the following of all others
            log.exception("record-unreadable", topic=record.topic, partition=record.partition, offset=record.offset)

    async def took_up(self) -> None:
        """Called when the topic is followed, or followed again, and before its first record is delivered."""

    async def _take_up(self, consumer: AIOKafkaConsumer) -> None:
        """Go on where reading ended; at the end of a partition that was not read yet."""
        for partition in consumer.assignment():
            if partition in self._next:
                consumer.seek(partition, self._next[partition])
            else:
                self._next[partition] = await consumer.position(partition)
