"""From publishing a command to its outcome, at a steady rate that does not wait for answers (an open loop)."""

import asyncio
import time
from itertools import islice

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bench.job_j import commands
from bench.workers import lane_worker, outcomes_reach, percentile, publish, record_of, with_prefix
from topics.catalogue import OUTCOMES
from topics.messages import CommandMessage
from topics.provision import create_topics
from topics.settings import Settings

OPENING = 120  # the companies and categories that come first


async def run(settings: Settings, rate: int = 300, seconds: int = 20) -> dict[str, float]:
    """p50 and p99 in milliseconds at `rate` commands per second through one worker."""
    settings = with_prefix(settings, "latency")
    create_topics(settings)
    every = list(commands(rate * (seconds + 2)))
    async with lane_worker(settings):
        warm = OPENING + 2 * rate
        await publish(settings, islice(every, warm))
        await outcomes_reach(settings, warm)
        times = await measure(settings, every[warm:], rate)
    return {"commands_per_second": rate, "p50_ms": percentile(times, 0.5), "p99_ms": percentile(times, 0.99)}


async def measure(settings: Settings, chosen: list[CommandMessage], rate: int) -> list[float]:
    """Seconds from publishing each command to its outcome, whatever else is decided meanwhile."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka, fetch_max_wait_ms=100)
    await consumer.start()
    places = [TopicPartition(OUTCOMES.named(settings.prefix), number) for number in range(settings.partitions)]
    consumer.assign(places)
    await consumer.seek_to_end(*places)
    for place in places:
        await consumer.position(place)
    sent: dict[bytes, float] = {}
    sending = asyncio.create_task(_send(settings, chosen, rate, sent))
    times: list[float] = []
    while len(times) < len(chosen):
        for records in (await consumer.getmany(timeout_ms=1000)).values():
            now = time.perf_counter()
            ids = [dict(record.headers)["ce_causationid"] for record in records]
            times += [now - sent[found] for found in ids if found in sent]
    await sending
    await consumer.stop()
    return times


async def _send(settings: Settings, chosen: list[CommandMessage], rate: int, sent: dict[bytes, float]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, acks="all", linger_ms=0)
    await producer.start()
    began = time.perf_counter()
    for number, command in enumerate(chosen):
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
        record = record_of(settings, command)
        sent[command.id.encode()] = time.perf_counter()
        await producer.send(record.topic, record.value, record.key, record.partition, headers=list(record.headers))
    await producer.stop()
