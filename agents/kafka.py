"""The lanes' way to Kafka: compare-and-append on the state changelog, publication, and what a take-over reads."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from agents.log import Surroundings
from agents.state import PartitionState, StateRecord, placed
from domain import BUSINESS
from domain.realm import Realm
from topics.access import for_aiokafka
from topics.catalogue import BATCH_LIMIT, TOPICS_OF
from topics.cloudevents import Record, read, size_of
from topics.settings import Settings

#: Longest wait for an acknowledgement: an idempotent producer retries for ever, and a worker that cannot write
#: must leave rather than hold its partitions.
PATIENCE = 20.0


class KafkaLog:
    """See `agents.log.Log`. One producer and one reader for all lanes of a worker."""

    def __init__(
        self,
        settings: Settings,
        group: str,
        commands_topic_id: str,
        check_owned: Callable[[int], None],
        realm: Realm = BUSINESS,
    ) -> None:
        self._settings = settings
        self._group = group
        self._commands_topic_id = commands_topic_id
        self.check_owned = check_owned
        topics = TOPICS_OF[realm.name]
        self._commands, self._commands_limit = topics.commands.named(settings.prefix), topics.commands.limit
        self._events = topics.events.named(settings.prefix)
        self._outcomes = topics.outcomes.named(settings.prefix)
        self._state = topics.state.named(settings.prefix)
        self._producer = AIOKafkaProducer(
            **for_aiokafka(settings),
            client_id=f"{group}-lanes",
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=BATCH_LIMIT - 64 * 1024,
            max_request_size=BATCH_LIMIT,
            request_timeout_ms=15_000,
        )
        self._ends = AIOKafkaConsumer(**for_aiokafka(settings), client_id=f"{group}-ends")
        self._admin = AIOKafkaAdminClient(**for_aiokafka(settings), client_id=f"{group}-admin")

    async def start(self) -> None:
        await self._producer.start()
        await self._ends.start()
        await self._admin.start()

    async def stop(self) -> None:
        await self._producer.stop()
        await self._ends.stop()
        await self._admin.close()

    async def append(self, partition: int, records: Sequence[StateRecord], expect: int) -> int | None:
        batch = self._producer.create_batch()
        for index, (key, value) in enumerate(records):
            if batch.append(key=key.encode(), value=value, timestamp=None, headers=placed(expect, index)) is None:
                raise RuntimeError(f"a commit of {len(records)} state records does not fit into one Kafka batch")
        batch.close()
        acknowledged = await self._producer.send_batch(batch, self._state, partition=partition)
        async with asyncio.timeout(PATIENCE):
            metadata = await acknowledged
        return metadata.offset if metadata.offset >= 0 else None

    async def publish(self, records: Sequence[Record]) -> None:
        by_place: dict[tuple[str, int], list[Record]] = defaultdict(list)
        for record in records:
            by_place[record.topic, record.partition].append(record)
        waits = [wait for place, sent in by_place.items() for wait in await self._send(*place, sent)]
        if waits:
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*waits)

    async def _send(self, topic: str, partition: int, records: Sequence[Record]) -> list["asyncio.Future[Any]"]:
        """Send in as many batches as needed; a producer keeps batches of one partition in order."""
        waits = []
        batch = self._producer.create_batch()
        # Commands have a smaller limit than the rest: see the catalogue.
        limit = self._commands_limit if topic == self._commands else None
        for record in records:
            while not _put(batch, record, limit):
                if batch.record_count() == 0:
                    raise RuntimeError(f"a record for {topic} does not fit into one Kafka batch")
                waits.append(await self._producer.send_batch(batch, topic, partition=partition))
                batch = self._producer.create_batch()
        waits.append(await self._producer.send_batch(batch, topic, partition=partition))
        return waits

    async def end(self, partition: int) -> int:
        return await self._end_of(self._state, partition)

    async def read(self, state: PartitionState) -> None:
        end = await self.end(state.partition)
        if end <= state.end:
            return
        async with self._reader(self._state, state.partition, state.end) as records:
            async for record in records(end):
                state.read(record.offset, record.key.decode(), record.value, record.headers)
        state.end = max(state.end, end)

    async def surroundings(self, partition: int) -> Surroundings:
        place = TopicPartition(self._commands, partition)
        starts = await self._ends.beginning_offsets([place])
        committed = await self._admin.list_consumer_group_offsets(self._group, partitions=[place])
        found = committed.get(place)
        return Surroundings(
            commands_topic_id=self._commands_topic_id,
            commands_start=starts[place],
            commands_end=await self._end_of(self._commands, partition),
            group_offset=found.offset if found is not None and found.offset >= 0 else None,
            events_end=await self._end_of(self._events, partition),
        )

    async def journal(self, partition: int, last: int | None = None) -> list[Record]:
        return await self._positioned(self._events, partition, last)

    async def outcomes(self, partition: int) -> list[Record]:
        """Records of the outcomes topic of the partition that have not expired, each position once."""
        return await self._positioned(self._outcomes, partition, None)

    async def _positioned(self, topic: str, partition: int, last: int | None) -> list[Record]:
        """Records up to position `last`; what comes again, or behind a later one, is a repetition."""
        end = await self._end_of(topic, partition)
        found: list[Record] = []
        if end == 0:
            return found  # aiokafka cannot stop a consumer that has had no time to begin
        reached = 0
        async with self._reader(topic, partition, 0) as records:
            async for message in records(end):
                record = to_record(message)
                position = int(read(record).attributes["sequence"])
                if position > reached and (last is None or position <= last):
                    reached = position
                    found.append(record)
        return found

    async def _end_of(self, topic: str, partition: int) -> int:
        place = TopicPartition(topic, partition)
        ends: dict[TopicPartition, int] = await self._ends.end_offsets([place])
        return ends[place]

    @asynccontextmanager
    async def _reader(
        self, topic: str, partition: int, start: int
    ) -> AsyncIterator[Callable[[int], AsyncIterator[Any]]]:
        """A consumer of one partition, without a group, from `start`; call it with the offset to stop before."""
        consumer = AIOKafkaConsumer(
            **for_aiokafka(self._settings),
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            max_partition_fetch_bytes=BATCH_LIMIT,
        )
        await consumer.start()
        place = TopicPartition(topic, partition)
        consumer.assign([place])
        consumer.seek(place, start)

        async def records(end: int) -> AsyncIterator[Any]:
            while await consumer.position(place) < end:
                for message in (await consumer.getmany(place, timeout_ms=500, max_records=5000)).get(place, []):
                    yield message

        try:
            yield records
        finally:
            await consumer.stop()


def _put(batch: Any, record: Record, limit: int | None) -> bool:
    """False where the batch is full."""
    if limit and batch.record_count() and batch.size() + size_of(record) > limit:
        return False
    headers = list(record.headers)
    return batch.append(key=record.key, value=record.value, timestamp=None, headers=headers) is not None


def to_record(message: Any) -> Record:
    """A record as aiokafka consumed it."""
    return Record(
        message.topic,
        message.partition,
        message.key,
        message.value,
        tuple(message.headers),
        message.offset,
        message.timestamp,
    )
