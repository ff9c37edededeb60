"""After `kill -9` of one of two workers: how long until the other answers for its partitions, with many machines."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from itertools import islice

from agents.decide import group_of
from agents.kafka import KafkaLog
from agents.state import PartitionState
from bench.job_j import commands
from bench.latency import OPENING, measure
from bench.two_workers import all_have_partitions
from bench.workers import lane_worker, outcomes_reach, publish, with_prefix, worker
from topics.catalogue import partition_of
from topics.messages import CommandMessage
from topics.provision import create_topics
from topics.settings import Settings

PARTITIONS = 2
#: How figures end where the other worker holds nothing of the partition, and where it follows it.
WAYS = ("", "_followed")


async def run(settings: Settings, machines: int = 100_000, settle: float = 30) -> dict[str, float]:
    """Seconds from the kill to the last partition's answer, the session among them, with so many machines in each
    partition, whose state the other worker reads then or has followed; and how fast it is read by itself, in records a
    second."""
    figures: dict[str, float] = {"machines": machines, "session_seconds": settings.session_seconds}
    for standbys, name in enumerate(WAYS):
        own = {"partitions": PARTITIONS, "standbys": standbys}
        found = await _measure(with_prefix(settings, "takeover").model_copy(update=own), machines, settle)
        figures |= {f"{figure}{name}": value for figure, value in found.items()}
    return figures


async def _measure(settings: Settings, machines: int, settle: float) -> dict[str, float]:
    create_topics(settings)
    every = commands(machines * PARTITIONS + 1000)
    async with lane_worker(settings):
        filled = await publish(settings, islice(every, OPENING + machines * PARTITIONS))
        await outcomes_reach(settings, filled)
        async with worker(settings, "lanes", may_end=True) as other:
            await all_have_partitions(settings, 2)
            await _answered(settings, every)
            await asyncio.sleep(settle)  # who follows a partition does not say how far it has come
            began = time.perf_counter()
            os.kill(other, signal.SIGKILL)
            await _answered(settings, every)
            took = time.perf_counter() - began
    return {
        "seconds": round(took, 1),
        "beyond_session_seconds": round(took - settings.session_seconds, 1),
        **await _read(settings),
    }


async def _answered(settings: Settings, every: Iterator[CommandMessage]) -> None:
    """Return once a command of each partition, sent now, is answered."""
    probes: dict[int, CommandMessage] = {}
    while len(probes) < PARTITIONS:
        command = next(every)
        probes.setdefault(partition_of(command.company_id.encode(), PARTITIONS), command)
    await measure(settings, list(probes.values()), 1000)


async def _read(settings: Settings) -> dict[str, float]:
    """What a lane reads that holds nothing yet."""
    log = KafkaLog(settings, group_of(settings), "", lambda partition: None)
    await log.start()
    began, state = time.perf_counter(), PartitionState(0)
    await log.read(state)
    took = time.perf_counter() - began
    await log.stop()
    return {"records": state.end, "read_per_second": round(state.end / took)}
