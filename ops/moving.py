"""Records on their way into topics of another number of partitions, each where its key belongs there.

Old partitions are read one after the other, so every company's records keep their order. The last record of a new
partition says where it came from: whoever is called again goes on behind it, and nothing has to be noted elsewhere.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

from confluent_kafka import Consumer, KafkaError, Message, Producer

from domain.engine import NO_CHAIN
from ops.errors import Fault
from ops.records import bounds, partitions, read, tails
from topics import cloudevents
from topics.access import QUIET, for_librdkafka
from topics.audit import is_valid
from topics.catalogue import AUDIT, BATCH_LIMIT, DEAD_LETTERS, IMPORTS, TOPICS_OF, RealmTopics, Topic, partition_of
from topics.cloudevents import Record
from topics.moved import Place, Positions, came_from, moved, moved_audited, moved_event, moved_outcome
from topics.settings import Settings

DELIVERY_SECONDS = 60.0
#: Topics with records that are moved. Commands are decided, and state is folded again from the rest.
MOVED_TOPICS = (
    *(topic for topics in TOPICS_OF.values() for topic in (topics.events, topics.outcomes, topics.dead_letters)),
    IMPORTS,
    AUDIT,
)

Advance = Callable[[float], object]


@dataclass(frozen=True)
class End:
    """How far a new partition is filled: its number of records, where its last one came from, and, of the audit, the
    chain value."""

    count: int = 0
    after: Place = (-1, -1)
    chain: bytes = NO_CHAIN


#: Gives the record as it is written to the new partition, at the end that is given, and the end's next chain value.
Rewrite = Callable[[Record, int, End], tuple[Record, bytes]]


class Mover:
    """Moves all records of a platform to the topics of another, which are there."""

    def __init__(self, reader: Consumer, old: Settings, new: Settings) -> None:
        self._reader, self._old, self._new = reader, old, new
        self._refused: list[KafkaError] = []
        given = {"acks": "all", "enable.idempotence": True, "compression.type": "gzip", "linger.ms": 20}
        limits = {"message.max.bytes": BATCH_LIMIT, "queue.buffering.max.kbytes": 256 * 1024}
        self._producer = Producer(for_librdkafka(new) | given | limits, logger=QUIET)

    def move(self, advance: Advance) -> None:
        """All topics. Raises Fault where a record cannot be moved; then it can be called again."""
        for topics in TOPICS_OF.values():
            self._move_realm(topics, advance)
        self._fill(IMPORTS, self._verbatim(IMPORTS), advance)
        self._fill(AUDIT, self._audited(), advance)

    def _move_realm(self, topics: RealmTopics, advance: Advance) -> None:
        events, name = Positions(), topics.events.named(self._new.prefix)
        count = len(partitions(self._reader, topics.outcomes.named(self._old.prefix)))

        def told(record: Record, partition: int, end: End) -> tuple[Record, bytes]:
            topic = topics.outcomes.named(self._new.prefix)
            return moved_outcome(record, topic, partition, end.count + 1, count, events), NO_CHAIN

        def happened(record: Record, partition: int, end: End) -> tuple[Record, bytes]:
            return moved_event(record, name, partition, end.count + 1), NO_CHAIN

        self._fill(topics.events, happened, advance, events)
        self._fill(topics.outcomes, told, advance)
        self._fill(topics.dead_letters, self._verbatim(topics.dead_letters), advance)

    def _verbatim(self, topic: Topic) -> Rewrite:
        name = topic.named(self._new.prefix)
        return lambda record, partition, end: (moved(record, name, partition), NO_CHAIN)

    def _audited(self) -> Rewrite:
        """The audit's last records say how far the outcomes are told; all that were moved are."""
        name, read = AUDIT.named(self._new.prefix), self._ends_of_outcomes()
        return lambda record, partition, end: moved_audited(
            record, name, partition, end.count + 1, read[partition], end.chain
        )

    def _ends_of_outcomes(self) -> list[dict[str, int]]:
        names = {realm: topics.outcomes.named(self._new.prefix) for realm, topics in TOPICS_OF.items()}
        return [
            {realm: bounds(self._reader, name, partition).end for realm, name in names.items()}
            for partition in range(self._new.partitions)
        ]

    def _fill(self, topic: Topic, rewrite: Rewrite, advance: Advance, positions: Positions | None = None) -> None:
        ends = ends_of(self._reader, topic.named(self._new.prefix), self._new.partitions)
        for record in records_of(self._reader, topic, self._old):
            partition = home_of(record, self._new.partitions)
            if positions is not None:
                positions.take(record.partition, position_of(record), partition)
            end, place = ends[partition], (record.partition, record.offset)
            if place > end.after:
                written, chain = rewrite(record, partition, end)
                self._send(written)
                ends[partition] = End(end.count + 1, place, chain)
            advance(1)
        self._flush()
        self._check(topic, ends)

    def _send(self, record: Record) -> None:
        send = partial(
            self._producer.produce,
            record.topic,
            record.value,
            record.key,
            record.partition,
            on_delivery=self._delivered,
            timestamp=record.timestamp,
            headers=list(record.headers),
        )
        try:
            send()
        except BufferError:
            self._producer.poll(1.0)
            self._send(record)
            return
        self._producer.poll(0)
        self._raise_refused()

    def _delivered(self, fault: KafkaError | None, _: Message) -> None:
        if fault is not None:
            self._refused.append(fault)

    def _flush(self) -> None:
        left = self._producer.flush(DELIVERY_SECONDS)
        self._raise_refused()
        if left:
            raise Fault(f"Kafka did not take {left} records within {DELIVERY_SECONDS:.0f} s. {AGAIN}")

    def _raise_refused(self) -> None:
        if self._refused:
            raise Fault(f"Kafka did not take a record: {self._refused[0].str()}. {AGAIN}")

    def _check(self, topic: Topic, ends: Mapping[int, End]) -> None:
        """Nobody else writes there, and nothing of a killed predecessor has come in late."""
        name = topic.named(self._new.prefix)
        for partition, end in ends.items():
            found = bounds(self._reader, name, partition).end
            if found != end.count:
                raise Fault(
                    f"{name}, partition {partition} has {found} records instead of {end.count}: somebody else has "
                    "written there. Begin anew: bitcorp topics repartition --give-up, then call it again."
                )


AGAIN = "Call it again: it goes on where it stopped."


def ends_of(reader: Consumer, topic: str, count: int) -> dict[int, End]:
    """How far each of the new topic's partitions is filled. Raises Fault where others have written there."""
    found = {partition: End() for partition in range(count)}
    for partition, (last, *_) in tails(reader, topic).items():
        place = came_from(last)
        if place is None:
            raise Fault(f"{topic} holds records that were not moved there: the platform {topic} is at work already.")
        found[partition] = replace(End(), count=last.offset + 1, after=place, chain=_chain_of(last))
    return found


def _chain_of(record: Record) -> bytes:
    text = dict(record.headers).get("ce_chain")
    return bytes.fromhex(text.decode()) if text else NO_CHAIN


def records_of(reader: Consumer, topic: Topic, settings: Settings) -> Iterator[Record]:
    """All records of the topic that count, each once, one partition after the other."""
    name = topic.named(settings.prefix)
    for partition in partitions(reader, name):
        kept = bounds(reader, name, partition)
        yield from counting(topic, read(reader, name, partition, kept.first, kept.end))


def counting(topic: Topic, records: Iterator[Record]) -> Iterator[Record]:
    """Those records of a partition that readers take, by the rule of their topic."""
    if topic is AUDIT:
        return (record for record in records if is_valid(record, cloudevents.read(record).attributes))
    if topic is IMPORTS or topic.name.endswith(DEAD_LETTERS.name):
        return records
    return _each_once(records)


def _each_once(records: Iterator[Record]) -> Iterator[Record]:
    """Positions in order; what comes again is a repetition."""
    reached = 0
    for record in records:
        position = position_of(record)
        if position > reached:
            reached = position
            yield record


def position_of(record: Record) -> int:
    return int(cloudevents.read(record).attributes["sequence"])


def home_of(record: Record, count: int) -> int:
    """The partition of its key among so many; a record without a key stays near where it is."""
    return record.partition % count if record.key is None else partition_of(record.key, count)


def census(
    reader: Consumer, old: Settings, count: int, advance: Advance
) -> dict[str, tuple[Counter[int], Counter[int]]]:
    """By topic the records of each old partition, and how many each of `count` new ones would get."""
    found = {}
    for topic in MOVED_TOPICS:
        before, after = found[topic.name] = Counter[int](), Counter[int]()
        for record in records_of(reader, topic, old):
            before[record.partition] += 1
            after[home_of(record, count)] += 1
            advance(1)
    return found


def size(reader: Consumer, old: Settings) -> int:
    """How many records there are to be moved, repetitions included."""
    names = [topic.named(old.prefix) for topic in MOVED_TOPICS]
    kept = [bounds(reader, name, partition) for name in names for partition in partitions(reader, name)]
    return sum(part.end - part.first for part in kept)
