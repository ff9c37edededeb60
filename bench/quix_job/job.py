"""Job J on Quix Streams, for an environment without our packages.

`python -m bench.quix_job.job <kafka> <guarantee> <number of commands> <topic of commands> <of events> <of outcomes>`
prints the commands per second.
"""

import sys
import time
from collections.abc import Sequence
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID, uuid4, uuid5

from quixstreams import Application

from bench.quix_job.data import Data


class Job:
    """Job J for one message after the other, and when the first came."""

    def __init__(self) -> None:
        self.began = 0.0
        self._sequence = 0

    def decide(self, value: bytes, key: bytes, timestamp: int, headers: Any, state: Any) -> Any:
        """What is sent as event, with its headers; None for a command that is no machine's."""
        self.began = self.began or time.perf_counter()
        said = dict(headers)
        self._sequence += 1
        if b"equipment" not in said["ce_type"]:
            return None
        data = Data.model_validate_json(value)
        stored = state.get(data.equipment_id)
        version = (stored["version"] if stored else 0) + 1
        price = data.purchase_price["amount"]
        machine = {"serial": data.serial_number, "name": data.name, "version": version, "price": price}
        state.set(data.equipment_id, machine)
        state.set(f"command/{said['ce_id'].decode()}", 1)
        state.set(f"serial/{data.serial_number}", 1)
        about = [
            ("ce_id", str(uuid5(UUID(int=0), f"{key.decode()}/{data.equipment_id}/{version}")).encode()),
            ("ce_type", b"equipment.created"),
            ("ce_sequence", str(self._sequence).encode()),
        ]
        return data.model_dump_json().encode(), about


def work_off(kafka: str, guarantee: str, total: int, topics: Sequence[str], folder: str) -> float:
    """Commands per second from the first message to the last commit."""
    app = Application(
        broker_address=kafka,
        consumer_group=f"quix-{uuid4().hex}",
        auto_offset_reset="earliest",
        processing_guarantee=guarantee,
        producer_extra_config={"linger.ms": 5, "acks": "all", "enable.idempotence": True},
        state_dir=folder,
        loglevel="ERROR",
    )
    job = Job()
    commands = app.topic(topics[0], value_deserializer="bytes")
    events, outcomes = (app.topic(topic, value_serializer="bytes") for topic in topics[1:])
    decided = app.dataframe(commands).apply(job.decide, stateful=True, metadata=True)
    decided = decided.filter(lambda found: found is not None)
    decided.apply(lambda found: b'{"status":"accepted"}').to_topic(outcomes)
    decided.set_headers(lambda found, *_: found[1]).apply(lambda found: found[0]).to_topic(events)
    app.run(count=total)
    return total / (time.perf_counter() - job.began)


def main(kafka: str, guarantee: str, total: str, *topics: str) -> None:
    with TemporaryDirectory() as folder:
        sys.stdout.write(f"{work_off(kafka, guarantee, int(total), topics, folder)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
