"""`bitcorp views rebuild`: a view group folded again from the log beside the live one, compared with it, and swapped.

Projectors may run meanwhile; they wait only while the two are compared. A bug mended in a view shows as differences,
which is why the old tables stay unless told otherwise. A rebuild that is interrupted leaves its copy behind, whose rows
and checkpoints change in the same transactions: the next one goes on there.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from agents.kafka import to_record
from agents.projector import entry_of
from topics.access import for_aiokafka
from topics.provision import topic_id
from topics.settings import Settings
from views import GROUPS
from views.checkpoints import Checkpoint, assigned, read
from views.digest import Difference
from views.projecting import apply, start_at
from views.rebuild import Copy, copy_of, differences, index, stopped, swap
from views.retention import prune

BATCH = 1000
#: How far behind the copy may be when the live group is stopped for the rest.
NEAR = 2000
PATIENCE_SECONDS = 30.0
#: What a copy is folded by: one that other code has begun cannot be gone on with.
FOLDED_BY = ("domain", "topics", "views")


@dataclass(frozen=True)
class Progress:
    """How many messages of the log are in the copy, of how many that the live group has."""

    done: int
    total: int


@dataclass(frozen=True)
class Rebuilt:
    """What came of it: whether the new tables are live, how many messages they hold, how the old ones differed.
    `resumed` messages were there already, from a rebuild that was interrupted."""

    group: str
    swapped: bool
    messages: int
    differences: tuple[Difference, ...]
    resumed: int = 0


class LogTooShort(Exception):
    """The topic does not give what the live group has already shown."""


Report = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """Tell nobody."""


async def rebuild_view(
    settings: Settings,
    group: str,
    *,
    accept_changes: bool = False,
    afresh: bool = False,
    report: Report = silent,
    patience_seconds: float = PATIENCE_SECONDS,
) -> Rebuilt:
    """Rebuild a view group. Where the new tables differ from the old, the old ones stay unless changes are accepted.

    Goes on where an interrupted rebuild stopped, unless `afresh`. Raises RebuildUnderWay, TablesBusy, LogTooShort or
    what PostgreSQL and Kafka raise; then the live tables are as they were, as when it is cancelled.
    """
    dsn = settings.database.get_secret_value()
    mark = await _mark(settings, group)
    async with (
        copy_of(dsn, GROUPS[group], mark, afresh=afresh) as copy,
        _filler(settings, copy, patience_seconds) as filler,
    ):
        try:
            found, swapped = await _replace(copy, filler, accept_changes, report)
        except LogTooShort:
            await copy.drop()
            raise
        if not swapped:
            await copy.drop()
        return Rebuilt(group, swapped, filler.done, found, filler.resumed)


async def _replace(
    copy: Copy, filler: "Filler", accept_changes: bool, report: Report
) -> tuple[tuple[Difference, ...], bool]:
    await _approach(copy, filler, report)
    await index(copy)
    async with stopped(copy) as (connection, live):
        await filler.fill(_positions(live), report)
        await _forget_expired(copy)
        found = await differences(connection, copy)
        swapped = accept_changes or not found
        if swapped:
            await swap(connection, copy)
    return found, swapped


async def _mark(settings: Settings, group: str) -> str:
    """Tells a copy that can be gone on with: of the same topic, folded by the same code."""
    topic = f"{settings.prefix}.{GROUPS[group].source}"
    return f"{await asyncio.to_thread(topic_id, settings, topic)} {_code()}"


@cache
def _code() -> str:
    """A digest of all code that says what the rows of a view are."""
    root, digest = Path(__file__).parent.parent, hashlib.sha256()
    for path in sorted(path for room in FOLDED_BY for path in (root / room).rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:32]


async def _approach(copy: Copy, filler: "Filler", report: Report) -> None:
    behind = NEAR + 1
    while behind > NEAR:
        async with copy.owner.begin() as connection:
            goal = _positions(await read(connection, copy.group.name))
        behind = sum(goal.values()) - filler.done
        await filler.fill(goal, report)


def _positions(checkpoints: Mapping[int, Checkpoint]) -> dict[int, int]:
    return {partition: at.position for partition, at in checkpoints.items()}


async def _forget_expired(copy: Copy) -> None:
    """The topic may still hold what the live view has forgotten, and the other way round: both forget it now."""
    if copy.group.keeps is None:
        return
    before = datetime.now(UTC) - copy.group.keeps
    for pool in (copy.writers, copy.live):
        async with pool.connect() as connection:
            await prune(connection, copy.group, before)


@asynccontextmanager
async def _filler(settings: Settings, copy: Copy, patience_seconds: float) -> AsyncIterator["Filler"]:
    consumer = AIOKafkaConsumer(**for_aiokafka(settings), enable_auto_commit=False, max_poll_records=BATCH)
    await consumer.start()
    try:
        yield Filler(consumer, f"{settings.prefix}.{copy.group.source}", copy, patience_seconds)
    finally:
        await consumer.stop()


class Filler:
    """Reads the group's topic into the copy."""

    def __init__(self, consumer: AIOKafkaConsumer, topic: str, copy: Copy, patience_seconds: float) -> None:
        self._consumer = consumer
        self._topic = topic
        self._copy = copy
        self._patience_ms = int(patience_seconds * 1000)
        self._at: dict[int, Checkpoint] = {}
        self._expired: set[int] = set()
        self.resumed = 0

    @property
    def done(self) -> int:
        return sum(at.position for at in self._at.values())

    async def fill(self, goal: Mapping[int, int], report: Report) -> None:
        """Bring every partition of the copy to exactly its position in `goal`. Raises LogTooShort."""
        first = not self._at
        await self._open(goal)
        if first:
            self.resumed = self.done
            report(Progress(self.done, sum(goal.values())))
        while behind := {p for p, position in goal.items() if self._at[p].position < position}:
            self._consumer.pause(*(self._place(p) for p in goal if p not in behind))
            fetched = await self._consumer.getmany(timeout_ms=self._patience_ms)
            if not fetched:
                raise LogTooShort(f"{self._topic} gives nothing more, but partitions {sorted(behind)} have gone on.")
            await asyncio.gather(*(self._apply(place.partition, found, goal) for place, found in fetched.items()))
            report(Progress(self.done, sum(goal.values())))

    def _place(self, partition: int) -> TopicPartition:
        return TopicPartition(self._topic, partition)

    async def _open(self, goal: Mapping[int, int]) -> None:
        places = [self._place(partition) for partition in goal]
        self._consumer.assign(places)
        kept = await self._consumer.beginning_offsets(places)
        for partition, place in zip(goal, places, strict=True):
            async with self._copy.writers.connect() as connection, connection.begin():
                at = self._at[partition] = await assigned(connection, self._copy.group.name, partition)
            if at.next_offset < kept[place] and self._copy.group.keeps is not None:
                self._expired.add(partition)
            self._consumer.seek(place, max(at.next_offset, kept[place]))

    async def _apply(self, partition: int, fetched: list[ConsumerRecord], goal: Mapping[int, int]) -> None:
        group, at = self._copy.group, self._at[partition]
        entries = [entry_of(group, to_record(message)) for message in fetched]
        wanted = [entry for entry in entries if entry.position <= goal[partition]]
        if not wanted:
            return
        async with self._copy.writers.connect() as connection:
            if partition in self._expired:
                at = await start_at(connection, group, partition, wanted[0], at)
                self._expired.discard(partition)
            self._at[partition] = await apply(connection, group, partition, wanted, at, self._copy.schema)
