"""The view worker: per view group a Faust app of its own, whose one agent feeds a projector per partition.

Faust gives the group, the assignment and the fetch. Where reading starts is the checkpoint in PostgreSQL, never the
consumer group's offset, so that a database restored from a dump simply catches up.
"""

import asyncio
import os
import signal
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
import uvloop
from faust.types import TP
from sqlalchemy.exc import SQLAlchemyError

from agents.faust_app import EXIT_FAULT, EXIT_MISCONFIGURED, RAW, App, crash_of, record_of
from agents.projector import AWAY, LONGEST_PAUSE, Projector
from agents.transport import Consumer, Transport
from topics import logs, metrics
from topics.cloudevents import Record
from topics.provision import require
from topics.settings import Settings
from views import GROUPS, migrate
from views.reading import write_engine
from views.retention import prune
from views.view import Group

logger = structlog.get_logger("views")

PRUNE_SECONDS = 3600.0
SETTLE_SECONDS = 5.0


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
    """The Faust app of one view group; to its projectors it is the topic."""

    transport_class = ViewTransport

    def __init__(self, settings: Settings, group: Group) -> None:
        super().__init__(settings, group_of(settings, group.name))
        self.group = group
        self.reading: set[TP] = set()
        self.source_topic = f"{settings.prefix}.{group.source}"
        self.projectors: dict[int, Projector] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._pool = write_engine(settings.database.get_secret_value())
        self.agent(self.topic(self.source_topic, **RAW), name=f"project-{group.name}")(self._hand_out)
        self.on_partitions_assigned.connect(self._begin)
        self.on_partitions_revoked.connect(self._end)

    async def _hand_out(self, stream: Any) -> Any:
        """The agent: pull what was fetched, without Faust's own acknowledgement, and give it to the projectors."""
        queue = stream.channel.queue
        while True:
            message = (await stream.channel.get() if queue.empty() else queue.get_nowait()).message
            if projector := self.projectors.get(message.partition):
                await projector.put(message)
            if False:  # an agent must be an async generator to be allowed no acknowledgement of its own
                yield

    async def _begin(self, app: Any, assigned: set[TP], **_: Any) -> None:
        await self._end(app)
        for partition in sorted(place.partition for place in assigned if place.topic == self.source_topic):
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

    async def close(self) -> None:
        await self._end()
        await self.stop()
        await self._pool.dispose()

    async def keep_tidy(self) -> None:
        """Once an hour forget what the group's topic has forgotten too."""
        while self.group.keeps is not None:
            try:
                async with self._pool.connect() as connection:
                    await prune(connection, self.group, datetime.now(UTC) - self.group.keeps)
            except AWAY as fault:
                logger.warning("old rows stay for now", group=self.group.name, reason=str(fault))
            await asyncio.sleep(PRUNE_SECONDS)

    # -- what projectors ask of their topic ----------------------------------------------------------------------

    def _place(self, partition: int) -> TP:
        return TP(self.source_topic, partition)

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
        self.consumer.pause_partitions({place})

    def end(self, partition: int) -> int:
        return self.consumer.highwater(self._place(partition)) or 0

    def record(self, delivery: Any) -> Record:
        return record_of(delivery)

    def acknowledge(self, deliveries: Sequence[Any]) -> None:
        """For those who watch the group's lag; where we go on reading does not depend on it."""
        for message in deliveries:
            message.ack(self.consumer)


class Worker:
    """One process that folds view groups until it is told to stop."""

    def __init__(self, settings: Settings, groups: Sequence[Group]) -> None:
        self.apps = [ViewApp(settings, group) for group in groups]
        self._left = asyncio.Event()
        self._fault: BaseException | None = None

    async def serve(self) -> int:
        """Run until SIGTERM or SIGINT (exit code 0) or until Faust fails (another)."""
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, self._left.set)
        await asyncio.gather(*(app.begin() for app in self.apps))
        tidying = [asyncio.create_task(app.keep_tidy()) for app in self.apps]
        logger.info("worker started", groups=[app.group.name for app in self.apps])
        await self._until_left()
        if self._fault is not None:
            logger.error("worker leaves", reason=repr(self._fault), exc_info=self._fault)
            return EXIT_FAULT
        for task in tidying:
            task.cancel()
        await asyncio.gather(*(app.close() for app in self.apps))
        logger.info("worker stopped")
        return 0

    async def _until_left(self) -> None:
        crashes = [asyncio.create_task(crash_of(app)) for app in self.apps]
        left = asyncio.create_task(self._left.wait())
        await asyncio.wait({left, *crashes}, return_when=asyncio.FIRST_COMPLETED)
        self._fault = next((crash.result() for crash in crashes if crash.done()), None)
        for task in (left, *crashes):
            task.cancel()


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
    logs.configure(settings, "views")
    try:
        require(settings)
    except Exception as fault:
        logger.error("worker does not start", reason=str(fault))
        os._exit(EXIT_MISCONFIGURED)
    if settings.metrics_port:
        metrics.serve(settings.metrics_port)
    uvloop.install()
    os._exit(asyncio.run(_serve(settings, [GROUPS[name] for name in groups or GROUPS])))
