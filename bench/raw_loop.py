"""Job J on a raw aiokafka loop: what one Python process can do at most, with `getmany` and `send_batch`, and nothing
guaranteed."""

import asyncio
import time
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from pydantic import BaseModel

from bench.quix_job.data import Data
from bench.workers import BATCH
from topics.catalogue import COMMANDS, EVENTS, OUTCOMES, STATE
from topics.settings import Settings


class Machine(BaseModel):
    serial: str
    name: str
    version: int
    price: Decimal


class RawLoop:
    """One loop with its state in a dictionary."""

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
