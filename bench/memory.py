"""Memory of a command worker per machine that it holds."""

from itertools import islice

from bench.job_j import commands
from bench.latency import OPENING
from bench.workers import lane_worker, outcomes_reach, publish, resident_bytes, with_prefix
from topics.provision import create_topics
from topics.settings import Settings

WARM = 10_000  # machines that fill caches and buffers before the base is read
SLICE = 2_000


async def run(settings: Settings, machines: int = 100_000) -> dict[str, float]:
    """Bytes per machine beyond the base, their remembered command ids and claims included."""
    settings = with_prefix(settings, "memory")
    create_topics(settings)
    every = commands(WARM + machines)
    async with lane_worker(settings) as pid:
        first = OPENING + WARM
        await publish(settings, islice(every, first))
        await outcomes_reach(settings, first)
        base = resident_bytes(pid)
        for done in range(first, first + machines, SLICE):  # what waits in buffers is not state
            sent = await publish(settings, islice(every, SLICE))
            await outcomes_reach(settings, done + sent)
        grown = resident_bytes(pid) - base
    return {"machines": machines, "base_mb": round(base / 1e6), "bytes_per_machine": round(grown / machines)}
