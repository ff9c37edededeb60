"""What an import costs others: the latency of their commands while one company's records are imported, and without."""

import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

from bench.job_j import commands
from bench.latency import OPENING, measure
from bench.workers import append, lane_worker, outcomes, outcomes_reach, publish, with_prefix, worker
from ops.console import say
from topics.catalogue import partition_of
from topics.imports import raw_of_line, write_raw
from topics.messages import CommandMessage
from topics.provision import create_topics
from topics.settings import Settings

LOUD = "bench-0"
MAPPING = f"""
default_category = "rig"
[organizations]
HQ = {{company = "{LOUD}", currency = "EUR"}}
[states]
ACTIVE = "ACTIVE"
"""


async def run(settings: Settings, records: int = 100_000, rate: int = 100, seconds: int = 10) -> dict[str, float]:
    """p99 of other companies' commands at `rate` a second, its ratio to that without import, and records a second.

    Measured for `seconds` before the import and, in rounds of as many, for as long as it lasts: some minutes.
    """
    others = (command for command in islice(commands(sys.maxsize), OPENING, None) if command.company_id != LOUD)
    with TemporaryDirectory() as folder:
        settings = with_prefix(settings, "importing").model_copy(update={"mappings": _mapping(folder)})
        create_topics(settings)
        async with lane_worker(settings), worker(settings, "imports"):
            await publish(settings, _opening())
            await outcomes_reach(settings, OPENING)
            await measure(settings, list(islice(others, 2 * rate)), rate)
            without = _p99(await measure(settings, list(islice(others, seconds * rate)), rate))
            before, began = await outcomes(settings), time.perf_counter()
            await _bring(settings, records)
            times: list[float] = []
            while (done := await outcomes(settings) - before - len(times)) < records:
                say(f"importing: {done:,} of {records:,} records")
                times += await measure(settings, list(islice(others, seconds * rate)), rate)
            took = time.perf_counter() - began
    during = _p99(times)
    return {
        "records": records,
        "commands_meanwhile": len(times),
        "p99_ms_without": round(without * 1000, 1),
        "p99_ms": round(during * 1000, 1),
        "p99_ratio": round(during / without, 2),
        "records_per_second": round(records / took),
    }


def _mapping(folder: str) -> Path:
    """The folder, with the mapping in it."""
    (there := Path(folder)).joinpath("bench.toml").write_text(MAPPING)
    return there


def _opening() -> list[CommandMessage]:
    return [command for _, command in zip(range(OPENING), commands(0), strict=True)]


async def _bring(settings: Settings, records: int) -> None:
    """All records at once, as from a file."""
    partition = partition_of(LOUD.encode(), settings.partitions)
    raws = (raw_of_line("bench", "bench", line, data) for line, data in enumerate(_rows(records), 1))
    written = (write_raw(raw, LOUD, settings.prefix) for raw in raws)
    await append(settings, (record._replace(partition=partition) for record in written))


def _rows(records: int) -> Iterator[bytes]:
    for number in range(records):
        row = {"asset_id": str(number), "equipment_name": f"Pump {number}", "organization_code": "HQ"}
        yield orjson.dumps(row | {"acquisition_date": "2020-01-31", "state": "ACTIVE"})


def _p99(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.99)]
