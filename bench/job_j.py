"""Job J: decode and validate a command, read and write its aggregate, remember its id, claim its serial number, write
an event with CloudEvents headers and an outcome, acks=all. Our worker beside a raw aiokafka loop, on the same Kafka.
"""

import asyncio
import time
from collections.abc import Iterator
from decimal import Decimal
from operator import itemgetter
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from pydantic import BaseModel, ConfigDict

from bench.workers import BATCH, lane_worker, outcomes_reach, publish, with_prefix
from domain.decider import TYPE_PREFIX, Actor
from topics.catalogue import COMMANDS, EVENTS, OUTCOMES, STATE
from topics.messages import CommandMessage
from topics.provision import create_topics
from topics.settings import Settings

COMPANIES = 60
ROUNDS = 5


def commands(count: int) -> Iterator[CommandMessage]:
    """Companies with a category each, then `count` machines spread over them."""
    for number in range(COMPANIES):
        company = f"bench-{number}"
        admin = {"user_id": "ann", "name": "Ann", "email": "ann@bench.example"}
        opened = {"company_id": company, "name": company, "time_zone": "UTC", "currency": "EUR", "admin": admin}
        yield _command(company, "company", "create-company", company, "operator:bench", opened)
        yield _command(company, "category", "define-category", "rig", "user:ann", {"category_id": "rig", "name": "Rig"})
    for number in range(count):
        yield _command(
            f"bench-{number % COMPANIES}", "equipment", "create-equipment", f"M-{number}", "user:ann", _machine(number)
        )


def _machine(number: int) -> dict[str, Any]:
    return {
        "equipment_id": f"M-{number}",
        "name": f"Excavator {number}",
        "serial_number": f"EQ-2026-BX-{number:06d}",
        "category_id": "rig",
        "in_service_on": "2026-01-01",
        "purchase_price": {"amount": "125000.00", "currency": "EUR"},
    }


def _command(company: str, aggregate: str, verb: str, id_: str, actor: str, data: dict[str, Any]) -> CommandMessage:
    return CommandMessage(
        id=str(uuid5(NAMESPACE_OID, f"{company}/{verb}/{id_}")),
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
        await outcomes_reach(settings, 1)
        began = time.perf_counter()
        await outcomes_reach(settings, total)
        return total / (time.perf_counter() - began)


# -- the raw loop ------------------------------------------------------------------------------------------------------


class Data(BaseModel):
    model_config = ConfigDict(frozen=True)
    equipment_id: str
    name: str
    serial_number: str
    category_id: str
    in_service_on: str
    purchase_price: dict[str, str]


class Machine(BaseModel):
    serial: str
    name: str
    version: int
    price: Decimal


class RawLoop:
    """What one Python process can do at most: `getmany`, `send_batch`, nothing guaranteed."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.state: dict[str, bytes] = {}
        self.sequence = 0

    async def rate(self, total: int) -> float:
        server = self.settings.kafka
        consumer = AIOKafkaConsumer(
            COMMANDS.named(self.settings.prefix),
            bootstrap_servers=server,
            group_id=f"raw-{time.time()}",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        self.producer = AIOKafkaProducer(
            bootstrap_servers=server,
            max_batch_size=BATCH,
            max_request_size=8 * BATCH,
            acks="all",
            enable_idempotence=True,
        )
        await consumer.start()
        await self.producer.start()
        done, began = 0, 0.0
        while done < total:
            fetched = await consumer.getmany(timeout_ms=500, max_records=1000)
            began = began or time.perf_counter()
            for place, records in fetched.items():
                await self._commit(place.partition, records)
                done += len(records)
            await consumer.commit()
        seconds = time.perf_counter() - began
        await consumer.stop()
        await self.producer.stop()
        return total / seconds

    async def _commit(self, partition: int, records: list[Any]) -> None:
        changed: dict[str, bytes] = {}
        events, outcomes, changelog = (self.producer.create_batch() for _ in range(3))
        for record in records:
            self._decide(record, changed, events, outcomes)
        for key, value in changed.items():
            changelog.append(key=key.encode(), value=value, timestamp=None)
        await self._send(STATE, changelog, partition)
        self.state.update(changed)
        await asyncio.gather(self._send(EVENTS, events, partition), self._send(OUTCOMES, outcomes, partition))

    async def _send(self, topic: Any, batch: Any, partition: int) -> None:
        await (await self.producer.send_batch(batch, topic.named(self.settings.prefix), partition=partition))

    def _decide(self, record: Any, changed: dict[str, bytes], events: Any, outcomes: Any) -> None:
        headers = dict(record.headers)
        self.sequence += 1
        if b"equipment" not in headers["ce_type"]:
            return
        data = Data.model_validate_json(record.value)
        key = f"{record.key.decode()}/{data.equipment_id}"
        stored = changed.get(key) or self.state.get(key)
        version = Machine.model_validate_json(stored).version + 1 if stored else 1
        price = Decimal(data.purchase_price["amount"])
        machine = Machine(serial=data.serial_number, name=data.name, version=version, price=price)
        changed[key] = machine.model_dump_json().encode()
        changed[f"command/{headers['ce_id'].decode()}"] = b"1"
        changed[f"serial/{data.serial_number}"] = b"1"
        said = [
            ("ce_id", str(uuid5(UUID(int=0), f"{key}/{version}")).encode()),
            ("ce_type", b"equipment.created"),
            ("ce_sequence", str(self.sequence).encode()),
        ]
        events.append(key=record.key, value=data.model_dump_json().encode(), timestamp=None, headers=said)
        outcomes.append(key=record.key, value=b'{"status":"accepted"}', timestamp=None)


async def raw_rate(settings: Settings, count: int) -> float:
    """Commands per second of the raw loop on a full topic of its own."""
    create_topics(settings)
    total = await publish(settings, commands(count))
    return await RawLoop(settings).rate(total)


async def run(settings: Settings, count: int = 30_000) -> dict[str, float]:
    """Both in turn, on fresh topics; the round whose ratio is the median, rates in commands per second. A machine that
    is shared runs at half its speed for seconds, and one round would measure that."""
    rounds = []
    for _ in range(ROUNDS):
        raw = await raw_rate(with_prefix(settings, "raw"), count)
        ours = await worker_rate(with_prefix(settings, "lanes"), count)
        rounds.append({"ratio": round(ours / raw, 3), "raw_per_second": round(raw), "worker_per_second": round(ours)})
    return sorted(rounds, key=itemgetter("ratio"))[ROUNDS // 2]
