"""Commands of a crowd, sent no faster than lanes answer them, so that others' commands hardly wait.

A lane decides in the order of its topic: what waits before an interactive command delays it. So few are on their way
at a time, and between two handfuls the lane is left alone for as long as the first one took.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from domain.record import Outcome
from topics.access import for_aiokafka
from topics.catalogue import OUTCOMES
from topics.cloudevents import Record
from topics.messages import CommandMessage, read_outcome
from topics.publisher import Publisher, Unavailable
from topics.settings import Settings

#: Commands that are on their way to a lane at a time: with 50, p99 of others was twice to three times as long.
HANDFUL = 10
#: Rest after a handful, in times of what its answers took.
REST = 1.0
LONGEST_REST = 5.0
RETRY_SECONDS = 1.0
LOOK_AGAIN_SECONDS = 30.0

log = structlog.get_logger(__name__)


class Pacer:
    """`await pacer.decided(commands)` publishes at most a handful of commands and gives their outcomes."""

    def __init__(self, settings: Settings, publisher: Publisher) -> None:
        """Nothing is opened yet; the publisher is its owner's to start and stop."""
        self._client = for_aiokafka(settings)
        self._topic = OUTCOMES.named(settings.prefix)
        self._publisher = publisher
        self._waiting: dict[bytes, asyncio.Future[Outcome]] = {}
        self._next: dict[TopicPartition, int] = {}
        self._consumer: AIOKafkaConsumer | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when outcomes are followed."""
        await self._open()
        self._task = asyncio.create_task(self._follow_for_ever())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._close()

    async def decided(self, commands: Sequence[CommandMessage]) -> list[Outcome]:
        """The outcomes of the commands in their order, however long lanes and Kafka are away."""
        began = time.monotonic()
        answers = [self._answer_to(command) for command in commands]
        try:
            while not all(answer.done() for answer in answers):
                await self._publish([c for c, answer in zip(commands, answers, strict=True) if not answer.done()])
                await asyncio.wait(answers, timeout=LOOK_AGAIN_SECONDS)
        finally:
            for command in commands:
                self._waiting.pop(command.id.encode(), None)
        await asyncio.sleep(min(LONGEST_REST, REST * (time.monotonic() - began)))
        return [answer.result() for answer in answers]

    def _answer_to(self, command: CommandMessage) -> "asyncio.Future[Outcome]":
        return self._waiting.setdefault(command.id.encode(), asyncio.get_running_loop().create_future())

    async def _publish(self, commands: Sequence[CommandMessage]) -> None:
        """A command whose acknowledgement was lost is sent again: it is known by its id."""
        while True:
            try:
                return await self._publisher.send(*commands)
            except Unavailable as fault:
                log.warning("waits for Kafka", reason=str(fault))
            await asyncio.sleep(RETRY_SECONDS)

    async def _follow_for_ever(self) -> None:
        while True:
            try:
                if self._consumer is None:
                    await self._open()
                await self._follow()
            except KafkaError as fault:
                log.warning("outcomes are not followed", reason=repr(fault))
                await self._close()
            await asyncio.sleep(RETRY_SECONDS)

    async def _open(self) -> None:
        """Read on where we were, at first from the end."""
        consumer = AIOKafkaConsumer(self._topic, **self._client, auto_offset_reset="latest")
        await consumer.start()
        self._consumer = consumer
        for place in consumer.assignment():
            if place in self._next:
                consumer.seek(place, self._next[place])
            else:
                self._next[place] = await consumer.position(place)

    async def _close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    async def _follow(self) -> None:
        assert self._consumer is not None
        while True:
            for place, messages in (await self._consumer.getmany(timeout_ms=1000)).items():
                for message in messages:
                    self._heard(message.key, message.value, tuple(message.headers))
                self._next[place] = messages[-1].offset + 1

    def _heard(self, key: bytes, value: bytes, headers: tuple[tuple[str, bytes], ...]) -> None:
        answer = self._waiting.get(dict(headers).get("ce_causationid", b""))
        if answer is not None and not answer.done():
            outcome, _ = read_outcome(Record(self._topic, -1, key, value, headers))
            answer.set_result(outcome)
