"""Open a company with plain aiokafka: python examples/publish_command.py 127.0.0.1:9092"""

import asyncio
import json
import sys
from uuid import uuid4

from aiokafka import AIOKafkaProducer

MINE = {"company_id": "sol-mining", "name": "Sol Mining", "time_zone": "America/Lima", "currency": "PEN"}
ANN = {"user_id": "ann", "name": "Ann Soto", "email": "ann@sol-mining.example"}


async def publish(kafka: str, topic: str = "erp.commands") -> None:
    kind, subject = "com.bitcorp.erp.company.create-company.v1", "company/sol-mining"
    said = {"specversion": "1.0", "id": str(uuid4()), "source": "/sample", "type": kind, "subject": subject}
    headers = [(f"ce_{name}", value.encode()) for name, value in (said | {"actor": "operator:me"}).items()]
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        await producer.send_and_wait(topic, json.dumps(MINE | {"admin": ANN}).encode(), b"sol-mining", headers=headers)


asyncio.run(publish(*sys.argv[1:]))
