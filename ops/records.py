"""Topics as they lie on the broker, read by a plain consumer outside every group: nothing is committed."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from operator import methodcaller

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from ops.errors import Fault
from topics import cloudevents
from topics.access import FORBIDDEN_CODES, QUIET, Refusals, check, for_librdkafka
from topics.catalogue import DEAD_LETTERS
from topics.cloudevents import UNREADABLE, Headers, Record
from topics.settings import Settings

AT_ONCE = 5000
HEADERS = methodcaller("headers")
WAIT_SECONDS = 0.1
ANSWER_SECONDS = 10.0
#: How long Kafka may hold a fetch that finds nothing: for who reads up to an end and then asks for something else,
#: which Kafka answers after that, and for who follows what comes.
READING_HELD_MS, FOLLOWING_HELD_MS = 10, 500
#: What Kafka says of a partition that has just been made, or is just moving.
LEADERLESS = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_TOPIC_OR_PART)


@dataclass(frozen=True)
class Bounds:
    """First offset that is kept, and the offset that the next record will have."""

    first: int
    end: int


@contextmanager
def consumer(settings: Settings, held_ms: int = READING_HELD_MS) -> Iterator[Consumer]:
    """A consumer that belongs to no group. Raises Fault where Kafka does not answer, NoAccess where it refuses."""
    check(settings)
    refusals = Refusals(settings)
    opened = Consumer(
        for_librdkafka(settings)
        | {
            "group.id": f"{settings.prefix}.shell",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "fetch.message.max.bytes": 9 * 1024 * 1024,
            "fetch.wait.max.ms": held_ms,
        },
        logger=QUIET,
        error_cb=refusals,
    )
    try:
        yield opened
    except KafkaException as fault:
        refusals(fault.args[0])
        opened.poll(0)
        refusals.tell(fault)
        raise Fault(f"Kafka at {settings.kafka} failed: {fault.args[0].str()}. Look with: bitcorp doctor") from fault
    finally:
        opened.close()


def partitions(reader: Consumer, topic: str) -> list[int]:
    """The topic's partitions. Raises Fault where there is no such topic."""
    found = reader.list_topics(topic, timeout=ANSWER_SECONDS).topics[topic]
    if found.error is not None and found.error.code() in FORBIDDEN_CODES:
        raise KafkaException(found.error)
    if found.error is not None:
        raise Fault(f"There is no topic {topic} ({found.error.str()}). Create the topics with: bitcorp topics apply")
    return sorted(found.partitions)


def bounds(reader: Consumer, topic: str, partition: int) -> Bounds:
    """What the partition holds now; waits some seconds for its leader."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            return Bounds(*reader.get_watermark_offsets(TopicPartition(topic, partition), timeout=ANSWER_SECONDS))
        except KafkaException as fault:
            if fault.args[0].code() not in LEADERLESS or time.monotonic() > deadline:
                raise
        time.sleep(WAIT_SECONDS)


def read(reader: Consumer, topic: str, partition: int, start: int, end: int) -> Iterator[Record]:
    """The partition's records from offset `start` up to, not including, `end`."""
    yield from read_several(reader, topic, {partition: (start, end)})


def read_several(reader: Consumer, topic: str, parts: Mapping[int, tuple[int, int]]) -> Iterator[Record]:
    """Records of several partitions, mixed, each from its start offset up to, not including, its end."""
    ends = {partition: end for partition, (start, end) in parts.items() if start < end}
    at = {partition: parts[partition][0] for partition in ends}
    reader.assign([TopicPartition(topic, partition, start) for partition, start in at.items()])
    heard = time.monotonic()
    while left := sum(end - at[partition] for partition, end in ends.items() if at[partition] < end):
        for message in _batch(reader, min(AT_ONCE, left)):
            heard = time.monotonic()
            partition = message.partition() or 0
            at[partition] = _after(message)
            if message.error() is None and at[partition] <= ends[partition]:
                yield record_of(message)
        if time.monotonic() - heard > ANSWER_SECONDS:
            raise Fault(f"Kafka sent nothing of {topic} for {ANSWER_SECONDS:.0f} s; {left} records are missing.")


def tails(reader: Consumer, topic: str, count: int = 1) -> dict[int, list[Record]]:
    """The last records of each partition that has any, at most `count` of each."""
    kept = {partition: bounds(reader, topic, partition) for partition in partitions(reader, topic)}
    found: dict[int, list[Record]] = {}
    for record in read_several(reader, topic, {p: (max(b.first, b.end - count), b.end) for p, b in kept.items()}):
        found.setdefault(record.partition, []).append(record)
    return found


def last_positions(reader: Consumer, topic: str) -> dict[int, int]:
    """The last position of each partition that has one, in a topic of events, outcomes or dead letters."""
    return {p: _position(found[-1]) for p, found in tails(reader, topic).items()}


def _position(record: Record) -> int:
    """Dead letters are counted by their offsets."""
    if record.topic.endswith(DEAD_LETTERS.name):
        return record.offset + 1
    return int(cloudevents.read(record).attributes["sequence"])


def read_all(settings: Settings, topic: str) -> Iterator[Record]:
    """All that the topic holds now, partition by partition."""
    with consumer(settings) as reader:
        for partition in partitions(reader, topic):
            kept = bounds(reader, topic, partition)
            yield from read(reader, topic, partition, kept.first, kept.end)


def follow(settings: Settings, topic: str, *, from_beginning: bool = False) -> Iterator[Record]:
    """The topic's records as they come, until the caller stops."""
    with consumer(settings, FOLLOWING_HELD_MS) as reader:
        reader.assign(
            [
                TopicPartition(topic, p, OFFSET_BEGINNING if from_beginning else bounds(reader, topic, p).end)
                for p in partitions(reader, topic)
            ]
        )
        while True:
            for message in _batch(reader, AT_ONCE):
                if message.error() is None:
                    yield record_of(message)


def record_of(message: Message) -> Record:
    return Record(
        topic=message.topic() or "",
        partition=message.partition() or 0,
        key=_bytes(message.key()),
        value=_bytes(message.value()),
        headers=_headers(message),
        offset=message.offset() or 0,
        timestamp=message.timestamp()[1],
    )


def _headers(message: Message) -> Headers:
    """Where a name is not UTF-8, confluent-kafka gives a broken list and sets an exception: none of them can be had.
    Only a call from C is sure to notice: Python's own, once it runs hot, would go on with the list and crash."""
    try:
        return tuple(HEADERS(message) or ())
    except SystemError:
        return ((UNREADABLE, None),)


def _batch(reader: Consumer, most: int) -> Iterator[Message]:
    """Records, and where a partition ends a message whose error says so."""
    for message in reader.consume(most, timeout=WAIT_SECONDS):
        fault = message.error()
        if fault is None or fault.code() == KafkaError._PARTITION_EOF:
            yield message
        elif not fault.retriable():
            raise KafkaException(fault)


def _after(message: Message) -> int:
    """The offset that follows; at a partition's end compaction may have left none before it."""
    offset = message.offset() or 0
    return offset if message.error() else offset + 1


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
