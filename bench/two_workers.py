"""Two workers, each with one of two partitions, beside one worker with both: job J's commands, on the same Kafka."""

import asyncio
import time
from contextlib import AsyncExitStack
from itertools import islice
from statistics import median

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from agents.decide import group_of
from bench.job_j import commands
from bench.latency import OPENING
from bench.workers import LOOK_AGAIN_SECONDS, lane_worker, outcomes, outcomes_reach, publish, with_prefix
from topics.access import for_librdkafka
from topics.provision import create_topics
from topics.settings import Settings

PARTITIONS = 2
#: Of what waits when all is published; later one of two workers may have nothing more to do.
MEASURED = 0.6


async def run(settings: Settings, count: int = 40_000, rounds: int = 3) -> dict[str, float]:
    """Commands per second of one worker and of two; medians of the rounds."""
    found = [(await _rate(settings, 1, count), await _rate(settings, 2, count)) for _ in range(rounds)]
    one, two = (median(each) for each in zip(*found, strict=True))
    ratio = median(pair / single for single, pair in found)
    return {"one_per_second": round(one), "two_per_second": round(two), "ratio": round(ratio, 2)}


async def _rate(settings: Settings, workers: int, count: int) -> float:
    """Commands per second from when all commands wait."""
    settings = with_prefix(settings, f"of-{workers}").model_copy(update={"partitions": PARTITIONS})
    create_topics(settings)
    every = commands(count)
    async with AsyncExitStack() as running:
        for _ in range(workers):
            await running.enter_async_context(lane_worker(settings))
        await all_have_partitions(settings, workers)
        await publish(settings, islice(every, OPENING))
        await outcomes_reach(settings, OPENING)
        total = OPENING + await publish(settings, every)
        done, began = await outcomes(settings), time.perf_counter()
        then = await outcomes_reach(settings, done + round((total - done) * MEASURED))
        return (then - done) / (time.perf_counter() - began)


async def all_have_partitions(settings: Settings, workers: int) -> None:
    """Return once so many workers share the partitions."""
    admin = AdminClient(for_librdkafka(settings))
    while await asyncio.to_thread(_with_partitions, admin, group_of(settings)) < workers:  # noqa: ASYNC110
        await asyncio.sleep(LOOK_AGAIN_SECONDS)


def _with_partitions(admin: AdminClient, group: str) -> int:
    try:
        described = admin.describe_consumer_groups([group])[group].result()
    except KafkaException as fault:
        if fault.args[0].code() != KafkaError.COORDINATOR_LOAD_IN_PROGRESS:
            raise
        return 0  # the broker has just started
    return sum(bool(member.assignment.topic_partitions) for member in described.members)
