"""The audit worker: copies the outcome of every command, of all realms, into the audit topic, which is kept for ever.

It keeps nothing: the last valid record of a partition says how far it has read and carries the chain on, and a batch of
records is appended whole or not at all. Where two workers write to a partition, one of them finds its batch elsewhere
than expected: those records are void (see `topics.audit`), and it begins again at what the other has written.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import IllegalStateError

from agents.faust_app import EXIT_FAULT, run, say_goodbye, until_told
from agents.kafka import to_record
from agents.transport import gather
from domain import REALMS
from domain.engine import NO_CHAIN
from topics import cloudevents, metrics
from topics.access import for_aiokafka
from topics.audit import audited, is_valid, progress, write_audited
from topics.catalogue import AUDIT, BATCH_LIMIT, TOPICS_OF
from topics.cloudevents import Record
from topics.settings import Settings

logger = structlog.get_logger("audit")

AT_ONCE = 1000
WAIT_MILLISECONDS = 500
PATIENCE = 20.0


def group_of(settings: Settings) -> str:
    """The consumer group of the audit workers."""
    return f"{settings.prefix}-audit"


@dataclass
class Tail:
    """The end of a partition of the audit: the offset of its next record, its chain, and what it has read by realm."""

    end: int = 0
    chain: bytes = NO_CHAIN
    read: dict[str, int] = field(default_factory=dict)

    def after(self, realm: str, records: Sequence[Record], topic: str) -> tuple["Tail", list[Record]]:
        """The tail when these outcomes are recorded, and the records for that."""
        now, made = Tail(self.end, self.chain, dict(self.read)), []
        for record in records:
            now.read[realm] = record.offset + 1
            now.end += 1
            written, now.chain = write_audited(audited(realm, record), topic, now.end, now.read, now.chain)
            made.append(written)
        return now, made


def tail_of(records: Iterable[Record], end: int) -> Tail | None:
    """The tail that the last valid one of the records leads to; None where none is valid."""
    found = None
    for record in records:
        attributes = cloudevents.read(record).attributes
        if is_valid(record, attributes):
            found = Tail(end, bytes.fromhex(attributes["chain"]), progress(attributes))
    return found


class AuditLog:
    """The audit topic as its writer sees it."""

    def __init__(self, settings: Settings) -> None:
        self.topic = AUDIT.named(settings.prefix)
        name = f"{group_of(settings)}-writer"
        self._producer = AIOKafkaProducer(
            **for_aiokafka(settings),
            client_id=name,
            acks="all",
            enable_idempotence=True,
            compression_type="gzip",
            max_batch_size=BATCH_LIMIT - 64 * 1024,
            max_request_size=BATCH_LIMIT,
            request_timeout_ms=15_000,
        )
        self._reader = AIOKafkaConsumer(
            **for_aiokafka(settings), client_id=f"{name}-reader", max_partition_fetch_bytes=BATCH_LIMIT
        )

    async def start(self) -> None:
        await self._producer.start()
        await self._reader.start()

    async def stop(self) -> None:
        await self._producer.stop()
        await self._reader.stop()

    async def append(self, partition: int, records: Sequence[Record]) -> int:
        """Append the records in one batch; gives the offset at which it begins."""
        batch = self._producer.create_batch()
        for record in records:
            if batch.append(key=record.key, value=record.value, timestamp=None, headers=list(record.headers)) is None:
                raise RuntimeError(f"{len(records)} records of the audit do not fit into one Kafka batch")
        batch.close()
        acknowledged = await self._producer.send_batch(batch, self.topic, partition=partition)
        async with asyncio.timeout(PATIENCE):
            return int((await acknowledged).offset)

    async def tail(self, partition: int) -> Tail:
        """What the partition ends with: further back where void records lie at its end."""
        place = TopicPartition(self.topic, partition)
        self._reader.assign([place])
        end = (await self._reader.end_offsets([place]))[place]
        count = 1
        while True:
            found = tail_of(await self._last(place, max(0, end - count), end), end)
            if found is not None or count >= end:
                return found or Tail(end)
            count *= 10

    async def _last(self, place: TopicPartition, start: int, end: int) -> list[Record]:
        found: list[Record] = []
        self._reader.seek(place, start)
        while start + len(found) < end:
            fetched = await self._reader.getmany(place, timeout_ms=WAIT_MILLISECONDS)
            found += [to_record(message) for message in fetched.get(place, ())]
        return found


def start_of(place: TopicPartition, wanted: int, first: int, end: int) -> int:
    """Where reading goes on. What the topic has forgotten unread is missing for ever. Raises RuntimeError where it is
    not the topic that was read before."""
    if wanted > end:
        raise RuntimeError(
            f"{place.topic}/{place.partition} ends at offset {end}, the audit has read up to {wanted}: it is another "
            "topic, or has lost records"
        )
    if first > wanted:
        logger.error("outcomes expired unread", topic=place.topic, partition=place.partition, missing=first - wanted)
    return max(first, wanted)


class Recorder(ConsumerRebalanceListener):  # type: ignore[misc]
    """One process that records the partitions that its group assigns to it."""

    def __init__(self, settings: Settings) -> None:
        self._prefix = settings.prefix
        self._realms = {TOPICS_OF[name].outcomes.named(settings.prefix): name for name in REALMS}
        self._log = AuditLog(settings)
        self._tails: dict[int, Tail] = {}
        # Its assignor gives a worker the same partitions of all topics, whose numbers of partitions are equal.
        self._consumer = AIOKafkaConsumer(
            **for_aiokafka(settings),
            client_id=group_of(settings),
            group_id=group_of(settings),
            partition_assignment_strategy=(RangePartitionAssignor,),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=int(settings.session_seconds * 1000),
            heartbeat_interval_ms=int(settings.session_seconds * 100),
        )

    async def start(self) -> None:
        await self._log.start()
        self._consumer.subscribe(list(self._realms), listener=self)
        await self._consumer.start()
        gather(self._consumer)

    async def stop(self) -> None:
        await self._consumer.stop()
        await self._log.stop()

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """What is just being appended counts, or is void if the next owner is faster."""

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Nothing is read before `_open` has said from where."""
        self._tails.clear()
        self._consumer.pause(*assigned)

    async def record_for_ever(self) -> None:
        """Raises whatever Kafka does: whoever starts this process again goes on where it was."""
        while True:
            for partition in {place.partition for place in self._consumer.assignment()} - self._tails.keys():
                with suppress(IllegalStateError):  # the partition is being taken away
                    await self._open(partition)
            fetched = await self._consumer.getmany(timeout_ms=WAIT_MILLISECONDS, max_records=AT_ONCE)
            by_partition: dict[int, dict[str, list[Any]]] = defaultdict(dict)
            for place, messages in fetched.items():
                by_partition[place.partition][self._realms[place.topic]] = messages
            await asyncio.gather(*(self._record(p, found) for p, found in by_partition.items()))

    async def _open(self, partition: int) -> None:
        """Read on behind what is recorded."""
        tail = await self._log.tail(partition)
        places = {TopicPartition(topic, partition): realm for topic, realm in self._realms.items()}
        first = await self._consumer.beginning_offsets(list(places))
        ends = await self._consumer.end_offsets(list(places))
        for place, realm in places.items():
            tail.read[realm] = start_of(place, tail.read.get(realm, 0), first[place], ends[place])
            self._consumer.seek(place, tail.read[realm])
        self._tails[partition] = tail
        self._consumer.resume(*places)

    async def _record(self, partition: int, fetched: Mapping[str, Sequence[Any]]) -> None:
        for realm, messages in fetched.items():
            tail = self._tails.get(partition)
            if tail is None or messages[0].offset != tail.read[realm]:
                self._tails.pop(partition, None)  # assigned anew, or fetched before that
                return
            new, records = tail.after(realm, [to_record(message) for message in messages], self._log.topic)
            landed = await self._log.append(partition, records)
            if landed != tail.end:
                logger.warning("another worker writes", partition=partition, expected=tail.end, landed=landed)
                self._tails.pop(partition, None)
                return
            if self._tails.get(partition) is tail:  # not while it was assigned anew
                self._tails[partition] = new
            self._observe(realm, partition, messages)

    def _observe(self, realm: str, partition: int, messages: Sequence[Any]) -> None:
        place = TopicPartition(TOPICS_OF[realm].outcomes.named(self._prefix), partition)
        end = self._consumer.highwater(place) or 0
        metrics.AUDIT_RECORDS.labels(realm).inc(len(messages))
        metrics.AUDIT_LAG.labels(realm, str(partition)).set(max(0, end - messages[-1].offset - 1))

    async def serve(self) -> int:
        """Run until SIGTERM or SIGINT (exit code 0) or a fault (another)."""
        await self.start()
        logger.info("worker started", group=self._consumer._group_id)
        left = asyncio.Event()
        recording = asyncio.create_task(self.record_for_ever())
        recording.add_done_callback(lambda _: left.set())
        await until_told([], left)
        if recording.done():
            logger.error("worker leaves", exc_info=recording.exception())
            return EXIT_FAULT
        recording.cancel()
        await say_goodbye(self.stop())
        return 0


async def _serve(settings: Settings) -> int:
    return await Recorder(settings).serve()


def main(settings: Settings) -> None:
    """Run one audit worker until it is told to stop; ends the process."""
    run(settings, "audit", lambda: _serve(settings))
