"""Following the outcomes topic, so that a request can wait for the answer to its command."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

import structlog
from aiokafka import ConsumerRecord

from api.following import Following
from domain import BUSINESS
from domain.realm import Realm
from domain.record import Outcome
from topics.catalogue import TOPICS_OF
from topics.cloudevents import Malformed, Record
from topics.messages import CommandMessage, read_outcome
from topics.settings import Settings

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


class Follower(Following):
    """Follows a realm's outcomes topic."""

    def __init__(
        self, settings: Settings, realm: Realm = BUSINESS, decided: Callable[[bytes], None] = lambda command_id: None
    ) -> None:
        """Nothing is opened yet. `decided` is told the id of every command that has an outcome."""
        super().__init__(settings, TOPICS_OF[realm.name].outcomes.named(settings.prefix))
        self._decided = decided
        self._waiters: dict[bytes, list[Waiter]] = {}

    async def stop(self) -> None:
        await super().stop()
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

    def deliver(self, record: ConsumerRecord) -> None:
        command_id = dict(record.headers).get("ce_causationid", b"")
        self._decided(command_id)
        waiters = self._waiters.get(command_id)
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
