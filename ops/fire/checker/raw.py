"""Topics as they lie on the broker: every record that they hold now, as bytes and headers."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from operator import methodcaller
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from topics.access import for_librdkafka
from topics.settings import Settings

AT_ONCE, WAIT_SECONDS, PATIENCE_SECONDS = 5000, 0.05, 30.0
#: confluent-kafka breaks on a header whose name is not UTF-8: called from C it says so, from Python it may crash.
HEADERS = methodcaller("headers")

Headers = tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True)
class Raw:
    """One record. `headers` are empty where they cannot be had."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def where(self) -> str:
        return f"{self.topic}/{self.partition} offset {self.offset}"

    @property
    def company(self) -> str:
        return (self.key or b"").decode(errors="replace")

    @cached_property
    def header(self) -> dict[str, str]:
        """Headers as text; of several with one name the last."""
        return {name: (value or b"").decode(errors="replace") for name, value in self.headers}

    def said(self, attribute: str) -> str:
        """A CloudEvents attribute, empty where there is none."""
        return self.header.get(f"ce_{attribute}", "")

    def number(self, attribute: str) -> int:
        """The same where it is a number, 0 where it is none."""
        text = self.said(attribute)
        return int(text) if text.isascii() and text.isdigit() else 0

    @property
    def digest(self) -> bytes:
        """Tells the record's content from any other."""
        return sha256(repr((self.key, self.value, self.headers)).encode()).digest()


@contextmanager
def reading(settings: Settings) -> Iterator["Reading"]:
    """A consumer outside every group's work, as long as the block lasts."""
    given = {"group.id": f"{settings.prefix}.shell", "enable.auto.commit": False, "enable.partition.eof": True}
    limits = {"fetch.message.max.bytes": 9 * 1024 * 1024, "fetch.wait.max.ms": 20}
    with closing(Consumer(for_librdkafka(settings) | given | limits)) as consumer:
        yield Reading(settings, consumer)


@dataclass(frozen=True)
class Reading:
    """Reads one topic of the settings' prefix after the other."""

    settings: Settings
    consumer: Any

    def all(self, name: str) -> Iterator[Raw]:
        """All that the topic holds up to its present ends; the order of each partition is kept. Raises TimeoutError."""
        topic, partitions = f"{self.settings.prefix}.{name}", set(range(self.settings.partitions))
        self.consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
        yield from _until_the_ends(self.consumer, partitions)


def _until_the_ends(reader: Any, left: set[int]) -> Iterator[Raw]:
    heard = time.monotonic()
    while left:
        for message in reader.consume(AT_ONCE, WAIT_SECONDS):
            heard = time.monotonic()
            if _is_record(message):
                yield _raw(message)
            else:
                left.discard(message.partition())
        if time.monotonic() - heard > PATIENCE_SECONDS:
            raise TimeoutError(f"Kafka sends nothing more of partitions {sorted(left)}")


def _is_record(message: Any) -> bool:
    """False where it says that a partition ends here."""
    fault = message.error()
    if fault is not None and fault.code() != KafkaError._PARTITION_EOF:
        raise KafkaException(fault)
    return fault is None


def _raw(message: Any) -> Raw:
    return Raw(
        message.topic(), message.partition(), message.offset(), message.key(), message.value(), _headers(message)
    )


def _headers(message: Any) -> Headers:
    try:
        return tuple(HEADERS(message) or ())
    except SystemError:
        return ()
