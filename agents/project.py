"""The view worker: per view group a Faust app of its own, whose one agent feeds a projector per partition.

Faust gives the group, the assignment and the fetch. Where reading starts is the checkpoint in PostgreSQL, never the
consumer group's offset, so that a database restored from a dump simply catches up.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from faust.types import TP
from sqlalchemy.exc import SQLAlchemyError

from agents.faust_app import EXIT_FAULT, EXIT_MISCONFIGURED, RAW, App, pulled, run, say_goodbye, until_told
from agents.kafka import to_record
from agents.projector import AWAY, LONGEST_PAUSE, Projector
from agents.transport import Batch, Consumer, Transport
from topics.settings import Settings
from views import GROUPS, migrate
from views.reading import write_engine
from views.retention import prune
from views.view import Group

logger = structlog.get_logger("views")

PRUNE_SECONDS = 3600.0
SETTLE_SECONDS = 5.0
COMMIT_SECONDS = 1.0
#: Records of a partition that wait for PostgreSQL when no more are fetched, and when fetching goes on.
INBOX_FULL, INBOX_DRAINED = 4000, 1000


def group_of(settings: Settings, view_group: str) -> str:
    """The consumer group of a view group's workers."""
    return f"{settings.prefix}-views-{view_group}"


class ViewConsumer(Consumer):
    """Reading starts where a projector says; until then its partition is paused, whatever the group has committed."""

    async def perform_seek(self) -> None:
        self.pause_partitions(self.assignment() - self.app.reading)


class ViewTransport(Transport):
    Consumer = ViewConsumer


class ViewApp(App):
    """The Faust app of one view group; to its projectors it is the topic that they read."""

    transport_class = ViewTransport

    def __init__(self, settings: Settings, group: Group) -> None:
        super().__init__(settings, group_of(settings, group.name))
        self.group = group
        self.reading: set[TP] = set()
        self.projectors: dict[int, Projector] = {}
        self._topic = f"{settings.prefix}.{group.source}"
        self._tasks: list[asyncio.Task[None]] = []
        self._applied: dict[TP, int] = {}
        self._generation = -1
        self._pool = write_engine(settings.database.get_secret_value())
        self._fetched: asyncio.Queue[Batch] | None = None
        self.batched = {self._topic}
        self.agent(self.topic(self._topic, **RAW), name=f"project-{group.name}")(self._hand_out)
        self.on_partitions_assigned.connect(self._begin)
        self.on_partitions_revoked.connect(self._end)

    def take(self, batch: Batch) -> None:
        if self._fetched is not None:
            self._fetched.put_nowait(batch)

    async def _hand_out(self, stream: Any) -> Any:
        """The agent: pull what was fetched, without Faust's own acknowledgement, and give it to the projectors."""
        queue = self._fetched = stream.channel.queue
        async for batch in pulled(queue):
            self._give(batch)
            if False:  # an agent that pulls must still be an async generator for Faust to leave acknowledging to it
                yield

    def _give(self, batch: Batch) -> None:
        projector = self.projectors.get(batch.partition)
        place = self._place(batch.partition)
        if projector is None or place not in self.reading or batch.generation != self._generation:
            return  # fetched for an earlier assignment, or before the projector said where to read
        if projector.put([to_record(message) for message in batch.records]) > INBOX_FULL:
            self.consumer.on_buffer_full(place)

    async def _begin(self, app: Any, assigned: set[TP], **_: Any) -> None:
        await self._end(app)
        self._generation = self.consumer_generation_id
        self.lease.take()
        for partition in sorted(place.partition for place in assigned if place.topic == self._topic):
            projector = Projector(self.group, partition, self._pool, self)
            self.projectors[partition] = projector
            self._tasks.append(asyncio.create_task(projector.run(), name=f"{self.group.name}-{partition}"))

    async def _end(self, *_: Any, **__: Any) -> None:
        """Let transactions under way end; what is not applied yet, the next owner reads again."""
        projectors, tasks = list(self.projectors.values()), self._tasks
        self.projectors, self._tasks = {}, []
        self.reading.clear()
        settled = [asyncio.ensure_future(projector.settle()) for projector in projectors]
        if settled:
            await asyncio.wait(settled, timeout=SETTLE_SECONDS)
        for task in (*settled, *tasks):
            task.cancel()
        await asyncio.gather(*settled, *tasks, return_exceptions=True)
        self.lease.release()

    async def close(self) -> None:
        await self._end()
        await self.commit_offsets()
        await self.stop()
        await self._pool.dispose()

    async def look_after(self) -> None:
        """What is done now and then beside projecting."""
        pruned = 0.0
        while True:
            await self.commit_offsets()
            if time.monotonic() - pruned > PRUNE_SECONDS:
                await self._prune()
                pruned = time.monotonic()
            await asyncio.sleep(COMMIT_SECONDS)

    async def commit_offsets(self) -> None:
        """For those who watch the group's lag: where we go on reading does not depend on it."""
        applied, self._applied = self._applied, {}
        try:
            if applied:
                await self.consumer._commit(applied)
        except AWAY as fault:
            logger.warning("offsets not committed", group=self.group.name, reason=str(fault))

    async def _prune(self) -> None:
        """Forget what the group's topic has forgotten too."""
        if self.group.keeps is None:
            return
        try:
            async with self._pool.connect() as connection:
                await prune(connection, self.group, datetime.now(UTC) - self.group.keeps)
        except AWAY as fault:
            logger.warning("old rows stay for now", group=self.group.name, reason=str(fault))

    # -- what projectors ask of their topic ----------------------------------------------------------------------

    def _place(self, partition: int) -> TP:
        return TP(self._topic, partition)

    async def bounds(self, partition: int) -> tuple[int, int]:
        place = self._place(partition)
        first = await self.consumer.earliest_offsets(place)
        end = await self.consumer.highwaters(place)
        return first[place], end[place]

    async def read_from(self, partition: int, offset: int) -> None:
        place = self._place(partition)
        await self.consumer.seek_wait({place: offset})
        self.reading.add(place)
        self.consumer.resume_partitions({place})

    def pause(self, partition: int) -> None:
        place = self._place(partition)
        self.reading.discard(place)
        self.consumer.on_buffer_drop(place)
        self.consumer.pause_partitions({place})

    def advanced(self, partition: int, next_offset: int, waiting: int) -> int:
        place = self._place(partition)
        self._applied[place] = next_offset
        if waiting < INBOX_DRAINED:
            self.consumer.on_buffer_drop(place)
        return max(0, (self.consumer.highwater(place) or 0) - next_offset)


class Worker:
    """One process that folds view groups until it is told to stop."""

    def __init__(self, settings: Settings, groups: Sequence[Group]) -> None:
        self.apps = [ViewApp(settings, group) for group in groups]

    async def serve(self) -> int:
        """Run until SIGTERM or SIGINT (exit code 0) or until Faust fails (another)."""
        await asyncio.gather(*(app.begin() for app in self.apps))
        caring = [asyncio.create_task(app.look_after()) for app in self.apps]
        logger.info("worker started", groups=[app.group.name for app in self.apps])
        crash = await until_told(self.apps, asyncio.Event())
        if crash is not None:
            logger.error("worker leaves", reason=repr(crash), exc_info=crash)
            return EXIT_FAULT
        for task in caring:
            task.cancel()
        await say_goodbye(*(app.close() for app in self.apps))
        return 0


async def _schema_is_ours(settings: Settings) -> None:
    """Wait for PostgreSQL. Raises SchemaDiffers."""
    pause = 0.1
    while True:
        try:
            return await migrate.require(settings.database.get_secret_value())
        except (*AWAY, SQLAlchemyError) as fault:
            logger.warning("waits for PostgreSQL", seconds=pause, reason=f"{type(fault).__name__}: {fault}")
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


async def _serve(settings: Settings, groups: Sequence[Group]) -> int:
    try:
        await _schema_is_ours(settings)
    except migrate.SchemaDiffers as fault:
        logger.error("worker does not start", reason=str(fault))
        return EXIT_MISCONFIGURED
    return await Worker(settings, groups).serve()


def main(settings: Settings, groups: Sequence[str] = ()) -> None:
    """Run one view worker, for all view groups unless some are named, until it is told to stop; ends the process."""
    run(settings, "views", lambda: _serve(settings, [GROUPS[name] for name in groups or GROUPS]))
