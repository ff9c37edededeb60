"""All that is done for one view group and one partition: read on from the checkpoint, change the views, move it.

Whatever Kafka delivers again, each message changes the views once. While PostgreSQL is away the projector waits; at a
gap, or at a message that this build does not know, it stands still, since skipping would make the views wrong for good.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

import asyncpg
import structlog
from aiokafka.errors import KafkaError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from topics import metrics
from topics.audit import read_audited
from topics.catalogue import AUDIT, DEAD_LETTERS, JOURNALS
from topics.cloudevents import Record
from topics.dead_letters import set_aside
from topics.messages import read_event, read_outcome
from views import checkpoints
from views.checkpoints import Checkpoint, CheckpointMoved
from views.projecting import Entry, PositionGap, apply, start_at
from views.view import Group

logger = structlog.get_logger("views")

#: Most records of one transaction, and how many are decoded before others of the event loop have their turn.
BATCH, TURN = 500, 50
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 15.0

AWAY = (OSError, TimeoutError, SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, KafkaError)

T = TypeVar("T")


class Source(Protocol):
    """The topic that a group reads, as far as one partition's projector asks."""

    async def bounds(self, partition: int) -> tuple[int, int]:
        """The offsets of the first record that is kept and of the next one to be written."""

    async def read_from(self, partition: int, offset: int) -> None:
        """Deliver records from here on."""

    def pause(self, partition: int) -> None:
        """Deliver nothing until `read_from`."""

    def advanced(self, partition: int, next_offset: int, waiting: int) -> int:
        """Records before the offset are applied, so many wait; gives how many are not applied yet, as far as known."""


class StandsStill(Exception):
    """The partition cannot go on in this group; the text says why and what to do."""


def entry_of(group: Group, record: Record) -> Entry:
    """Raises ValueError or KeyError for a message that this build cannot read; an unknown event is one of them.

    Dead letters carry no position of their own, and nothing of their topic goes but its beginning: offsets serve."""
    if group.source in JOURNALS:
        fact = read_event(record)
        return Entry(fact.position, record.offset, fact)
    if group.source == AUDIT.name:
        return Entry(record.offset + 1, record.offset, read_audited(record))
    if group.source == DEAD_LETTERS.name:
        return Entry(record.offset + 1, record.offset, set_aside(record))
    outcome, sequence = read_outcome(record)
    return Entry(sequence, record.offset, outcome)


class Projector:
    """One partition of one view group. `put` gives it what was fetched; `run` lasts until it is cancelled."""

    def __init__(self, group: Group, partition: int, pool: AsyncEngine, source: Source) -> None:
        self.group = group
        self.partition = partition
        self._pool = pool
        self._source = source
        self._inbox: deque[Record] = deque()
        self._filled = asyncio.Event()
        self._working = asyncio.Lock()
        self._expired = False
        self._log = logger.bind(group=group.name, partition=partition)
        self._labels = (group.name, str(partition))

    def put(self, records: Sequence[Record]) -> int:
        """Take what was fetched, in order of offsets; gives how many records wait now."""
        self._inbox.extend(records)
        self._filled.set()
        return len(self._inbox)

    async def settle(self) -> None:
        """Return when no transaction is under way."""
        async with self._working:
            pass

    async def run(self) -> None:
        metrics.VIEW_PAUSED.labels(*self._labels).set(0)
        try:
            await self._run()
        except StandsStill as reason:
            self._stand_still(str(reason), None)
        except Exception as bug:  # going on would skip the event, so this is no less final
            self._stand_still(f"{type(bug).__name__}: {bug}", bug)

    async def _run(self) -> None:
        """A gap that is there again after reading again is real; one that is not came from a stale fetch."""
        gap = ""
        while True:
            try:
                await self._follow(await self._open())
            except CheckpointMoved as moved:
                self._log.info("reading again from the checkpoint", reason=str(moved))
            except PositionGap as found:
                if str(found) == gap:
                    raise StandsStill(f"{found}. Run: bitcorp verify") from found
                gap = str(found)

    def _stand_still(self, reason: str, bug: Exception | None) -> None:
        self._source.pause(self.partition)
        self._inbox.clear()
        metrics.VIEW_PAUSED.labels(*self._labels).set(1)
        self._log.error("view group stands still", reason=reason, exc_info=bug)

    async def _open(self) -> Checkpoint:
        """Read the checkpoint and start reading there."""
        self._source.pause(self.partition)
        at = await self._patiently(self._assigned)
        first, end = await self._patiently(self._source.bounds, self.partition)
        if at.next_offset > end:
            raise StandsStill(
                f"the checkpoint is at offset {at.next_offset}, the topic ends at {end}: it is another topic or has "
                f"lost records. Run: bitcorp views rebuild {self.group.name}"
            )
        self._inbox.clear()
        self._expired = at.next_offset < first and self.group.keeps is not None
        await self._patiently(self._source.read_from, self.partition, at.next_offset)
        self._show(at)
        return at

    async def _assigned(self) -> Checkpoint:
        async with self._pool.connect() as connection, connection.begin():
            return await checkpoints.assigned(connection, self.group.name, self.partition)

    async def _follow(self, at: Checkpoint) -> None:
        while True:
            records = await self._take()
            entries, unread = await self._decoded(records)
            async with self._working:
                at = await self._patiently(self._applied, entries, at)
            self._show(at)
            if unread is not None:
                raise StandsStill(f"offset {records[len(entries)].offset}: {unread}. Update this build") from unread

    async def _take(self) -> list[Record]:
        while not self._inbox:
            self._filled.clear()
            await self._filled.wait()
        return [self._inbox.popleft() for _ in range(min(BATCH, len(self._inbox)))]

    async def _decoded(self, records: Sequence[Record]) -> tuple[list[Entry], Exception | None]:
        """Entries up to the first that cannot be read, and what is wrong with that."""
        entries: list[Entry] = []
        for record in records:
            try:
                entries.append(entry_of(self.group, record))
            except (ValueError, KeyError) as unread:
                return entries, unread
            if len(entries) % TURN == 0:
                await asyncio.sleep(0)
        return entries, None

    async def _applied(self, entries: Sequence[Entry], at: Checkpoint) -> Checkpoint:
        started = time.perf_counter()
        async with self._pool.connect() as connection:
            if self._expired and entries:
                at = await self._past_expired(connection, at, entries[0])
            new = await apply(connection, self.group, self.partition, entries, at)
        metrics.VIEW_EVENTS.labels(self.group.name).inc(new.position - at.position)
        metrics.VIEW_BATCH_SECONDS.labels(self.group.name).observe(time.perf_counter() - started)
        return new

    async def _past_expired(self, connection: AsyncConnection, at: Checkpoint, first: Entry) -> Checkpoint:
        """The topic has forgotten what was never read; what it still has goes on from there."""
        new = await start_at(connection, self.group, self.partition, first, at)
        self._expired = False
        if new.position > at.position:
            self._log.warning("records expired unread", first=at.position + 1, last=new.position)
        return new

    async def _patiently(self, action: Callable[..., Awaitable[T]], *given: object) -> T:
        """Try again, ever more slowly, while Kafka or PostgreSQL is away."""
        pause = FIRST_PAUSE
        while True:
            try:
                return await action(*given)
            except AWAY as fault:
                if _hopeless(fault):
                    raise
                metrics.VIEW_RETRIES.labels(self.group.name).inc()
                self._log.warning("waits", seconds=pause, reason=f"{type(fault).__name__}: {fault}")
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _show(self, at: Checkpoint) -> None:
        lag = self._source.advanced(self.partition, at.next_offset, len(self._inbox))
        metrics.VIEW_POSITION.labels(*self._labels).set(at.position)
        metrics.VIEW_LAG.labels(*self._labels).set(lag)


def _hopeless(fault: BaseException) -> bool:
    """Whether the statement itself is refused: data that do not fit, or a broken constraint."""
    known = fault.orig if isinstance(fault, DBAPIError) else fault
    return str(getattr(known, "sqlstate", "") or "")[:2] in ("22", "23")
