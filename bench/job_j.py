"""Job J: decode and validate a command, read and write its aggregate, remember its id, claim its serial number, write
an event with CloudEvents headers and an outcome, acks=all. Our worker beside a raw aiokafka loop and Quix Streams, on
the same Kafka."""

import time
from collections.abc import Iterator
from statistics import median
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import orjson

from bench import quix
from bench.raw_loop import RawLoop
from bench.workers import lane_worker, outcomes_reach, publish, with_prefix
from domain.decider import TYPE_PREFIX, Actor
from ops.console import say
from topics.messages import CommandMessage
from topics.provision import create_topics
from topics.settings import Settings

COMPANIES = 60
ROUNDS = 5


def commands(count: int) -> Iterator[CommandMessage]:
    """Companies with a category each, then `count` machines spread over them."""
    for number in range(COMPANIES):
        yield from opening(f"bench-{number}")
    for number in range(count):
        yield command(
            f"bench-{number % COMPANIES}", "equipment", "create-equipment", f"M-{number}", "user:ann", machine(number)
        )


def opening(company: str) -> Iterator[CommandMessage]:
    """A company with its admin and one category."""
    admin = {"user_id": "ann", "name": "Ann", "email": "ann@bench.example"}
    opened = {"company_id": company, "name": company, "time_zone": "UTC", "currency": "EUR", "admin": admin}
    yield command(company, "company", "create-company", company, "operator:bench", opened)
    yield command(company, "category", "define-category", "rig", "user:ann", {"category_id": "rig", "name": "Rig"})


def machine(number: int) -> dict[str, Any]:
    """The fields of a new machine."""
    return {
        "equipment_id": f"M-{number}",
        "name": f"Excavator {number}",
        "serial_number": f"EQ-2026-BX-{number:06d}",
        "category_id": "rig",
        "in_service_on": "2026-01-01",
        "purchase_price": {"amount": "125000.00", "currency": "EUR"},
    }


def command(
    company: str, aggregate: str, verb: str, id_: str, actor: str, data: dict[str, Any], again: str = ""
) -> CommandMessage:
    """A command; `again` sets it apart from others with the same verb for the same thing."""
    return CommandMessage(
        id=str(uuid5(NAMESPACE_OID, f"{company}/{verb}/{id_}{again}")),
        type=f"{TYPE_PREFIX}.{aggregate}.{verb}.v1",
        company_id=company,
        aggregate=aggregate,
        aggregate_id=id_,
        actor=Actor.parse(actor),
        data=orjson.dumps(data),
        source="/bench",
    )


async def worker_rate(settings: Settings, count: int) -> float:
    """Commands per second of one command worker on a full topic, from its first outcomes to its last."""
    create_topics(settings)
    total = await publish(settings, commands(count))
    async with lane_worker(settings):
        done = await outcomes_reach(settings, 1)
        began = time.perf_counter()
        await outcomes_reach(settings, total)
        return (total - done) / (time.perf_counter() - began)


async def raw_rate(settings: Settings, count: int) -> float:
    """Commands per second of the raw loop on a full topic."""
    create_topics(settings)
    total = await publish(settings, commands(count))
    return await RawLoop(settings).rate(total)


async def quix_rate(settings: Settings, count: int, guarantee: str) -> float:
    """Commands per second of Quix Streams on a full topic, with its processing guarantee of this name."""
    create_topics(settings)
    total = await publish(settings, commands(count))
    return await quix.rate(settings, total, guarantee)


async def run(settings: Settings, count: int = 30_000, rounds: int = ROUNDS) -> dict[str, float]:
    """All ways in turn, each on fresh topics; of each figure the median of the rounds, rates in commands per second. A
    machine that is shared runs at half its speed for seconds, and one round would measure that."""
    found = [await _round(settings, count) for _ in range(rounds)]
    return {name: median(each[name] for each in found) for name in found[0]}


async def _round(settings: Settings, count: int) -> dict[str, float]:
    raw = await raw_rate(with_prefix(settings, "raw"), count)
    ours = await worker_rate(with_prefix(settings, "lanes"), count)
    figures = {"ratio": round(ours / raw, 3), "raw_per_second": round(raw), "worker_per_second": round(ours)}
    if not quix.installed():
        say(f"Quix Streams is not measured: {quix.HOW_TO_INSTALL}")
        return figures
    for guarantee, name in quix.GUARANTEES.items():
        figures[f"{name}_per_second"] = round(await quix_rate(with_prefix(settings, name), count, guarantee))
    return figures | {"quix_ratio": round(ours / figures["quix_per_second"], 3)}
