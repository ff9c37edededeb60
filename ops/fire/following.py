"""When outcomes and dead letters came, seen from outside, whatever the broker goes through."""

import time
from collections.abc import Iterator
from contextlib import suppress

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

from ops.background import Background
from ops.records import record_of
from topics.access import QUIET, for_librdkafka
from topics.catalogue import DEAD_LETTERS, OUTCOMES
from topics.cloudevents import Record
from topics.settings import Settings


class Follower(Background):
    """Reads both topics from their beginnings in a thread: command id -> Unix seconds, the first time."""

    def __init__(self, settings: Settings) -> None:
        super().__init__("follower")
        self.outcomes: dict[str, float] = {}
        self.letters: dict[str, float] = {}
        self._settings = settings
        self._outcomes, self._letters = (topic.named(settings.prefix) for topic in (OUTCOMES, DEAD_LETTERS))

    def run(self) -> None:
        given = {"group.id": "fire", "enable.auto.commit": False, "fetch.message.max.bytes": 9 * 1024 * 1024}
        reader = Consumer(for_librdkafka(self._settings) | given, logger=QUIET)
        reader.assign(list(self._places()))
        while not self.ending.is_set():
            with suppress(KafkaException):  # the broker is away: it comes back
                self._take(reader.consume(500, 0.1))
        reader.close()

    def _places(self) -> Iterator[TopicPartition]:
        for name in (self._outcomes, self._letters):
            for partition in range(self._settings.partitions):
                yield TopicPartition(name, partition, OFFSET_BEGINNING)

    def _take(self, messages: list[Message]) -> None:
        now = time.time()
        for record in (record_of(message) for message in messages if message.error() is None):
            if record.topic == self._outcomes:
                self.outcomes.setdefault(str(orjson.loads(record.value or b"")["command_id"]), now)
            elif (found := _id_of(record)) is not None:
                self.letters.setdefault(found, now)


def _id_of(letter: Record) -> str | None:
    """The id that a dead letter's headers name."""
    return next((value.decode("utf-8", "replace") for name, value in letter.headers if name == "ce_id" and value), None)
