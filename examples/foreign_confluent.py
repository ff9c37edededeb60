"""Send a command with confluent-kafka, and wait for the answer: python examples/foreign_confluent.py 127.0.0.1:9092

Its default partitioner is not Java's, so the command may land on another company's partition; it is passed on from
there and decided all the same.
"""

import json
import sys
from uuid import uuid4

from confluent_kafka import OFFSET_END, Consumer, Producer, TopicPartition

COMPANY = "sol-mining"


def send(kafka: str, command_id: str, topic: str = "erp.commands") -> None:
    """Define a category, as the company's admin."""
    kind = "com.bitcorp.erp.category.define-category.v1"
    event = {"specversion": "1.0", "id": command_id, "source": "/foreign", "type": kind, "actor": "user:ann"}
    headers = [(f"ce_{name}", value.encode()) for name, value in (event | {"subject": "category/cranes"}).items()]
    producer = Producer({"bootstrap.servers": kafka})
    producer.produce(topic, json.dumps({"category_id": "cranes", "name": "Cranes"}), COMPANY, headers=headers)
    producer.flush()


def answer(consumer: Consumer, command_id: str) -> dict[str, object]:
    """The outcome that names the command as its cause."""
    while True:
        message = consumer.poll(1)
        if message and not message.error() and ("ce_causationid", command_id.encode()) in message.headers():
            return json.loads(message.value())


if __name__ == "__main__":
    reader = Consumer({"bootstrap.servers": sys.argv[1], "group.id": "foreign"})
    found = reader.list_topics("erp.outcomes").topics["erp.outcomes"].partitions
    reader.assign([TopicPartition("erp.outcomes", partition, OFFSET_END) for partition in found])
    identity = str(uuid4())
    send(sys.argv[1], identity)
    print(answer(reader, identity))
