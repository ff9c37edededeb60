"""The view worker: per view group a Faust app of its own, whose one agent feeds a projector per partition.

Faust gives the group, the assignment and the fetch. Where reading starts is the checkpoint in PostgreSQL, never the
consumer group's offset, so that a database restored from a dump simply catches up.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import structlog
from sqlalchemy.exc import SQLAlchemyError

from agents.faust_app import EXIT_FAULT, EXIT_MISCONFIGURED, run, say_goodbye, until_told
from agents.following import FollowingApp
from agents.projector import AWAY, LONGEST_PAUSE, Projector
from topics import metrics
from topics.settings import Settings
from views import GROUPS, migrate
from views.dead_letters import dead_letters, open_letters
from views.reading import write_engine
from views.retention import prune
from views.view import Group

logger = structlog.get_logger("views")

PRUNE_SECONDS = 3600.0
COUNT_SECONDS = 10.0


def group_of(settings: Settings, view_group: str) -> str:
    """The consumer group of a view group's workers."""
    return f"{settings.prefix}-views-{view_group}"


class ViewApp(FollowingApp):
    """The Faust app of one view group, which feeds a projector per partition."""

    def __init__(self, settings: Settings, group: Group) -> None:
        topic = f"{settings.prefix}.{group.source}"
        super().__init__(settings, group_of(settings, group.name), topic, agent=f"project-{group.name}")
        self.group = group
        self._pool = write_engine(settings.database.get_secret_value())

    def follower(self, partition: int) -> Projector:
        return Projector(self.group, partition, self._pool, self)

    async def close(self) -> None:
        await super().close()
        await self._pool.dispose()

    async def look_after(self) -> None:
        await asyncio.gather(super().look_after(), self._prune_now_and_then(), self._count_letters_now_and_then())

    async def _prune_now_and_then(self) -> None:
        while True:
            await self._prune()
            await asyncio.sleep(PRUNE_SECONDS)

    async def _prune(self) -> None:
        """Forget what the group's topic has forgotten too."""
        if self.group.keeps is None:
            return
        try:
            async with self._pool.connect() as connection:
                await prune(connection, self.group, datetime.now(UTC) - self.group.keeps)
        except AWAY as fault:
            logger.warning("old rows stay for now", group=self.group.name, reason=str(fault))

    async def _count_letters_now_and_then(self) -> None:
        """How many dead letters wait for somebody: a count of rows, which no single event tells."""
        while dead_letters in self.group.views:
            try:
                async with self._pool.connect() as connection, connection.begin():
                    show_open(await open_letters(connection))
            except AWAY as fault:
                logger.warning("dead letters are not counted for now", reason=str(fault))
            await asyncio.sleep(COUNT_SECONDS)


def show_open(letters: Mapping[str, int]) -> None:
    """Reasons of which none is left are not shown any more."""
    metrics.DEAD_LETTERS_OPEN.clear()
    for reason, count in letters.items():
        metrics.DEAD_LETTERS_OPEN.labels(reason).set(count)


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


async def schema_is_ours(settings: Settings) -> None:
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
        await schema_is_ours(settings)
    except migrate.SchemaDiffers as fault:
        logger.error("worker does not start", reason=str(fault))
        return EXIT_MISCONFIGURED
    return await Worker(settings, groups).serve()


def main(settings: Settings, groups: Sequence[str] = ()) -> None:
    """Run one view worker, for all view groups unless some are named, until it is told to stop; ends the process."""
    run(settings, "views", lambda: _serve(settings, [GROUPS[name] for name in groups or GROUPS]))
