"""Follow everything that happened, from the beginning: python examples/read_events.py 127.0.0.1:9092

Kafka may deliver an event twice. `ce_sequence` counts without a gap within a partition, so one number per partition
tells new from old; keep it beside what you make of the events, and each of them counts exactly once.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

from aiokafka import AIOKafkaConsumer


async def events(kafka: str, topic: str = "erp.events") -> AsyncIterator[tuple[dict[str, str], dict[str, Any]]]:
    """The attributes and the data of each event, once and in order for each company."""
    last: dict[int, int] = {}
    async with AIOKafkaConsumer(topic, bootstrap_servers=kafka, auto_offset_reset="earliest") as consumer:
        async for record in consumer:
            event = {name[3:]: value.decode() for name, value in record.headers if name.startswith("ce_")}
            position, before = int(event["sequence"]), last.get(record.partition, 0)
            if position <= before:
                continue
            if position > before + 1:
                raise RuntimeError(f"events {before + 1} to {position - 1} of partition {record.partition} are missing")
            last[record.partition] = position
            yield event, json.loads(record.value)


async def main(kafka: str) -> None:
    async for event, data in events(kafka):
        print(event["time"], event["type"].split(".")[-2], event["subject"], json.dumps(data, ensure_ascii=False))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
