"""The import worker: reads what other systems wrote, maps it, and publishes a command for each record.

It remembers nothing: a record that is read again gives the same command, and lanes know what they have decided. What
the mapping does not understand goes to the dead letters, verbatim and with its cause.
"""

import asyncio
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from agents.faust_app import EXIT_FAULT, run, say_goodbye, until_told
from agents.following import FollowingApp
from agents.patience import patiently
from domain.mapping import Quarantined, understand
from topics import metrics
from topics.access import for_aiokafka
from topics.catalogue import DEAD_LETTERS, IMPORTS
from topics.cloudevents import Record
from topics.imports import Mappings, import_command, read_raw
from topics.messages import CommandMessage, DeadLetter, write_dead_letter
from topics.pacing import HANDFUL, Pacer
from topics.publisher import Publisher, Unavailable
from topics.settings import Settings

logger = structlog.get_logger("imports")

QUARANTINED = "quarantined: "
FAILED = "failed"
AWAY = (OSError, TimeoutError, KafkaError, Unavailable)

T = TypeVar("T")


def group_of(settings: Settings) -> str:
    """The consumer group of the import workers."""
    return f"{settings.prefix}-imports"


class Importer:
    """One partition of the imports, a handful of records after the other."""

    def __init__(self, partition: int, app: "ImportApp") -> None:
        self.partition = partition
        self._app = app
        self._inbox: deque[Record] = deque()
        self._filled = asyncio.Event()

    def put(self, records: Sequence[Record]) -> int:
        self._inbox.extend(records)
        self._filled.set()
        return len(self._inbox)

    async def settle(self) -> None:
        """A handful that is given up half way is read again, and its commands are known."""

    async def run(self) -> None:
        try:
            await self._run()
        except Exception as fault:  # going on would skip records, and nobody would know
            await self._app.crash(fault)

    async def _run(self) -> None:
        self._app.pause(self.partition)
        start = await _patiently(self._app.first_undone, self.partition)
        await _patiently(self._app.read_from, self.partition, start)
        while True:
            records = await self._handful()
            commands, letters = self._app.sorted_out(records)
            if letters:
                await _patiently(self._app.publisher.send_records, letters)
            if commands:
                await self._app.pacer.decided(commands)
            metrics.IMPORT_RECORDS.labels("sent").inc(len(commands))
            metrics.IMPORT_RECORDS.labels("quarantined").inc(len(letters))
            left = self._app.advanced(self.partition, records[-1].offset + 1, len(self._inbox))
            metrics.IMPORT_LAG.labels(str(self.partition)).set(left)

    async def _handful(self) -> list[Record]:
        while not self._inbox:
            self._filled.clear()
            await self._filled.wait()
        return [self._inbox.popleft() for _ in range(min(HANDFUL, len(self._inbox)))]


class ImportApp(FollowingApp):
    """The Faust app of the imports, which feeds an importer per partition."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, group_of(settings), IMPORTS.named(settings.prefix), agent="import")
        self.publisher = Publisher(settings)
        self.pacer = Pacer(settings, self.publisher)
        self._mappings = Mappings(settings.mappings)
        self._letters = DEAD_LETTERS.named(settings.prefix)
        self._admin = AIOKafkaAdminClient(**for_aiokafka(settings), client_id=f"{group_of(settings)}-admin")

    def follower(self, partition: int) -> Importer:
        return Importer(partition, self)

    async def begin(self) -> None:
        await self.publisher.start()
        await self.pacer.start()
        await self._admin.start()
        await super().begin()

    async def close(self) -> None:
        await super().close()
        await self.pacer.stop()
        await self.publisher.stop()
        await self._admin.close()

    async def first_undone(self, partition: int) -> int:
        """Where the group has come to."""
        place = TopicPartition(self._topic, partition)
        committed = (await self._admin.list_consumer_group_offsets(self.group_id, partitions=[place])).get(place)
        first, _ = await self.bounds(partition)
        return first if committed is None else max(first, committed.offset)

    def sorted_out(self, records: Sequence[Record]) -> tuple[list[CommandMessage], list[Record]]:
        """The commands of those records that can be understood, and dead letters for the others."""
        commands, letters = [], []
        for record in records:
            try:
                commands.append(self._command(record))
            except Quarantined as said:
                letters.append(self._letter(record, QUARANTINED + said.cause, said.detail))
            except Exception as bug:  # one record that we cannot deal with must not stop all others
                logger.error("a record could not be mapped", offset=record.offset, exc_info=bug)
                letters.append(self._letter(record, FAILED, traceback.format_exc()))
        return commands, letters

    def _command(self, record: Record) -> CommandMessage:
        raw = read_raw(record)
        return import_command(raw, understand(self._mappings.of(raw.source), raw.fields, raw.import_id))

    def _letter(self, record: Record, reason: str, detail: str) -> Record:
        return write_dead_letter(DeadLetter(record, reason, detail), self._letters, record.partition)


async def _patiently(action: Callable[..., Awaitable[T]], *given: object) -> T:
    return await patiently(AWAY, action, *given)


async def _serve(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT (exit code 0) or until Faust fails (another)."""
    app = ImportApp(settings)
    await app.begin()
    caring = asyncio.create_task(app.look_after())
    logger.info("worker started", group=group_of(settings))
    crash = await until_told([app], asyncio.Event())
    if crash is not None:
        logger.error("worker leaves", reason=repr(crash), exc_info=crash)
        return EXIT_FAULT
    caring.cancel()
    await say_goodbye(app.close())
    return 0


def main(settings: Settings) -> None:
    """Run one import worker until it is told to stop; ends the process."""
    run(settings, "imports", lambda: _serve(settings))
