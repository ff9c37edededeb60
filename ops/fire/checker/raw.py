"""Topics as they lie on the broker: every record that they hold now, as bytes and headers."""

import time
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from operator import methodcaller
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

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


def read(settings: Settings, topics: Collection[str]) -> Iterator[Raw]:
    """All that the topics hold up to their present ends, mixed; the order of each partition is kept.

    Raises TimeoutError. One consumer asks for all at once: to each further question librdkafka takes a second.
    """
    given = {"group.id": f"{settings.prefix}.shell", "enable.auto.commit": False, "enable.partition.eof": True}
    limits = {"auto.offset.reset": "earliest", "fetch.message.max.bytes": 9 * 1024 * 1024, "fetch.wait.max.ms": 20}
    places = {(topic, partition) for topic in topics for partition in range(settings.partitions)}
    with closing(Consumer(for_librdkafka(settings) | given | limits)) as reader:
        reader.assign([TopicPartition(*place, 0) for place in places])
        yield from _until_the_ends(reader, places)


def _until_the_ends(reader: Any, left: set[tuple[str, int]]) -> Iterator[Raw]:
    heard = time.monotonic()
    while left:
        for message in reader.consume(AT_ONCE, WAIT_SECONDS):
            heard = time.monotonic()
            if _is_record(message):
                yield _raw(message)
            else:
                left.discard((message.topic(), message.partition()))
        if time.monotonic() - heard > PATIENCE_SECONDS:
            raise TimeoutError(f"Kafka sends nothing more of {sorted(left)}")


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
