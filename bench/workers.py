"""What several benchmarks share: a worker process of its own, its outcomes, and commands on the topic."""

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from ops.errors import Fault
from ops.settings import as_environment
from topics.catalogue import COMMANDS, OUTCOMES, partition_of
from topics.cloudevents import Record
from topics.messages import CommandMessage, write_command
from topics.settings import Settings

BATCH = 1 << 20
LOOK_AGAIN_SECONDS = 0.02


def with_prefix(settings: Settings, name: str) -> Settings:
    """The same servers with topics of their own, new at every run."""
    return settings.model_copy(update={"prefix": f"bench-{name}-{os.urandom(3).hex()}"})


def lane_worker(settings: Settings) -> AbstractAsyncContextManager[int]:
    """One command worker as a process; its pid."""
    return worker(settings, "lanes")


@asynccontextmanager
async def worker(settings: Settings, kind: str, *, may_end: bool = False) -> AsyncIterator[int]:
    """One worker of this kind, or the API, as a process; its pid. Raises Fault if it ends before what is measured with
    it, unless it may."""
    words = ("api",) if kind == "api" else ("worker", kind)
    environment = os.environ | as_environment(settings.model_copy(update={"log_level": "warning"}))
    with TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ops.main", *words, env=environment, stdout=log, stderr=log
        )
        measuring = None if may_end else asyncio.current_task()
        ending = asyncio.create_task(_cancel_at_the_end_of(process, measuring))
        try:
            yield process.pid
        except asyncio.CancelledError as cancelled:
            if process.returncode is None:
                raise
            log.seek(0)
            raise Fault(f"The process {kind} has ended:\n{log.read().decode()}") from cancelled
        finally:
            ending.cancel()
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


async def _cancel_at_the_end_of(process: Process, measuring: "asyncio.Task[Any] | None") -> None:
    await process.wait()
    if measuring:
        measuring.cancel()


async def publish(settings: Settings, commands: Iterable[CommandMessage]) -> int:
    """Put the commands on the topic as fast as it goes; how many there were."""
    return await append(settings, (record_of(settings, command) for command in commands))


def record_of(settings: Settings, command: CommandMessage) -> Record:
    """The command's record, in its company's partition."""
    key, value, headers = write_command(command)
    return Record(COMMANDS.named(settings.prefix), partition_of(key, settings.partitions), key, value, headers)


async def append(settings: Settings, records: Iterable[Record]) -> int:
    """Put the records where they belong as fast as it goes; how many there were."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, acks="all", linger_ms=20, max_batch_size=BATCH)
    await producer.start()
    count = 0
    for record in records:
        await producer.send(record.topic, record.value, record.key, record.partition, headers=list(record.headers))
        count += 1
    await producer.stop()
    return count


async def outcomes_reach(settings: Settings, wanted: int) -> int:
    """Return once the outcomes topic holds `wanted` records; gives how many it holds, which may be many more."""
    async with _counting(settings) as count:
        while (found := await count()) < wanted:  # noqa: ASYNC110 - the broker has no event for us
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        return found


async def outcomes(settings: Settings) -> int:
    """Records that the outcomes topic holds."""
    async with _counting(settings) as count:
        return await count()


@asynccontextmanager
async def _counting(settings: Settings) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka)
    await consumer.start()
    places = [TopicPartition(OUTCOMES.named(settings.prefix), number) for number in range(settings.partitions)]

    async def count() -> int:
        return sum((await consumer.end_offsets(places)).values())

    try:
        yield count
    finally:
        await consumer.stop()


def resident_bytes(pid: int) -> int:
    """Resident memory of a process (Linux)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def open_files(pid: int) -> int:
    """Files, sockets and pipes that a process has open (Linux)."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def percentile(times: Sequence[float], share: float) -> float:
    """Of these seconds the one that `share` of them do not exceed, in milliseconds."""
    return round(sorted(times)[int((len(times) - 1) * share)] * 1000, 1)
